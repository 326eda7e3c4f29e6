"""The report's figures, each a string of SVG whose bytes depend on its inputs alone."""

import io
import itertools
import re
import warnings
from collections.abc import Iterable

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from switchpoint.report.formatting import absent, upper_first
from switchpoint.units import EXAFLOPS, scale_of

# Okabe and Ito's colours, told apart with every common colour blindness; black is the base model.
COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
BASE_COLOR = "#010101"  # the page's text: black, or white in the dark; 000000 would be left out of the SVG
FAINT = "#8a8a8a"
MARKERS = ["o", "s", "^", "D", "v", "P", "X", "*"]
LINES = ["-", "--", "-.", ":"]
DASHES = ["--", ":", "-.", (0, (5, 1, 1, 1, 1, 1))]  # of RL
PHASES = {
    "adaptive": "#0072B2",
    "stable": "#009E73",
    "mild": "#E69F00",
    "severe": "#D55E00",
    "gap": "#888888",
}
PHASE_ALPHA = 0.14
BASES = {
    "ceiling": "ceiling",
    "final score": "last score",
    "test score": "test score",
}  # what an outcome of RL is called
KINDS = {
    "recommended": {"marker": "D", "color": COLORS[1]},
    "may be the best": {"marker": "o", "color": COLORS[0]},
    "excluded": {"marker": "o", "color": FAINT, "mfc": "none"},
    "RL from the base": {"marker": "s", "color": BASE_COLOR, "mfc": "none"},
}
WIDTH, NARROW = 8.6, 5.4  # inches; what a telephone shows whole
MARGIN = 1.09  # how far beyond the last checkpoint the axis goes
BEYOND, ROOM = 1.5, 6.0  # of the last compute, how far curves go; points around a run's scores
RULE, PAPER = "#e4e4e4", "#ffffff"
STYLE = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name may have a $
}


def forest(advice: dict) -> str:
    """The starts with 95 % intervals, highest first: the recommended one, those that may be the best, and the others."""
    starts = [*advice["candidates"], *advice.get("from_base", [])]
    known = sorted((s for s in starts if not absent(s["estimate"])), key=lambda start: start["estimate"])
    kinds = [kind_of(start, advice) for start in known]
    with matplotlib.rc_context(STYLE):
        figure = Figure((NARROW, 1.2 + 0.36 * len(known)), layout="constrained")
        axes = figure.add_subplot()
        for place, (start, kind) in enumerate(zip(known, kinds, strict=True)):
            low, high = start["estimate_ci95"]
            bars_of = bars(low, start["estimate"], high)
            axes.errorbar(
                [start["estimate"]],
                [place],
                xerr=bars_of,
                capsize=3,
                elinewidth=1.6,
                ms=7,
                **KINDS[kind],
            )
            axes.annotate(
                f"{start['estimate']:.1f}", (start["estimate"], place), (0, 6), textcoords="offset points", ha="center",
                fontsize=8.5, color=BASE_COLOR,
            )  # fmt: skip
        axes.set_yticks(range(len(known)), [start["start"] for start in known])
        axes.set_ylim(-0.6, len(known) - 0.2)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(f"{upper_first(advice['basis'])} after RL, points, with its 95 % interval")
        handles = [
            Line2D([], [], ls="none", ms=7, label=kind, **KINDS[kind]) for kind in KINDS if kind in kinds
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=2)
        return svg(figure, "forest", "What RL from every start reaches, with 95 % intervals")


def kind_of(start: dict, advice: dict) -> str:
    """What a start is called in the forest plot, a key of ``KINDS``."""
    if start["start"] == advice["recommended"]:
        return "recommended"
    if start["start"] in advice["tied"] or (not advice["tied"] and start in advice["candidates"]):
        return "may be the best"
    return "excluded" if start in advice["candidates"] else "RL from the base"


