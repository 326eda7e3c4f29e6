"""The report's tables of the analysis: ceilings, phases, predictors and the advice."""

import pandas as pd

from switchpoint.report.tables import (
    MISSING,
    absent,
    compute_unit,
    html_table,
    number,
    significant,
    text,
)


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


def signed(value: float | None, digits: int = 1) -> str:
    return MISSING if absent(value) else f"{value:+.{digits}f}"


def fit_table(ceilings: dict, runs: list[str]) -> str:
    """RETU Table 4: the fitted curve of the named runs that have a fit; every ceiling with interval and status."""
    fits = {run: ceilings["runs"][run] for run in runs if run in ceilings["runs"]}
    factor, unit = compute_unit(pd.Series([fit.get("c_mid") for fit in fits.values()], dtype=float))
    header = ["Run", "Status", "P_start", "Ceiling A", "95 %", f"C_mid, {unit}", "B", "PL", "Peak",
              "Noise sd", "Held-out (naive) RMSE", "Points (dropped)", "Why"]  # fmt: skip
    rows = []
    for run, fit in fits.items():
        known = not absent(fit.get("a"))
        middle, slope, gain = (fit.get(key) if known else None for key in ("c_mid", "b", "plasticity"))
        rows.append([
            run, fit["status"], number(fit.get("p_start")), number(fit.get("a")) if known else "unidentified",
            interval(fit.get("a_ci95")),
            significant(None if absent(middle) else middle * factor), number(slope, 2), number(gain),
            number(fit.get("observed_peak")), number(fit.get("noise_sd"), 2),
            f"{number(fit.get('heldout_rmse'), 2)} ({number(fit.get('heldout_rmse_naive'), 2)})",
            f"{number(fit.get('n_used'), 0)} ({number(fit.get('n_dropped'), 0)})", fit.get("reason") or "",
        ])  # fmt: skip
    return html_table(header, rows)


def decomposition_table(ceilings: dict, runs: list[str]) -> str:
    """RETU Eq. 10 and 12: where the score of every RL run comes from."""
    keys = ["p_0", "delta_sft", "p_sft", "delta_rl", "p_post", "a_post", "plasticity_rl"]
    found = {run: (ceilings["runs"].get(run) or {}).get("decomposition") for run in runs}
    header = ["Run", "P_0", "ΔP_sft", "P_sft", "ΔP_rl", "P_post", "A_post", "PL_rl"]
    return html_table(
        header, [[run, *(number(parts[key]) for key in keys)] for run, parts in found.items() if parts]
    )


def phase_table(phases: dict) -> str:
    """The sub-phase of every checkpoint, with the share of bootstrap draws that agree."""
    rows = []
    for run, found in phases["runs"].items():
        certain = found.get("certain") or {}
        for step, label in found["labels"].items():
            guarded = found["guarded"][step]
            share = certain.get(step)
            others = {
                name: part
                for name, part in (found.get("stability") or {}).get(step, {}).items()
                if name != label
            }
            rows.append([
                f"{run}, step {step}", label, guarded if guarded != label else "", number(share and 100 * share, 0),
                ", ".join(f"{name} {100 * part:.0f} %" for name, part in others.items()),
            ])  # fmt: skip
    return html_table(["Checkpoint", "Phase", "Guarded", "Draws that agree, %", "The others"], rows)


def predictor_table(predictors: dict) -> str:
    """How well each predictor foretells the score after RL."""
    rows = []
    for name, found in predictors["predictors"].items():
        if found["verdict"] != "ok":
            rows.append([name, *[MISSING] * 6, found["verdict"]])
            continue
        r2, loo, rank = found["r2"], found["leave_one_out"], found["spearman"]
        remark = "lowest leave-one-out error" if name == predictors["best"] else ""
        rows.append([
            name, mean_and_sd(r2["mean"], r2["standard_deviation"]), number(rank["rho"], 2), number(rank["p"], 3),
            number(loo["rmse"]), number(loo["r2"], 2), number(found["regret"]["points"]), remark,
        ])  # fmt: skip
    header = ["Predictor", "R², mean ± sd", "Spearman", "p", "LOO RMSE", "LOO R²", "Regret", "Remark"]
    return html_table(header, rows)


