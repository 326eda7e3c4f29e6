"""How the report writes numbers, cells and tables."""

import html
import math

import pandas as pd

MISSING = "\N{EN DASH}"


def absent(value: object) -> bool:
    """Whether the value is missing: None, NaN or infinite."""
    return value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value))


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


def html_table(header: list[str], rows: list[list[str]]) -> str:
    """An HTML table of plain text; a row of one cell is a heading across the table."""
    lines = ["<table>"]
    cells = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in header)
    lines.append(f"<thead><tr>{cells}</tr></thead><tbody>")
    for first, *others in rows:
        if not others and len(header) > 1:
            lines.append(f'<tr class="part"><th colspan="{len(header)}">{html.escape(first)}</th></tr>')
            continue
        cells = "".join(f"<td>{html.escape(cell)}</td>" for cell in others)
        lines.append(f'<tr><th scope="row">{html.escape(first)}</th>{cells}</tr>')
    return "\n".join([*lines, "</tbody></table>"])


def markdown_table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, every column but the first aligned to the right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
