"""The report's tables of the analysis: ceilings, phases, predictors and the advice."""

from switchpoint.analysis.advice import is_told
from switchpoint.report.formatting import (
    MISSING,
    Table,
    absent,
    interval,
    number,
    signed,
    signed_interval,
    significant,
    text,
    upper_first,
)
from switchpoint.units import scale_of, unit_of


def fit_table(ceilings: dict, runs: list[str]) -> Table:
    """RETU Table 4: the fitted curves of the named runs, every ceiling with interval and status."""
    fits = {run: ceilings["runs"][run] for run in runs if run in ceilings["runs"]}
    factor, unit = scale_of(
        [fit.get("c_mid") for fit in fits.values()], unit_of(next(iter(fits.values()), {}))
    )
    header = [
        "Run", "Status", "P_start", "Ceiling A", "95 %", f"C_mid, {unit}", "B", "PL", "Peak", "Noise sd",
        "Form (weight)", "Held-out (naive) RMSE", "Points (dropped)", "Why",
    ]  # fmt: skip
    rows = []
    for run, fit in fits.items():
        known = not absent(fit.get("a"))
        middle, slope, gain = (fit.get(key) if known else None for key in ("c_mid", "b", "plasticity"))
        rows.append([
            run, fit["status"], number(fit.get("p_start")), number(fit.get("a")) if known else "unidentified",
            interval(fit.get("a_ci95")),
            significant(None if absent(middle) else middle * factor), number(slope, 2), number(gain),
            number(fit.get("observed_peak")), number(fit.get("noise_sd"), 2),
            form_of(fit), f"{number(fit.get('heldout_rmse'), 2)} ({number(fit.get('heldout_rmse_naive'), 2)})",
            f"{number(fit.get('n_used'), 0)} ({number(fit.get('n_dropped'), 0)})", fit.get("reason") or "",
        ])  # fmt: skip
    return Table(header, rows)


def form_of(fit: dict) -> str:
    """The form that explains the points best, and its weight among all."""
    form = fit.get("form")
    return MISSING if absent(form) else f"{form} ({100 * fit['forms'][form]:.0f} %)"


def decomposition_table(ceilings: dict, runs: list[str]) -> Table:
    """RETU Eq. 10 and 12: where the score of every RL run comes from."""
    keys = ["p_0", "delta_sft", "p_sft", "delta_rl", "p_post", "a_post", "plasticity_rl"]
    header = ["Run", "P_0", "ΔP_sft", "P_sft", "ΔP_rl", "P_post", "A_post", "PL_rl"]
    parts = {run: (ceilings["runs"].get(run) or {}).get("decomposition") for run in runs}
    rows = [[run, *(number(terms[key]) for key in keys)] for run, terms in parts.items() if terms]
    return Table(header, rows)


def phase_table(phases: dict) -> Table:
    """The sub-phase of every checkpoint, with the share of bootstrap draws that agree."""
    rows = []
    for run, labelled in phases["runs"].items():
        certain, stability = labelled.get("certain") or {}, labelled.get("stability") or {}
        of_sequences = labelled.get("sequence_loss") or {}
        for step, label in labelled["labels"].items():
            guarded, share = labelled["guarded"][step], certain.get(step)
            others = {name: part for name, part in stability.get(step, {}).items() if name != label}
            rows.append([
                f"{run}, step {step}", label, guarded if guarded != label else "",
                number(share and 100 * share, 0),
                ", ".join(f"{name} {100 * part:.0f} %" for name, part in others.items()),
                number(of_sequences.get(step), 4),
            ])  # fmt: skip
    header = ["Checkpoint", "Phase", "Guarded", "Draws that agree, %", "The others", "Loss by example, nats"]
    return Table(header, rows)


def predictor_table(predictors: dict) -> Table:
    """How well each predictor foretells the score after RL."""
    rows = []
    for name, entry in predictors["predictors"].items():
        if entry["verdict"] != "ok":
            rows.append([name, *[MISSING] * 6, entry["verdict"]])
            continue
        r2, loo, rank = entry["r2"], entry["leave_one_out"], entry["spearman"]
        remark = "lowest leave-one-out error" if name == predictors["best"] else ""
        rows.append([
            name, mean_and_sd(r2["mean"], r2["standard_deviation"]), number(rank["rho"], 2),
            number(rank["p"], 3), number(loo["rmse"]), number(loo["r2"], 2),
            number(entry["regret"]["points"]), remark,
        ])  # fmt: skip
    header = ["Predictor", "R², mean ± sd", "Spearman", "p", "LOO RMSE", "LOO R²", "Regret", "Remark"]
    return Table(header, rows)


def mean_and_sd(value: float | None, sd: float | None) -> str:
    """A mean with its standard deviation; a dash where there is none."""
    return MISSING if absent(value) else f"{value:.2f} ± {number(sd, 2)}"


