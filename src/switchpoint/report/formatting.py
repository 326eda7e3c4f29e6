"""How the report writes numbers, cells and tables."""

import csv
import dataclasses
import html
import io
import math
import re

import pandas as pd

MISSING = "\N{EN DASH}"
NUMBER = re.compile(r"[+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?")


def absent(value: object) -> bool:
    """Whether the value is missing: None, NaN or infinite."""
    return value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value))


def upper_first(words: str) -> str:
    """The words as a sentence begins."""
    return words[:1].upper() + words[1:]


def number(value: float | None, digits: int = 1) -> str:
    """The value with so many digits after the point; a dash where there is none."""
    return MISSING if absent(value) else f"{value:.{digits}f}"


def significant(value: float | None) -> str:
    """The value with three significant digits; a dash where there is none."""
    return MISSING if absent(value) else f"{value:.3g}"


def signed(value: float | None, digits: int = 1) -> str:
    """The value with its sign; a dash where there is none."""
    return MISSING if absent(value) else f"{value:+.{digits}f}"


def with_error(score: float, se: float | None) -> str:
    """A score with its standard error, where it has one."""
    return number(score) if absent(score) or absent(se) else f"{score:.1f} ± {se:.1f}"


def interval(ends: list | None, digits: int = 1) -> str:
    """A 95 % interval in words; an end that is open is said to be."""
    low, high = ends or (None, None)
    if absent(low) and absent(high):
        return MISSING
    if absent(high):
        return f"{number(low, digits)} or more"
    return (
        f"up to {number(high, digits)}" if absent(low) else f"{number(low, digits)} to {number(high, digits)}"
    )


def signed_interval(low: float | None, high: float | None, digits: int = 1) -> str:
    """The ends of a difference's 95 % interval with their signs; a dash where they are missing."""
    return MISSING if absent(low) or absent(high) else f"{low:+.{digits}f} to {high:+.{digits}f}"


def text(value: object) -> str:
    """A cell's text: whole numbers without a point, booleans in words, a dash where there is nothing."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(text, value)) or MISSING
    if isinstance(value, dict):
        return ", ".join(f"{key} {text(item)}" for key, item in value.items()) or MISSING
    if absent(value):
        return MISSING
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells of text under a header; a row of one cell is a heading across the table."""

    header: list[str]
    rows: list[list[str]]

    def html(self) -> str:
        """A table that sorts by any column, within the parts under a heading."""
        numeric = [self.is_numeric(place) for place in range(len(self.header))]
        kinds = [' class="number"' if is_number else "" for is_number in numeric]
        cells = "".join(
            f'<th scope="col"{kind}>{html.escape(name)}</th>'
            for name, kind in zip(self.header, kinds, strict=True)
        )
        lines = [f'<table class="sortable asc n-last"><thead><tr>{cells}</tr></thead>', "<tbody>"]
        for first, *others in self.rows:
            if not others and len(self.header) > 1:
                heading = f'<th colspan="{len(self.header)}" scope="rowgroup">{html.escape(first)}</th>'
                lines.append(f'</tbody><tbody class="part"><tr>{heading}</tr></tbody><tbody>')
                continue
            cells = "".join(map(cell, others, kinds[1:]))
            lines.append(f'<tr><th scope="row">{html.escape(first)}</th>{cells}</tr>')
        return "\n".join([*lines, "</tbody></table>"]).replace("<tbody>\n</tbody>", "")

    def is_numeric(self, place: int) -> bool:
        """Whether a column holds numbers, and dashes where there is none."""
        column = [row[place] for row in self.rows if len(row) > place and row[place] not in ("", MISSING)]
        return place > 0 and bool(column) and all(NUMBER.match(text) and len(text) < 24 for text in column)

    def csv(self) -> str:
        """The same as a csv file; headings stand in a column of their own."""
        part, lines = "", []
        for row in self.rows:
            if len(row) == 1 and len(self.header) > 1:
                part = row[0]
            else:
                lines.append([part, *row])
        shown = slice(0 if part else 1, None)
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerows(line[shown] for line in (["part", *self.header], *lines))
        return buffer.getvalue()

    def markdown(self) -> str:
        """The same for a README, every column but the first aligned to the right."""
        lines = [self.header, ["---"] + ["---:"] * (len(self.header) - 1), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def cell(text: str, kind: str) -> str:
    """A cell; a number in it is what it sorts by."""
    found = NUMBER.match(text) if kind else None
    key = (
        f' data-sort="{found[0].replace(",", "").replace(chr(8722), "-")}"'
        if found
        else ' data-sort=""'
        if kind
        else ""
    )
    return f"<td{kind}{key}>{html.escape(text)}</td>"
