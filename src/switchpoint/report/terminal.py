"""What the commands print: compact tables of what they found."""

from collections.abc import Iterable

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from switchpoint.report.analysis_tables import form_of, gain_of, verdict_on
from switchpoint.report.formatting import absent, interval, number, signed, signed_interval
from switchpoint.units import say, unit_of

WIDE = 1000  # characters, where the output is no terminal: a table then takes what it needs
LAST_APART = "the last evaluation is far from what the others predict and left out, till the next one tells"


def show(table: Table | Group) -> None:
    """Prints the table."""
    console().print(table, crop=False)


def as_text(table: Table) -> str:
    """The table as it would be printed, without a line break at its end."""
    screen = console()
    with screen.capture() as captured:
        screen.print(table, crop=False)
    return captured.get().rstrip("\n")


def console() -> Console:
    """Standard output: as wide as the terminal, or ``WIDE``."""
    screen = Console()
    return screen if screen.is_terminal else Console(width=WIDE)


def table_of(header: list[str], rows: Iterable[list[str]], words: Iterable[str] = ()) -> Table:
    """A table of plain text; the columns ``words`` are sentences, which wrap, the others but the first are numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for place, name in enumerate(header):
        is_text = place == 0 or name in words
        table.add_column(name, justify="left" if is_text else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def fits(document: dict) -> Group:
    """What ``fit`` found: a line per run, and below them why runs have no ceiling."""
    rows, why = [], []
    for run, fit in document["runs"].items():
        # After a collapse nothing is added but by going back.
        collapsed = fit["status"] == "collapsed"
        doubling = {} if collapsed else next((gain for gain in fit["gains"] if gain["times"] == 2), {})
        spent = fit["x_last"]
        said = [fit["reason"], LAST_APART if "last_apart" in fit["flags"] else None]
        why += [Text(f"{run}: {words}") for words in said if words]
        rows.append([
            run, fit["status"], form_of(fit), number(fit["a"]), interval(fit["a_ci95"]), number(fit["p_start"]),
            number(fit["observed_peak"]), "" if absent(spent) else say(spent, unit_of(fit)),
            f"{signed(doubling.get('gain'))} ({signed_interval(*doubling.get('ci95', (None, None)))})" if doubling else "",
        ])  # fmt: skip
    header = [
        "run",
        "status",
        "form (weight)",
        "ceiling",
        "95 %",
        "start",
        "peak",
        "compute",
        "twice of it adds (95 %)",
    ]
    return Group(table_of(header, rows, ["status", "form (weight)"]), *why)


def phases(document: dict) -> Table:
    """What ``phases`` found: a line per run, with the steps of every sub-phase."""
    rows = []
    for run, found in document["runs"].items():
        first, last = found["stable"]
        steps = {name: [] for name in ("adaptive", "mild", "severe")}
        for step, label in found["guarded"].items():
            steps.setdefault(label, []).append(step)
        rows.append([
            run, f"{found['loss_min']:.4g} at {found['step_min']}", span(steps["adaptive"]), span([str(first), str(last)]),
            *(span(steps[name]) for name in ("mild", "severe")), span([str(step) for step in found["excluded"]]),
        ])  # fmt: skip
    return table_of(
        ["run", "lowest loss", "adaptive", "stable", "mild", "severe", "no number (left out)"], rows
    )


def span(steps: list[str]) -> str:
    """The first and the last of the steps."""
    return "" if not steps else steps[0] if steps[0] == steps[-1] else f"{steps[0]} to {steps[-1]}"


def starts(advice: dict) -> Table:
    """The starts that ``advise`` compared, highest first."""
    rows = [
        [
            start["start"], verdict_on(start, advice),
            number(start["estimate_before"]), number(start["estimate"]), gain_of(start), number(start["estimate_se"]), f"{len(start['runs'])}",
            say(start["exaflops"], unit_of(start)), start["phase"],
        ]
        for start in advice["candidates"]
    ]  # fmt: skip
    return table_of(
        ["start", "", "before RL", advice["basis"], "gain", "se", "seeds", "compute", "phase"],
        rows,
        ["", "phase"],
    )