def compute_performance(
    pooled_curves: pd.DataFrame, counted: str = EXAFLOPS, known: bool = True, sft_known: bool = True
) -> str:
    """RETU Figure 2: overall score against all compute spent, SFT first, RL branching off it.

    The left end of the logarithmic axis stands for 0.  Runs have the colour of their SFT set; of their algorithm where
    none has a set; and their own where it is not ``known`` what they start from.  ``sft_known`` says whether all compute
    is, or only that of RL.
    """
    points = overall(pooled_curves)
    factor, unit = scale_of(points["exaflops_total"], counted)
    points = points.assign(x=points["exaflops_total"] * factor)
    sft, rl = points[points["phase"] == "sft"], rl_points(points)
    from_base = rl["set"].isna()
    rl = rl.assign(look=rl["algorithm"] if from_base.all() else rl["set"])
    looks = looks_of(pd.concat([sft["set"], rl["look"]]).dropna().unique())
    markers = marker_of(rl["algorithm"].unique())
    drawn = pd.concat([sft["x"], rl["x"]])
    zero = zero_on(drawn)
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH, 5.4), layout="constrained")
        axes = figure.add_subplot()
        for score in points.loc[points["phase"] == "base", "score"]:
            axes.axhline(score, color=BASE_COLOR, linewidth=1, linestyle=":")
        for name, rows in sft.groupby("set", sort=False):
            rows = rows.assign(x=rows["x"].clip(lower=zero)).sort_values("x")
            draw(axes, rows, looks[name][0], "o", linewidth=2.2, markersize=5)
        for (_, algorithm, name), rows in rl.groupby(["run", "algorithm", "look"], sort=False, dropna=False):
            color, style = (BASE_COLOR, DASHES[0]) if pd.isna(name) else looks[name]
            rows = rows.assign(x=rows["x"].clip(lower=zero))
            draw(axes, rows, color, markers[algorithm], linewidth=0.9, linestyle=style, markersize=3.5)
        if known:
            label_starts(axes, rl, looks)
        log_axis(axes, drawn)
        axes.set(xlabel=spent_label(unit, sft_known), ylabel="Overall score, points")
        after = "" if not known else "RL from the base with " if from_base.all() else "RL after SFT on "
        handles = performance_legend(looks, markers, list(sft["set"].unique()), after)
        if from_base.any() and not from_base.all():
            handles.append(Patch(color=BASE_COLOR, label="RL from the base"))
        base = Line2D([], [], color=BASE_COLOR, lw=1, ls=":", label="Base model")
        handles += [base] * bool((points["phase"] == "base").any())
        figure.legend(handles=handles, loc="outside upper center", ncols=4)
        return svg(figure, "compute", "Overall score against total compute")


def label_starts(axes: Axes, rl: pd.DataFrame, looks: dict) -> None:
    """The name of every start of RL but the base at the end of its highest run, as far apart as they can be read."""
    ends = rl[rl["set"].notna()].sort_values("x").drop_duplicates("run", keep="last")
    ends = ends.sort_values("score").drop_duplicates("start", keep="last")
    room, last = 0.035 * np.ptp(axes.get_ylim()), -np.inf
    for row in ends.to_dict("records"):
        last = max(row["score"], last + room)
        axes.annotate(
            row["start"], (row["x"], row["score"]), (6, (last - row["score"]) / room * 10), textcoords="offset points",
            fontsize=8, va="center", color=looks[row["look"]][0], annotation_clip=False,
        )  # fmt: skip
    axes.margins(x=0.12)


def performance_legend(looks: dict, markers: dict, trained: list, after: str) -> list:
    """One entry per SFT set that is drawn, per other look, of RL that comes ``after`` it, and per RL algorithm."""
    handles = [
        Line2D([], [], color=color, lw=2.2, marker="o", ms=5, label=f"SFT on {name}")
        if name in trained
        else Line2D([], [], color=color, lw=0.9, ls=style, label=f"{after}{name}")
        for name, (color, style) in looks.items()
    ]
    return handles + [
        Line2D([], [], color=FAINT, lw=0.9, ls="--", marker=marker, ms=4, label=f"RL with {name}")
        for name, marker in markers.items()
        if after and name not in looks
    ]