def prediction_table(predictors: dict) -> Table:
    """The predicted scores after RL of the checkpoints without RL, by the best predictor."""
    name = predictors["best"]
    rows = []
    for model in predictors["models"]:
        prediction = model["predictions"][name]
        remarks = ["outside the calibrated range"] * prediction["extrapolated"]
        remark = ", ".join(remarks + ["clipped to 0..100"] * prediction["clipped"])
        rows.append([model["model"], number(prediction["score"]), interval(prediction["pi95"]), remark])
    return Table(["Checkpoint", f"Predicted by {name}", "95 %", "Remark"], rows)


def continuation_table(advice: dict) -> Table:
    """Stop or continue, run by run: what doubling the RL compute is expected to add."""
    rows = []
    for run in advice["stop_continue"]:
        doubling = next((gain for gain in run["gains"] if gain["times"] == 2), {})
        ends = doubling.get("ci95") or (None, None)
        rows.append([
            run["run"], run["verdict"], signed(doubling.get("gain")),
            signed_interval(*ends),
            "; ".join(run["caveats"]),
        ])  # fmt: skip
    return Table(["Run", "Verdict", "Gain by doubling", "95 %", "But"], rows)


def equal_compute_table(advice: dict) -> Table:
    """The groups at equal RL and at equal total compute, highest first."""
    equal = advice["equal_compute"]
    spent = [row["exaflops"] for axis in ("rl", "total") for row in equal[axis]]
    factor, unit = scale_of(spent, unit_of(next(iter(advice["candidates"]), {})))
    rows = []
    for axis, title in (("rl", "RL compute"), ("total", "Total compute")):
        rows += [[title]] if equal[axis] else []
        for row in equal[axis]:
            scores = ", ".join(map(group_score, row["scores"]))
            rows.append([
                significant(row["exaflops"] * factor), row["leader"], text(row["significant"]), scores,
            ])  # fmt: skip
    return Table([unit, "Leads", "Significant", "Scores (95 %)"], rows)


def group_score(score: dict) -> str:
    """A group's score at equal compute, with its interval."""
    extrapolated = ", extrapolated" if score["extrapolated"] else ""
    return f"{score['group']} {number(score['score'])} ({interval(score['ci95'])}{extrapolated})"


def crossover_table(advice: dict) -> Table | None:
    """The crossovers within the data, a row each; None when there are none."""
    rows = [
        [" and ".join(pair["starts"]), pair["axis"], pair["words"]]
        for pair in advice["crossovers"]
        if any(map(is_told, pair["crossings"]))
    ]
    return Table(["Starts", "Compute", "Crossover"], rows) if rows else None


def instability_table(advice: dict) -> Table:
    """How much the scores of every run vary around their trend."""
    instability = advice["instability"]
    rows = [
        [
            run, number(entry["sd"], 2), interval(entry["ci95"], 2), number(entry["ratio"], 2),
            interval(entry["ratio_ci95"], 2), entry["reason"] or "",
        ]
        for run, entry in instability["runs"].items()
    ]  # fmt: skip
    reference = instability["reference"] or "a reference"
    return Table(["Run", "SD", "95 %", f"Ratio to {reference}", "95 % of it", "Remark"], rows)


def diverged_table(advice: dict) -> Table:
    """The share of diverged seeds of every start."""
    rows = [
        [
            f"{row['start']}, {row['algorithm']}", f"{row['diverged']} of {row['seeds']}",
            interval([100 * end for end in row["ci95"]], 0),
        ]
        for row in advice["instability"]["groups"]
    ]  # fmt: skip
    return Table(["Start", "Seeds diverged", "95 %, %"], rows)


def start_table(advice: dict) -> Table:
    """Every start with what it was compared on, and whether it may be the best."""
    compared = [*advice["candidates"], *advice.get("from_base", [])]
    factor, unit = scale_of([start["exaflops"] for start in compared], unit_of(compared[0]))
    rows = [
        [
            start["start"], verdict_on(start, advice), number(start["estimate_before"]), number(start["estimate"]),
            gain_of(start), number(start["estimate_se"]),
            number(len(start["runs"]), 0), significant(start["sft_exaflops"] * factor) if start["sft_known"] else MISSING,
            significant(start["rl_exaflops"] * factor), start["phase"],
        ]
        for start in compared
    ]  # fmt: skip
    header = [
        "Start",
        "Verdict",
        "Before RL",
        upper_first(advice["basis"]),
        "Gain",
        "Standard error",
        "Seeds",
        f"SFT, {unit}",
        f"RL, {unit}",
        "Phase",
    ]
    return Table(header, rows)


def gain_of(start: dict) -> str:
    """What RL adds to a start; a dash where the score before it is not known."""
    before = start["estimate_before"]
    return MISSING if absent(before) else signed(start["estimate"] - before)


def verdict_on(start: dict, advice: dict) -> str:
    """What the advice says of a start."""
    if start not in advice["candidates"]:
        return "RL alone"
    if start["start"] == advice["recommended"]:
        return "recommended"
    if start["start"] in advice["tied"]:
        return "may be the best"
    if start["estimate_basis"] != advice["basis"]:
        return f"excluded, by {start['estimate_basis']}"
    return "excluded" if advice["tied"] else "open"
