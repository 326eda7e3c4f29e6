"""The raw sources of the papers' studies in their real schemas, at a hundredth of their size, with what has to come out of them.

A problem is a fact of its own here (where it is, how hard, how long), so every count is known without reading a file.
"""

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow
import pyarrow.parquet

MATHS = ("openR1Math_extended", "openR1Math_default", "NuminaMath_1.5", "MetaMathQA", "data_ablation_full59K")
OTHERS = ("KodCode", "InfinityInstruct", "natural_reasoning")
RATES = (0.0, 0.25, 0.5, 0.75, 1.0)
WORDS = (
    "otter",
    "lamp",
    "river",
    "bread",
    "engine",
    "cloud",
    "violin",
    "harbour",
    "ticket",
    "garden",
    "copper",
    "window",
)


@dataclass
class Problem:
    """A problem, where it is, and what its sources say of it."""

    number: int
    chinese: bool = False
    places: set[str] = field(default_factory=set)
    rate: float | None = None  # R1-Distill-Qwen-1.5B's, in the 40M
    difficulty: int | None = None  # failures of 16, of the 7B, in Skywork
    long: bool = False

    @property
    def text(self) -> str:
        """Its text: words of its own, so that no two are near each other."""
        draw = random.Random(self.number)
        words = " ".join(draw.choice(WORDS) + str(draw.randrange(1000)) for _ in range(6))
        return f"{'求 ' if self.chinese else ''}Problem {self.number}: {words}?"

    def solution(self, extra: int = 0) -> str:
        """An expert trajectory; ``extra`` makes it another, longer one."""
        length = 30_000 if self.long else 5
        return f"<think> {'so ' * (length + extra)}</think> <answer> \\boxed{{{self.number}}} </answer>"


@dataclass
class Expected:
    """What has to come out: of every source, of the pool, of the sets."""

    sources: dict[str, dict] = field(default_factory=dict)
    duplicates: dict = field(default_factory=dict)
    in_pool: int = 0
    easy: int = 0
    hard: int = 0
    uniform: int = 0
    prompts: int = 0
    mixed: int = 0
    shared: int = 0


def disguise(text: str) -> str:
    """The same problem, normalised."""
    return "  " + text.upper().replace(" ", " \n ").replace("PROBLEM", "ＰＲＯＢＬＥＭ")


def write_lines(path: Path, lines: list[str], end: str = "\n") -> None:
    """A file of JSON lines, compressed where its suffix says so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = ("\n".join(lines) + end).encode()
    if path.suffix == ".zst":
        with pyarrow.CompressedOutputStream(str(path), "zstd") as out:
            out.write(data)
    else:
        path.write_bytes(data)


def write_table(path: Path, rows: list[dict]) -> None:
    """A parquet file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)


def am_1_4m_row(
    problem: Problem, origin: str, teacher: str, text: str | None = None, gold: bool = True
) -> dict:
    """A row of the 1.4M; code has a test case instead of a gold."""
    test = None if gold else {"test_code": "assert f() == 1", "test_entry_point": "f"}
    info = {"source": origin, "reference_answer": str(problem.number) if gold else None, "test_case": test}
    solution = (
        problem.solution(extra=3) if gold else "<think> x </think> <answer> def f(): return 1 </answer>"
    )
    thinking, _, answer = solution.partition("</think>")
    parts = {"source": teacher, "think_content": thinking, "answer_content": answer}
    return {"messages": [{"role": "user", "content": text or problem.text, "info": info},
                         {"role": "assistant", "content": solution, "info": parts}]}  # fmt: skip


