"""What trainers print: the console logs of verl, OpenRLHF and prime-rl.

- verl: ``step:10 - tag:value - tag:value``.
- OpenRLHF: ``Global step 10: {..}`` and ``Evaluation completed in .., global_step 10, eval_metrics: {..}``.
- prime-rl: ``Step 10 | Name: value unit | ..``, and ``Evaluated ENV in 12s (Avg@8=0.4, ..)`` after
  ``Running evals for checkpoint step 10``.

Colours, the prefixes of Ray, progress bars and any other lines may stand between and before.  A number that
something else was printed into, and the last one of a file that ends within a line, may be parts of
longer ones: they are counted and left.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from switchpoint import files
from switchpoint.importer.values import NUMBER, Record, number_of

COLOUR = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
REPEATED = re.compile(r"\s*\[repeated \d+x across cluster\].*$")  # what Ray adds
VERL = re.compile(r"(?<![\w/])step:(\d+) - (.+)")
OPENRLHF = re.compile(r"(?:Global step (\d+): |global_step (\d+), eval_metrics: )(\{.*)")
PAIR = re.compile(r"'([^']+)': ([^,{}\[\]']+?(?:\([^()]*\))?)(?=, '|\}|$)")
PRIME_RL = re.compile(r"SUCCESS\s+(?:\[[^\]]*\] )?Step (\d+) \| (Time: .+)")
PRIME_ITEM = re.compile(rf"([A-Z][\w. -]*): ({NUMBER})(?=[^\d.]|$).*", re.IGNORECASE)
EVALS = re.compile(
    r"Running (?:final evals|evals for \w+ step (\d+)(?: \(current ckpt_step=(\d+)\))?)"
)  # the second number is of the weights that were there
EVALUATED = re.compile(
    rf"Evaluated (?:.+ on )?(\S+) in [\d.]+s \((Avg@\d+=(?:{NUMBER})(?:, Pass@\d+: (?:{NUMBER}))*)[,)]",
    re.IGNORECASE,
)
Line = tuple[int, str, bool]
"""(its number, its text without colours, whether the file ends within it)."""


def read_console(path: Path, file_format: str, counts: Counter) -> Iterator[Record]:
    """The records of a console log; ``file_format`` is verl, openrlhf or prime-rl."""
    read = {"verl": verl_record, "openrlhf": openrlhf_record}.get(file_format)
    if read is None:
        yield from prime_records(path, counts)
        return
    for number, text, cut in lines_of(path):
        if record := read(text, cut, counts):
            yield f"{path}: line {number}", *record


def lines_of(path: Path) -> Iterator[Line]:
    """The lines of a log; what a progress bar overwrote are lines, too."""
    *whole, last = text_of(path).split("\n")
    for number, line in enumerate([*whole, last], 1):
        *before, end = line.rstrip("\r").split("\r")
        for part in before:
            yield number, COLOUR.sub("", part), False
        yield number, COLOUR.sub("", end), number > len(whole) and bool(end) and not ends_whole(path)


def ends_whole(path: Path) -> bool:
    """Whether the last number of a log without a break at its end has all its decimals: where all have as many."""
    decimals = re.findall(r":-?\d+\.(\d+)(?= - |\s|$)", text_of(path))
    return len(decimals) > 3 and len({*map(len, decimals)}) == 1 and text_of(path).endswith(decimals[-1])


def text_of(path: Path) -> str:
    """The text of a console log, whatever bytes a program wrote into it; InputError for a file that is none."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise files.unreadable(path, error, "log") from error
    files.check_bytes(data, path, "log")
    return data.decode("utf-8", errors="replace")


def format_of(path: Path) -> str | None:
    """The format of a console log, by its first line that is one of them; None where none is."""
    patterns = {"verl": VERL, "openrlhf": OPENRLHF, "prime-rl": PRIME_RL}
    for _, text, _ in lines_of(path):
        for name, pattern in patterns.items():
            if pattern.search(text):
                return name
    return None


def verl_record(text: str, cut: bool, counts: Counter) -> tuple[float, dict] | None:
    """(step, values) of a line of verl's, None for another line."""
    found = VERL.search(text)
    if not found:
        return None
    items = REPEATED.sub("", found[2]).split(" - ")
    if cut:
        items.pop()
        counts["cut_off"] += 1
    values = {}
    for item in items:
        tag, _, value = item.rpartition(":")
        values[tag] = number_of(value)
        if values[tag] is None and re.search(rf":{NUMBER}", item):
            counts["values_damaged"] += 1
    values.pop("", None)
    return float(found[1]), values


def openrlhf_record(text: str, cut: bool, counts: Counter) -> tuple[float, dict] | None:
    """(step, values) of a line of OpenRLHF's, None for another line."""
    found = OPENRLHF.search(text)
    if not found:
        return None
    body = REPEATED.sub("", found[3]).rstrip()
    whole = body.endswith("}")
    counts["cut_off"] += not whole
    pairs = PAIR.findall(body if whole else body.rpartition(", '")[0])
    return float(found[1] or found[2]), {tag: number_of(value) for tag, value in pairs}


def prime_records(path: Path, counts: Counter) -> Iterator[Record]:
    """The records of prime-rl's orchestrator or trainer, by the number of updates of the model."""
    evaluated: str | None = None
    for number, text, cut in lines_of(path):
        where = f"{path}: line {number}"
        counts["cut_off"] += cut
        if found := PRIME_RL.search(text):
            counts["steps_from_0"] += 1
            texts = found[2].split(" | ")
            items = [PRIME_ITEM.fullmatch(item.strip()) for item in (texts[:-1] if cut else texts)]
            yield where, float(found[1]) + 1, {item[1]: float(item[2]) for item in items if item}
        elif found := EVALS.search(text):
            evaluated = found[2] or found[1]
        elif found := EVALUATED.search(text):
            if evaluated is None:
                counts["evaluations_without_step"] += 1
                continue
            scores = re.findall(rf"(Avg|Pass)@(\d+)[=:] ?({NUMBER})", found[2], re.IGNORECASE)
            values = {f"eval/{found[1]}/{kind.lower()}@{k}": float(score) for kind, k, score in scores}
            yield where, float(evaluated), values