def arm_curves(curves: pd.DataFrame, counted: str = EXAFLOPS, sft_known: bool = True) -> str:
    """Every arm's overall score against all compute, pooled over its seeds: a colour per algorithm, a mark per start."""
    factor, unit = scale_of(curves["exaflops_total"], counted)
    rl = curves[curves["algorithm"] != "sft"]
    colors, markers = color_of(rl["algorithm"].unique()), marker_of(rl["start"].unique())
    sets = style_of(curves.loc[curves["algorithm"] == "sft", "set"].unique())
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH, 5.4), layout="constrained")
        axes = figure.add_subplot()
        for _, rows in curves.groupby("arm", sort=False):
            x, score, se = rows["exaflops_total"] * factor, rows["score"], rows["se"]
            first = rows.iloc[0]
            is_sft = first["algorithm"] == "sft"
            color = BASE_COLOR if is_sft else colors[first["algorithm"]]
            style = (
                {"ls": sets[first["set"]], "lw": 2}
                if is_sft
                else {"marker": markers[first["start"]], "lw": 1.3}
            )
            axes.plot(x, score, color=color, markevery=max(len(rows) // 8, 1), markersize=4.5, **style)
            axes.fill_between(x, score - se, score + se, color=color, alpha=0.12, linewidth=0)
        axes.set(xlabel=spent_label(unit, sft_known), ylabel="Overall score, points")
        handles = [
            Line2D([], [], color=BASE_COLOR, lw=2, ls=sets[name], label=f"SFT on {name}") for name in sets
        ]
        handles += [Line2D([], [], color=colors[name], lw=1.3, label=name) for name in colors]
        handles += [
            Line2D([], [], color="#666666", lw=0, marker=markers[name], ms=5, label=f"from {name}")
            for name in markers
        ]
        figure.legend(handles=handles, loc="outside upper center", ncols=5)
        return svg(figure, "arms", "Overall score of every arm against total compute")


def ceiling_decomposition(
    scores: pd.DataFrame,
    phases: dict,
    outcomes: pd.DataFrame,
    runs: pd.DataFrame,
    set_name: str,
    counted: str = EXAFLOPS,
) -> str:
    """RETU Figure 3 for one SFT set: score after SFT, and what RL adds to it.

    ``scores`` has set, step, exaflops_total, score, low and high of every SFT checkpoint, on the same problems as
    ``outcomes``.  The upper end is the test score; without test scores the fitted ceiling where every seed's is
    identified, else the last RL score, which only bounds the ceiling from below.
    """
    factor, unit = scale_of(scores["exaflops_total"], counted)
    points = scores[scores["set"] == set_name].sort_values("exaflops_total")
    points = points.assign(x=points["exaflops_total"] * factor)
    after = outcomes[outcomes["set"] == set_name]
    sft_runs = runs.loc[(runs["algorithm"] == "sft") & (runs["set"] == set_name), "run"]
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH, 3.4), layout="constrained")
        axes = figure.add_subplot()
        shown = shade(axes, points, phases, sft_runs)
        draw(axes, points, COLORS[0], "o", linewidth=2, markersize=5)
        where = points.set_index("step")["x"]
        algorithms = marker_of(after["algorithm"].unique())
        for row in after.to_dict("records"):
            if row["start_step"] in where.index:
                draw_outcome(axes, where[row["start_step"]], row, algorithms[row["algorithm"]])
        axes.set(xlabel=f"SFT compute, {unit}", ylabel="Overall score, points")
        axes.set_xlim(0, points["x"].max() * MARGIN)
        axes.grid(visible=False, axis="x")
        figure.legend(
            handles=decomposition_legend(after, algorithms, shown), loc="outside upper center", ncols=4
        )
        return svg(figure, f"decomposition-{set_name}", f"What RL adds after SFT on {set_name}")


def draw_outcome(axes: Axes, x: float, row: dict, marker: str) -> None:
    """The upper end of one start: a ceiling (filled) or a last score (open), and the gap below it."""
    color, start = COLORS[1], row["p_start"]
    identified = row["basis"] != "final score"
    axes.plot([x, x], [start, row["value"]], color=color, linewidth=5, alpha=0.25, solid_capstyle="butt")
    axes.errorbar(
        [x], [row["value"]], yerr=bars(row["low"], row["value"], row["high"]), color=color, marker=marker,
        markersize=7, markerfacecolor=color if identified else "white", linewidth=1.2, capsize=3,
    )  # fmt: skip
    axes.annotate(
        f"{row['gain']:+.1f}", (x, (start + row["value"]) / 2), (6, 0),
        textcoords="offset points", fontsize=8.5, color=BASE_COLOR, va="center",
    )  # fmt: skip