def make_am_1_4m(root: Path, problems: list[Problem], draw: random.Random, expected: Expected) -> int:
    """The 1.4M's R1 part; returns how many of its rows repeat a problem exactly."""
    lines, dropped, kept = [], Counter(), 0
    for problem in problems:
        if "1.4m" in problem.places:
            # Some golds are missing, and then stand in the answer's box.
            row = am_1_4m_row(problem, draw.choice(MATHS), "am-0309")
            if problem.number % 11 == 0:
                row["messages"][0]["info"]["reference_answer"] = None
            lines.append(json.dumps(row, ensure_ascii=problem.number % 2 == 0))
            kept += 1
    for number in range(400):
        other = Problem(10**6 + number)
        lines.append(json.dumps(am_1_4m_row(other, draw.choice(OTHERS), "am-0309", gold=number % 2 == 0)))
        dropped["origin"] += 1
    for number in range(100):
        lines.append(json.dumps(am_1_4m_row(Problem(2 * 10**6 + number), MATHS[0], "openR1")))
        dropped["teacher"] += 1
    for number in range(50):
        lines.append(json.dumps(am_1_4m_row(Problem(3 * 10**6 + number), MATHS[1], "am-0309", gold=False)))
        dropped["no answer"] += 1
    again = draw.sample([problem for problem in problems if "1.4m" in problem.places], 60)
    for problem in again:  # 30 the very same, 30 in disguise
        text = disguise(problem.text) if problem in again[30:] else None
        lines.append(json.dumps(am_1_4m_row(problem, MATHS[2], "am-0309", text)))
        kept += 1
    draw.shuffle(lines)
    lines[3:3] = ["", "not json", json.dumps({"messages": []}), json.dumps([1])]
    rows = len(lines) - 1 + 1
    write_lines(root / "raw/AM-DeepSeek-R1-Distilled-1.4M/am_0.9M.jsonl.zst", [*lines, lines[0][:40]], end="")
    expected.sources["am_1_4m"] = {"rows": rows, "kept": kept, "dropped": dict(dropped),
                                   "rejected": {"no JSON object": 3, "no problem": 1}}  # fmt: skip
    return 30


def make_am_40m(root: Path, problems: list[Problem], draw: random.Random, expected: Expected) -> int:
    """Four passes of R1 over the 40M's maths: each has most problems, with another answer; types differ between them."""
    dropped, kept, rows, seen, exact = Counter(), 0, 0, set(), 0
    for number in range(1, 5):
        lines = []
        for problem in problems:
            if "40m" not in problem.places or (problem.number + number) % 5 == 0:
                continue
            verified = (problem.number * 7 + number) % 10 != 0
            rate = problem.rate if number % 2 else (None if problem.rate is None else str(problem.rate))
            row = {
                "question": problem.text, "answer": problem.solution(extra=(problem.number * number) % 9),
                "question_source": draw.choice(MATHS), "answer_source": "am-deepseek-r1", "category": "math",
                "ground_truth": problem.number if number == 3 else str(problem.number), "test_case": None,
                "instruction_constrain": None, "pass_rate_r1": 1.0, "pass_rate_7b": 0.5 if number % 2 else "0.5",
                "pass_rate_1.5b": rate, "verify_score": 1.0 if verified else 0.0, "ppl": 1.5, "model_name": "deepseek-r1",
            }  # fmt: skip
            lines.append(json.dumps(row, ensure_ascii=False))
            if verified:
                kept += 1
                exact += problem.number in seen
                seen.add(problem.number)
            else:
                dropped["not verified"] += 1
        for other in range(50):
            text = Problem(4 * 10**6 + other).text
            lines.append(json.dumps({**row, "question": text, "category": draw.choice(["code", "if", None])}))
            dropped["domain"] += 1
        draw.shuffle(lines)
        rows += len(lines)
        write_lines(root / f"raw/AM-DeepSeek-Distilled-40M/math_r1_{number}pass.jsonl", lines)
    expected.sources["am_40m"] = {"rows": rows, "kept": kept, "dropped": dict(dropped), "rejected": {}}
    for problem in problems:
        if "40m" in problem.places and problem.number not in seen:
            problem.places.discard("40m")
    return exact


