"""What the papers claim, recomputed from their published data: ``switchpoint published FOLDER``.

FOLDER holds ``rl_points.csv`` and ``sft_points.csv``, the released curves as tables, and
``table4_v1.csv``, Table 4 of RETU v1.  ``claims`` has the claims with their checks,
``figures`` the figures that the papers print, ``verdicts`` what the verdicts mean.
"""

import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from switchpoint import files
from switchpoint.errors import InputError
from switchpoint.published.claims import CLAIMS
from switchpoint.published.data import COLUMNS, Missing, read
from switchpoint.published.released_ceilings import Finding, ceiling_claims
from switchpoint.published.verdicts import UNCHECKED, VERDICTS

WIDTH, MARGIN = 100, 20


def recompute_claims(folder: str | Path) -> list[dict]:
    """Every claim with its recomputation from the published data in ``folder``.

    Each is {``id``, ``source``, ``claim``, ``recomputation``, ``verdict``} (one of ``verdicts.VERDICTS``),
    all texts; scores in points, compute in exaFLOPs.  A claim whose file or rows are not there is ``not
    checkable``.  InputError when there is no folder, or naming the file and its bad row or missing column.
    """
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such folder; give the one that holds {', '.join(COLUMNS)}")
    data = read(Path(folder))
    claims = []
    for name, source, claim, needed, check in [*CLAIMS, *ceiling_claims(data)]:
        recomputation, verdict = check_claim(data, needed, check)
        entry = {"id": name, "source": source, "claim": claim}
        claims.append(entry | {"recomputation": recomputation, "verdict": verdict})
    return claims


def check_claim(data: dict, needed: tuple[str, ...], check: Callable[[dict], Finding]) -> Finding:
    """What a check finds; ``not checkable`` where the data lack what it needs."""
    absent = [name for name in needed if data[name] is None]
    if absent:
        return f"the folder has no {', '.join(absent)}", UNCHECKED
    try:
        return check(data)
    except Missing as lack:
        return str(lack), UNCHECKED


def verdict_counts(claims: list[dict]) -> dict[str, int]:
    """How many claims have each verdict, in the order of ``VERDICTS``; none with 0."""
    numbers = Counter(claim["verdict"] for claim in claims)
    return {verdict: numbers[verdict] for verdict in VERDICTS if numbers[verdict]}


def count_line(claims: list[dict]) -> str:
    """The verdicts' counts in words."""
    listed = "; ".join(f"{verdict}: {number}" for verdict, number in verdict_counts(claims).items())
    return f"{len(claims)} claims. {listed}."


def claims_text(claims: list[dict]) -> str:
    """The claims as text, a block each, and the counts."""
    return "\n\n".join([*map(claim_block, claims), count_line(claims)])


def claim_block(claim: dict) -> str:
    """A claim as text, wrapped."""
    rows = {"claim": f"{claim['claim']} ({claim['source']})", "found": claim["recomputation"]}
    lines = [
        textwrap.fill(
            text, WIDTH, initial_indent=name.rjust(MARGIN - 2) + "  ", subsequent_indent=" " * MARGIN
        )
        for name, text in rows.items()
    ]
    return "\n".join([f"{claim['id']:<{MARGIN}}{claim['verdict']}", *lines])


def claims_markdown(claims: list[dict]) -> str:
    """The claims as a Markdown table, and the counts."""
    cells = [
        [claim["id"], f"{claim['claim']} ({claim['source']})", claim["recomputation"], claim["verdict"]]
        for claim in claims
    ]
    rows = [f"| {' | '.join(row)} |" for row in cells]
    head = ["| # | claim | recomputation | verdict |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, "", count_line(claims), ""])


def write_claims(claims: list[dict], out: str | Path) -> None:
    """Writes the claims by the file's ending: .json (with the counts), .csv or .md."""
    match Path(out).suffix:
        case ".json":
            files.write_json(out, {"claims": claims, "counts": verdict_counts(claims)})
        case ".csv":
            files.write_text(out, pd.DataFrame(claims).to_csv(index=False))
        case ".md":
            files.write_text(out, claims_markdown(claims))
        case _:
            raise InputError(f"{out}: no such format; end it in .json, .csv or .md")