def decomposition_legend(after: pd.DataFrame, algorithms: dict, shown: list[str]) -> list:
    """The marks that the figure has, and the phases it is shaded with."""
    handles = [Line2D([], [], color=COLORS[0], marker="o", lw=2, label="After SFT (P_sft)")]
    names = BASES | {"ceiling": "fitted ceiling"}
    for (algorithm, basis), _ in after.groupby(["algorithm", "basis"], sort=False):
        face = COLORS[1] if basis != "final score" else "white"
        handles.append(
            Line2D([], [], color=COLORS[1], marker=algorithms[algorithm], mfc=face, lw=1.2, ms=7,
                   label=f"{algorithm}: {names[basis]}")
        )  # fmt: skip
    if len(after):
        handles.append(Patch(color=COLORS[1], alpha=0.25, label="What RL adds"))
    return handles + [
        Patch(color=PHASES[name], alpha=PHASE_ALPHA, label=f"{name} phase")
        for name in PHASES
        if name in shown
    ]


def shade(axes: Axes, points: pd.DataFrame, phases: dict, sft_runs: Iterable[str]) -> list[str]:
    """Colours the background by the phase of the nearest checkpoint; returns the phases there are.

    Seeds that disagree on a checkpoint's phase leave it unshaded.
    """
    guarded = [phases["runs"][run]["guarded"] for run in sft_runs if run in phases["runs"]]
    labels = [{labelled.get(f"{step:.0f}") for labelled in guarded} for step in points["step"]]
    x = points["x"].to_numpy()
    edges = np.concatenate([[min(0, x[0])], (x[1:] + x[:-1]) / 2, [x[-1] * MARGIN]])
    shown = []
    for of_seeds, left, right in zip(labels, edges[:-1], edges[1:], strict=True):
        name = next(iter(of_seeds)) if len(of_seeds) == 1 else None
        if name in PHASES:
            axes.axvspan(left, right, color=PHASES[name], alpha=PHASE_ALPHA, linewidth=0, zorder=-5)
            shown.append(name)
    return shown


def fitted_curves(pooled_curves: pd.DataFrame, ceilings: dict, counted: str = EXAFLOPS) -> str:
    """RETU Figure 5b-f: every RL run's points, its fitted curve and its ceiling's interval."""
    rl = rl_points(overall(pooled_curves))
    names = list(rl["run"].unique())
    factor, unit = scale_of(rl["exaflops"], counted)
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH, 2.7 * lines + 0.4), layout="constrained")
        grid = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes, name in zip(grid, names, strict=False):
            draw_fit(axes, rl[rl["run"] == name], ceilings["runs"].get(name, {}), factor)
            axes.set_xlabel(f"RL compute, {unit}")
        for axes in grid[len(names) :]:
            axes.remove()
        for axes in grid[::columns]:
            axes.set_ylabel("Overall score, points")
        fits = [fit for name in names if (fit := ceilings["runs"].get(name)) and fit.get("curve")]
        figure.legend(handles=fit_legend(fits, rl["low"].notna().any()), loc="outside upper center", ncols=2)
        return svg(figure, "fits", "Scores and fitted curves of the RL runs")


def fit_legend(fits: list[dict], has_bars: bool) -> list:
    """What the panels of these fits show; ``has_bars``: scores have errors."""
    bound = [not absent(fit.get("a")) for fit in fits]
    handles = [
        Line2D(
            [],
            [],
            color=COLORS[0],
            marker="o",
            ms=4,
            lw=1,
            ls="none",
            label="Score, ±1.96 standard errors" if has_bars else "Score",
        )
    ]
    if any(bound):
        handles += [
            Line2D([], [], color=COLORS[1], lw=1.8, label="Curve and its 95 % band, ceiling identified"),
            Patch(color=COLORS[2], alpha=0.2, label="Ceiling, 95 % interval"),
        ]
    if not all(bound):
        handles.append(
            Line2D([], [], color=BASE_COLOR, lw=1.8, label="Curve and its 95 % band, ceiling unidentified")
        )
    return handles


