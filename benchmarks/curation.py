"""Curation at scale, and beside the same steps in pandas: seconds, rows/s and peak memory, each run in a process of its own.

Rows have the schema of AM-DeepSeek-Distilled-40M and about 1.1 KB of text (--words: longer); one in seven repeats a problem, one
in twenty is of another domain.  From the raw file to the pool, the validation set, the win rates and four SFT sets.

    python benchmarks/curation.py --rows 100000 1000000 10000000
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

SETS = {"easy": 0.01, "uniform": 0.01, "hard": 0.01, "full": None}  # shares of the rows

ROWS = """
SELECT 'Problem ' || j || ': a tank holds ' || (j * 7919 % 1000)
    || CASE WHEN j % 10 = 0 THEN ' litres, ≤ ' ELSE ' litres, at most ' END || (j % 97)
    || ' an hour flow out; how many hours until it is half empty?' AS question,
  '<think>' || md5(i::VARCHAR) || repeat(' after ' || (i % 89) || ' hours ' || md5((i * 3)::VARCHAR) || ' are left', 17)
    || array_to_string(list_transform(range({words}), lambda word: md5((i * 1000 + word)::VARCHAR)), ' ')
    || '</think> \\boxed{{' || (j % 997) || '}}' AS answer,
  'openR1' AS question_source, 'deepseek-r1' AS answer_source,
  CASE WHEN i % 20 = 0 THEN 'code' ELSE 'math' END AS category, (j % 997)::VARCHAR AS ground_truth,
  (j % 5) / 4.0::DOUBLE AS pass_rate_r1, (j % 5) / 4.0::DOUBLE AS pass_rate_7b,
  (j // 7 % 5) / 4.0::DOUBLE AS "pass_rate_1.5b", 1.0::DOUBLE AS verify_score, 'deepseek-r1' AS model_name
FROM (SELECT i, i * 999983 % {distinct} AS j FROM range({n}) rows(i))
"""


def make(path: Path, n: int, words: int) -> None:
    """A raw file of so many rows, each with so many words more: .parquet or .jsonl.zst."""
    how = "FORMAT parquet, COMPRESSION zstd" if path.suffix == ".parquet" else "FORMAT json, COMPRESSION zstd"
    with duckdb.connect(config={"memory_limit": "6GB"}) as connection:
        rows = ROWS.format(n=n, distinct=n * 6 // 7 + 1, words=words)
        connection.execute(f"COPY ({rows}) TO '{path}' ({how})")


def ours(raw: Path, out: Path, n: int) -> None:
    """The library's own steps, as the rules run them."""
    from switchpoint.data import pool, select
    from switchpoint.data import raw as readers
    from switchpoint.study.jobs import SelectJob, ValidationJob
    from switchpoint.study.sources import Dataset, Keep

    paths = {name: str(out / f"{name}.parquet") for name in ("source", "pool", "validation", "rates", *SETS)}
    source = Dataset(kind="dataset", dataset="am_40m", path=[str(raw)], lock="-", keep=Keep(domains=["math"]))
    readers.ingest(source, "am", None, paths["source"])
    pool.deduplicate([paths["source"]], 0, paths["pool"])
    select.hold_out(ValidationJob(recipe=1, seed=0, size=200), paths["pool"], paths["validation"])
    select.given_win_rates(paths["pool"], "1_5b", paths["rates"])
    for name, share in SETS.items():
        size = None if share is None else int(n * share)
        job = SelectJob(recipe=1, seed=0, name=name, stratum=name, size=size, order="random", overlap="keep")
        rates = None if name == "full" else paths["rates"]
        select.select_set(job, [paths["pool"]], rates, None, paths["validation"], None, None, paths[name])


def pandas(raw: Path, out: Path, n: int) -> None:
    """The same steps in pandas, file by file as the rules run them."""
    import pandas as pd

    paths = {name: out / f"{name}.parquet" for name in ("source", "pool", "validation", "rates", *SETS)}
    judged(raw).to_parquet(paths["source"])
    rows = drawn(deduplicated(pd.read_parquet(paths["source"])))
    rows.drop(columns="length").to_parquet(paths["pool"])
    pd.read_parquet(paths["pool"]).iloc[:200].to_parquet(paths["validation"])
    pd.read_parquet(paths["pool"], columns=["id", "pass_rate_1.5b"]).to_parquet(paths["rates"])
    for name, share in SETS.items():
        pool, held_out = pd.read_parquet(paths["pool"]), pd.read_parquet(paths["validation"], columns=["key"])
        pool = pool[~pool["key"].isin(held_out["key"])]
        if name != "full":
            rates = pd.read_parquet(paths["rates"])["pass_rate_1.5b"].loc[pool.index]
            pool = pool[stratum(rates)[name]]
        pool.iloc[: None if share is None else int(n * share)].to_parquet(paths[name])


def pandas_at_once(raw: Path, out: Path, n: int) -> None:
    """The same results in pandas, everything in memory, nothing read twice, and only what is last written."""
    rows = drawn(deduplicated(judged(raw)))
    rows.to_parquet(out / "pool.parquet")
    rows.iloc[:200].to_parquet(out / "validation.parquet")
    rest = rows.iloc[200:]
    strata = stratum(rest["pass_rate_1.5b"])
    for name, share in SETS.items():
        chosen = rest[strata[name]]
        chosen.iloc[: None if share is None else int(n * share)].to_parquet(out / f"{name}.parquet")


def judged(raw: Path):
    """The wanted rows that are whole, with key and id."""
    import pandas as pd

    from switchpoint.data.relations import normalise

    columns = ["question", "answer", "category", "ground_truth", "pass_rate_1.5b"]
    rows = pd.read_parquet(raw, columns=columns)
    wanted = rows["category"] == "math"
    for name in ("question", "answer", "ground_truth"):
        wanted &= rows[name].notna() & ~rows[name].str.isspace().fillna(True)
    rows = rows[wanted]
    rows = rows.assign(
        key=[md5(normalise(text)) for text in rows["question"]], length=rows["answer"].str.len()
    )
    return rows.assign(id="am-" + rows["key"].str[:20])


def md5(text: str) -> str:
    """The hash of a text."""
    return hashlib.md5(text.encode()).hexdigest()


def deduplicated(rows):
    """Of every problem the row with the shortest answer."""
    return rows.sort_values("length", kind="stable").drop_duplicates("key").sort_index()


def drawn(rows):
    """The rows in the order of draws."""
    order = rows["id"].map(lambda name: hashlib.sha256(f"0/{name}".encode()).hexdigest()).sort_values().index
    return rows.loc[order].reset_index(drop=True)


def stratum(rate) -> dict:
    """Which rows are in each stratum."""
    return {"easy": rate == 1, "uniform": rate.notna(), "hard": rate <= 0.25, "full": rate == rate}


WAYS = {"ours": ours, "pandas": pandas, "pandas at once": pandas_at_once}


def measure(what: str, raw: Path, n: int) -> dict:
    """Seconds and peak memory of one way, in a process of its own."""
    with tempfile.TemporaryDirectory(dir=raw.parent) as out:
        command = [sys.executable, __file__, "--run", what, str(raw), out, str(n)]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def run(what: str, raw: str, out: str, n: str) -> None:
    """Runs one way and prints what it took."""
    first, cpu = time.perf_counter(), time.process_time()
    WAYS[what](Path(raw), Path(out), int(n))
    sizes = {path.stem: path.stat().st_size for path in Path(out).glob("*.parquet")}
    taken = {"seconds": time.perf_counter() - first, "cpu": time.process_time() - cpu}
    print(json.dumps(taken | {"gib": peak_memory(), "bytes": sizes}))


def peak_memory() -> float:
    """GiB that this program held at most; unlike getrusage's, without what held who started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--suffix", choices=["parquet", "jsonl.zst"], default="parquet")
    parser.add_argument("--words", type=int, default=0, help="random words of 32 letters more a row")
    parser.add_argument("--pandas", type=int, default=1_000_000, help="most rows to run pandas on")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--folder", default=None, help="where the files go; they need twice the text's size")
    parser.add_argument("--run", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        run(*asked.run)
        return
    print("rows       way            seconds  CPU s  rows/s   peak GiB")
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        for n in asked.rows:
            raw = Path(folder, f"raw-{n}.{asked.suffix}")
            make(raw, n, asked.words)
            ways = WAYS if n <= asked.pandas and raw.suffix == ".parquet" else ["ours"]
            for _ in range(asked.repeat):
                took = {way: measure(way, raw, n) for way in ways}
                for way, one in took.items():
                    print(
                        f"{n:<10} {way:<14} {one['seconds']:7.1f} {one['cpu']:6.1f} {n / one['seconds']:8.0f} {one['gib']:8.2f}"
                    )
                for way in list(took)[1:]:
                    ratio = took[way]["seconds"] / took["ours"]["seconds"]
                    print(f"{n:<10} {way:<14} took {ratio:.2f} times as long as ours")
            raw.unlink()


if __name__ == "__main__":
    main()