def make_skywork(root: Path, problems: list[Problem], draw: random.Random, expected: Expected) -> None:
    """Skywork's RL problems: the gold is a JSON list in a text, the difficulty counts failures."""
    rows, chinese = [], 0
    for problem in problems:
        if "skywork" not in problem.places:
            continue
        solvers = (
            "DeepSeek-R1-Distill-Qwen-1.5B",
            "DeepSeek-R1-Distill-Qwen-7B",
            "DeepSeek-R1-Distill-Qwen-32B",
        )
        rows.append({
            "data_source": "train-math-numinamath1.5_olympiads", "ability": "math",
            "prompt": [{"role": "user", "content": problem.text if problem.number % 3 else disguise(problem.text)}],
            "reward_model": {"ground_truth": json.dumps([str(problem.number), f"{problem.number}.0"]), "style": "rule"},
            "extra_info": {"index": len(rows), "model_difficulty": dict.fromkeys(solvers, problem.difficulty)},
        })  # fmt: skip
        chinese += problem.chinese
    draw.shuffle(rows)
    folder = root / "raw/Skywork-OR1-RL-Data/data"
    write_table(folder / "math-00000-of-00002.parquet", rows[: len(rows) // 2])
    write_table(folder / "math-00001-of-00002.parquet", rows[len(rows) // 2 :])
    dropped = {"Chinese": chinese} if chinese else {}
    expected.sources["skywork"] = {
        "rows": len(rows),
        "kept": len(rows) - chinese,
        "dropped": dropped,
        "rejected": {},
    }


def make_rest(root: Path, problems: list[Problem], expected: Expected) -> None:
    """s1K-1.1 and the benchmarks; of each benchmark the first problem is one of the pool's."""
    rows = [
        {"question": problem.text, "solution": str(problem.number), "cot_type": "math", "source_type": "aime",
         "metadata": "{}", "deepseek_thinking_trajectory": "so " * 50, "deepseek_attempt": f"\\boxed{{{problem.number}}}",
         "deepseek_grade": "Yes", "gemini_grade": "No", "gemini_attempt": "?"}
        for problem in (Problem(5 * 10**6 + number) for number in range(10))
    ]  # fmt: skip
    write_table(root / "raw/s1K-1.1/data/train-00000-of-00001.parquet", rows)
    expected.sources["s1k"] = {"rows": 10, "kept": 10, "dropped": {}, "rejected": {}}
    known = next(problem for problem in problems if "1.4m" in problem.places)
    schemas = {
        "gsm8k": lambda text, gold: {"question": text, "answer": f"It is {gold}.\n#### {gold}"},
        "olympiadbench": lambda text, gold: {"question": text, "final_answer": [gold], "unit": None},
        "minerva": lambda text, gold: {
            "problem": text,
            "solution": f"\\boxed{{{gold}}}",
            "type": "Astronomy",
        },
        "math500": lambda text, gold: {"problem": text, "answer": gold, "solution": "s", "level": 1},
        "aime24": lambda text, gold: {"ID": "1", "Problem": text, "Answer": int(gold)},
        "aime25": lambda text, gold: {"problem": text, "answer": gold},
        "aime_1983_2024": lambda text, gold: {"ID": "1", "Question": text, "Answer": int(gold)},
        "amc": lambda text, gold: {"id": 1, "problem": text, "answer": float(gold)},
    }
    for place, (name, schema) in enumerate(schemas.items()):
        own = [Problem(6 * 10**6 + 100 * place + number) for number in range(60)]
        texts = [disguise(known.text), *(problem.text for problem in own)]
        write_lines(root / f"raw/benchmarks/{name}.jsonl", [json.dumps(schema(text, "7")) for text in texts])


def make_retu(root: Path, scale: int = 100, seed: int = 0) -> Expected:
    """The sources of RETU's study under ``root`` and what has to come out of them."""
    draw, expected = random.Random(seed), Expected()
    problems = []
    for number in range(1_000_000 // scale):
        problem = Problem(number, chinese=draw.random() < 0.05, long=draw.random() < 0.01)
        if draw.random() < 0.35:
            problem.places.add("1.4m")
        if draw.random() < 0.7:
            problem.places.add("40m")
            problem.rate = draw.choice([*RATES, *RATES, None])
        if draw.random() < 0.08:
            problem.places.add("skywork")
            problem.difficulty = draw.randrange(17)
        problems.append(problem)
    repeated = make_am_1_4m(root, problems, draw, expected)
    repeated += make_am_40m(root, problems, draw, expected)
    make_skywork(root, problems, draw, expected)
    make_rest(root, problems, expected)
    count(problems, repeated, expected)
    return expected


def count(problems: list[Problem], repeated: int, expected: Expected) -> None:
    """What the pool, the strata and the RL prompts have to be."""
    pool = [problem for problem in problems if problem.places & {"1.4m", "40m"}]
    both = sum({"1.4m", "40m"} <= problem.places for problem in pool)
    rates = Counter(problem.rate for problem in pool if "40m" in problem.places)
    kept = {name: expected.sources[name]["kept"] for name in ("am_1_4m", "am_40m")}
    first = sum("1.4m" in problem.places for problem in pool)
    expected.in_pool = len(pool)
    expected.duplicates = {"rows": sum(kept.values()), "exact": repeated + both, "normalised": 30,
                           "kept": {"am_1_4m": first, "am_40m": len(pool) - first}}  # fmt: skip
    expected.easy, expected.hard = rates[1.0], rates[0.0] + rates[0.25]
    expected.uniform = sum(n for rate, n in rates.items() if rate is not None)
    asked = [p for p in problems if "skywork" in p.places and not p.chinese and 1 <= p.difficulty <= 15]
    expected.prompts = len(asked)
    shared = [problem for problem in asked if problem.places & {"1.4m", "40m"}]
    expected.shared, expected.mixed = len(shared), sum(not problem.long for problem in shared)


@dataclass
class Responses:
    """What has to come out of the sources of the Quagmires study."""

    sources: dict[str, dict] = field(default_factory=dict)
    lengths: dict[int, int] = field(default_factory=dict)  # words of the response of each problem of the pool
    prompts: int = 0
    shared: int = 0


def make_quagmires(root: Path, scale: int = 100, seed: int = 0) -> Responses:
    """Llama-Nemotron's maths and MATH's training set under ``root``, and the benchmarks."""
    draw, expected = random.Random(seed), Responses()
    lines, dropped, kept = [], Counter(), 0
    for number in range(2_000_000 // scale // 2):
        problem = Problem(number, long=draw.random() < 0.02)
        teacher = draw.choice(["DeepSeek-R1", "QwQ-32B", "Qwen2.5-Math-7B"])
        words = 1 + draw.randrange(400)
        row = {
            "version": "v1.1", "input": [{"role": "user", "content": problem.text}], "category": "math",
            "output": problem.solution(extra=words), "license": "cc", "reasoning": "on", "generator": teacher,
            "used_in_training": ["Ultra"], "system_prompt": "detailed thinking on",
        }  # fmt: skip
        if number % 17 == 0:
            row |= {"category": "code"}
            dropped["domain"] += 1
        elif teacher == "Qwen2.5-Math-7B":
            dropped["teacher"] += 1
        elif problem.long:
            dropped["solution too long"] += 1
        else:
            kept += 1
            expected.lengths[number] = words
            if number % 10 == 0:  # and once more, longer: the shorter answer is kept
                again = row | {"output": problem.solution(extra=words + 50), "input": disguise(problem.text)}
                lines.append(json.dumps(again))
                kept += 1
        lines.append(json.dumps(row))
    draw.shuffle(lines)
    folder = root / "raw/Llama-Nemotron-Post-Training-Dataset/SFT/math"
    write_lines(folder / "math_v1.jsonl", lines[: len(lines) // 2])
    write_lines(folder / "math_v1.1.jsonl", lines[len(lines) // 2 :])
    expected.sources["nemotron"] = {
        "rows": len(lines),
        "kept": kept,
        "dropped": dict(dropped),
        "rejected": {},
    }
    numbers = [*sorted(expected.lengths)[:20], *range(7 * 10**6, 7 * 10**6 + 55)]
    rows = [
        {
            "problem": Problem(number).text,
            "level": "Level 1",
            "type": "Algebra",
            "solution": f"So $\\boxed{{{number}}}$.",
        }
        for number in numbers
    ]
    write_table(root / "raw/MATH/train-00000-of-00001.parquet", rows)
    expected.sources["math_train"] = {"rows": 75, "kept": 75, "dropped": {}, "rejected": {}}
    expected.prompts, expected.shared = 75, 20
    known = Problem(min(expected.lengths))
    known.places.add("1.4m")
    make_rest(root, [known], Expected())
    return expected