def draw_fit(axes: Axes, rows: pd.DataFrame, fit: dict, factor: float) -> None:
    """One panel: points, the curve with its 95 % band, and the ceiling where the data identify it."""
    x = rows["exaflops"] * factor
    draw(axes, rows.assign(x=x), COLORS[0], "o", linewidth=0, markersize=4)
    curve = [point for point in fit.get("curve") or [] if point["exaflops"] * factor <= BEYOND * x.max()]
    at = np.array([point["exaflops"] * factor for point in curve])
    score = np.array([point["score"] for point in curve], dtype=float)
    band = np.array([point["ci95"] for point in curve], dtype=float).reshape(-1, 2)
    seen = at <= x.max()
    color = BASE_COLOR if absent(fit.get("a")) else COLORS[1]
    axes.fill_between(at, *band.T, color=color, alpha=0.12, linewidth=0)
    axes.plot(at[seen], score[seen], color=color, linewidth=1.8)
    axes.plot(at[seen.sum() - 1 :], score[seen.sum() - 1 :], color=color, linewidth=1.2, linestyle=":")
    if not absent(fit.get("a")):
        axes.axhline(fit["a"], color=COLORS[2], linewidth=1, linestyle="--")
        low, high = fit.get("a_ci95") or (None, None)
        if not absent(low) and not absent(high):
            axes.axhspan(low, high, color=COLORS[2], alpha=0.15, linewidth=0)
    axes.set_title(f"{rows['run'].iloc[0]}\n{fit.get('status', 'not fitted')}", loc="left")
    axes.set_ylim(max(rows["score"].min() - ROOM, 0), min(rows["score"].max() + ROOM, 100))
    axes.xaxis.set_major_locator(MaxNLocator(5))


def loss_against_outcome(highest: pd.DataFrame) -> str:
    """RETU Figure 5a: each set's lowest validation loss against what RL made of it.

    ``highest`` has a row per set (``highest_outcomes``), all on one basis: filled marks are the means over stable starts, open ones
    the highest outcomes.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH, 3.8), layout="constrained")
        axes = figure.add_subplot()
        for row in highest.to_dict("records"):
            for prefix, fill in (("", "none"), ("stable_", "full")):
                value = row[f"{prefix}value"]
                if absent(value):
                    continue
                error = bars(row[f"{prefix}low"], value, row[f"{prefix}high"])
                axes.errorbar(
                    [row["loss"]],
                    [value],
                    yerr=error,
                    color=COLORS[0],
                    marker="o",
                    ms=7,
                    capsize=3,
                    fillstyle=fill,
                )
            label = f"{row['set']}-{row['start_step']:.0f}"
            axes.annotate(label, (row["loss"], row["value"]), (8, 4), textcoords="offset points", fontsize=8)
        marks = {"full": "mean over stable starts", "none": "highest of all starts"}
        handles = [
            Line2D([], [], color=COLORS[0], marker="o", linewidth=0, fillstyle=fill, label=name)
            for fill, name in marks.items()
        ]
        axes.legend(handles=handles)
        basis = BASES[highest["basis"].iloc[0]]
        axes.set(
            xlabel="Lowest validation loss of the set, nats a token",
            ylabel=f"{basis[0].upper()}{basis[1:]} after RL, points",
        )
        axes.margins(x=0.2, y=0.15)
        return svg(figure, "loss", "Lowest validation loss against the score after RL")


# What the figures are made of


def overall(points: pd.DataFrame) -> pd.DataFrame:
    """The rows of the weighted score."""
    return points[points["benchmark"] == "overall"]


def rl_points(points: pd.DataFrame) -> pd.DataFrame:
    """The RL runs' points in the order of their compute; each run has its start at 0."""
    return points[points["phase"] == "rl"].sort_values(["run", "exaflops"])