def mean_and_sd(value: float | None, sd: float | None) -> str:
    return MISSING if absent(value) else f"{value:.2f} ± {number(sd, 2)}"


def prediction_table(predictors: dict) -> str:
    """The predicted scores after RL of the checkpoints without RL, by the best predictor."""
    name = predictors["best"]
    rows = []
    for model in predictors["models"]:
        found = model["predictions"][name]
        remark = "outside the calibrated range" if found["extrapolated"] else ""
        rows.append([model["model"], number(found["score"]), interval(found["pi95"]), remark])
    return html_table(["Checkpoint", f"Predicted by {name}", "95 %", ""], rows)


def next_table(advice: dict) -> str:
    """Stop or continue, run by run: what doubling the RL compute is expected to add."""
    rows = []
    for run in advice["stop_continue"]:
        doubling = next((gain for gain in run["gains"] if gain["times"] == 2), {})
        ends = doubling.get("ci95") or (None, None)
        rows.append([
            run["run"], run["verdict"], signed(doubling.get("gain")),
            MISSING if absent(ends[0]) else f"{signed(ends[0])} to {signed(ends[1])}",
            "; ".join(run["caveats"]),
        ])  # fmt: skip
    return html_table(["Run", "Verdict", "Gain by doubling", "95 %", "But"], rows)


def equal_compute_table(advice: dict) -> str:
    """The groups at equal RL and at equal total compute, highest first."""
    equal = advice["equal_compute"]
    spent = [row["exaflops"] for axis in ("rl", "total") for row in equal[axis]]
    factor, unit = compute_unit(pd.Series(spent, dtype=float))
    rows = []
    for axis, title in (("rl", "RL compute"), ("total", "Total compute")):
        rows += [[title]] if equal[axis] else []
        for row in equal[axis]:
            scores = ", ".join(
                f"{one['group']} {number(one['score'])} ({interval(one['ci95'])}{', extrapolated' if one['extrapolated'] else ''})"
                for one in row["scores"]
            )
            rows.append([
                significant(row["exaflops"] * factor), row["leader"], text(row["significant"]), scores,
            ])  # fmt: skip
    return html_table([unit, "Leads", "Significant", "Scores (95 %)"], rows)


def crossings(advice: dict) -> str:
    """The crossovers within the data, a row each; empty when there are none."""
    rows = [
        [" and ".join(pair["starts"]), pair["axis"], pair["words"]]
        for pair in advice["crossovers"]
        if any(not crossing["extrapolated"] for crossing in pair["crossings"])
    ]
    return html_table(["Starts", "Compute", "Crossover"], rows) if rows else ""


def instability_table(advice: dict) -> str:
    """How much the scores of every run vary around their trend."""
    found = advice["instability"]
    rows = [
        [run, number(one["sd"], 2), interval(one["ci95"], 2), number(one["ratio"], 2), interval(one["ratio_ci95"], 2),
         one["reason"] or ""]
        for run, one in found["runs"].items()
    ]  # fmt: skip
    reference = found["reference"] or "a reference"
    return html_table(["Run", "SD", "95 %", f"Ratio to {reference}", "95 % of it", "Remark"], rows)


def diverged_table(advice: dict) -> str:
    """The share of diverged seeds of every start."""
    rows = [
        [f"{row['start']}, {row['algorithm']}", f"{row['diverged']} of {row['seeds']}",
         interval([100 * end for end in row["ci95"]], 0)]
        for row in advice["instability"]["groups"]
    ]  # fmt: skip
    return html_table(["Start", "Seeds diverged", "95 %, %"], rows)