# Drawing


def spent_label(unit: str, sft_known: bool) -> str:
    """Of an axis of all compute, or of RL's where nothing is known of SFT's."""
    return f"Total compute, {unit} (SFT and RL)" if sft_known else f"RL compute, {unit} (SFT's is not known)"


def draw(axes: Axes, points: pd.DataFrame, color: str, marker: str, **style) -> None:
    """Points with their 95 % intervals where they have one."""
    axes.plot(points["x"], points["score"], color=color, marker=marker, **style)
    known = points[points["low"].notna()]
    axes.errorbar(
        known["x"],
        known["score"],
        yerr=[known["score"] - known["low"], known["high"] - known["score"]],
        fmt="none",
        ecolor=color,
        elinewidth=0.8,
        alpha=0.35,
    )


def bars(low: float, value: float, high: float) -> list[list[float]] | None:
    """An error bar from an interval; None where it is unknown."""
    return None if absent(low) or absent(high) else [[value - low], [high - value]]


def zero_on(x: pd.Series) -> float:
    """Where on a logarithmic axis of these values 0 is drawn: a step below the lowest of the others."""
    above = x[x > 0]
    return 1.0 if above.empty else float(above.min() / (1.5 if spans_little(above) else 2.5))


def spans_little(above: pd.Series) -> bool:
    """Whether powers of ten alone would label too little."""
    return above.max() / above.min() < 100


def log_axis(axes: Axes, x: pd.Series) -> None:
    """A logarithmic x axis with plain numbers, enough of them however short it is, and 0 where ``zero_on`` puts it."""
    above, zero = x[x > 0], zero_on(x)
    axes.set_xscale("log")
    if above.empty:
        return
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if spans_little(above) else (1,)))
    has_zero = len(above) < len(x)
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: "" if has_zero and value < above.min() else f"{value:g}")
    )
    axes.xaxis.set_minor_formatter(NullFormatter())
    if has_zero:
        axes.set_xlim(left=zero / 1.1)
        axes.annotate(
            "0", (zero, 0), (0, -4), xycoords=axes.get_xaxis_transform(), textcoords="offset points", ha="center",
            va="top", color=BASE_COLOR,
        )  # fmt: skip


def looks_of(names: Iterable[str]) -> dict[str, tuple]:
    """A colour and RL's dashes for every name, different for the first 24."""
    names = list(names)
    return {
        name: (COLORS[place % len(COLORS)], DASHES[place // len(COLORS) % len(DASHES)])
        for place, name in enumerate(names)
    }


def color_of(sets: Iterable[str]) -> dict[str, str]:
    """A colour for every set; they begin again when they run out."""
    return dict(zip(sets, itertools.cycle(COLORS), strict=False))


def marker_of(algorithms: Iterable[str]) -> dict[str, str]:
    """A marker for every algorithm; they begin again when they run out."""
    return dict(zip(algorithms, itertools.cycle(MARKERS), strict=False))


def style_of(sets: Iterable[str]) -> dict[str, str]:
    """A line style for every set; they begin again when they run out."""
    return dict(zip(sets, itertools.cycle(LINES), strict=False))


# Of the page, so that a figure follows it into the dark; alone it is drawn with what stands behind the comma.
PAGE_COLORS = {
    "#000000": "currentColor",
    BASE_COLOR: "currentColor",
    RULE: f"var(--rule, {RULE})",
    PAPER: f"var(--paper, {PAPER})",
}


def svg(figure: Figure, name: str, label: str) -> str:
    """The figure as an ``<svg>`` element with fixed ids, unique on a page of several figures."""
    with matplotlib.rc_context({"svg.hashsalt": name}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # the browser draws the texts
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    source = buffer.getvalue()
    source = re.sub(r"<metadata>.*?</metadata>", "", source[source.index("<svg") :], flags=re.DOTALL)
    source = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", source)
    for color, variable in PAGE_COLORS.items():
        source = source.replace(f": {color}", f": {variable}")
    source = source.replace("'DejaVu Sans'", "'DejaVu Sans', sans-serif")
    return source.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
