"""The claims of RETU and Quagmires that figures can check: each the docstring of its check.

A check takes the data (``data.read``) and returns what it found, in words with the
figures, and a verdict of ``verdicts``.

Deviations
----------
- v1 prints no validation losses, so all sub-phases are those of the camera-ready's figure.
- A figure of v1 counts as the camera-ready's too when the two differ by at most ``CARRIED`` points,
  about half the standard error of one score (0.9 points on 2,157 problems).
"""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import pandas as pd
from scipy import stats

from switchpoint import flops
from switchpoint.analysis.phases import SEVERE_TOLERANCE, STABLE_TOLERANCE, label_phases
from switchpoint.analysis.predictors import loss_against_ceiling
from switchpoint.importer import retu
from switchpoint.published import figures
from switchpoint.published.data import RL, SFT, TABLE4, Missing, camera_ready, fit, scripted, v1
from switchpoint.published.figures import SETS
from switchpoint.published.released_ceilings import FIGURE, Claim, Finding, doubts
from switchpoint.published.verdicts import (
    CARRIED,
    EXACT,
    FAILS,
    HOLDS,
    IN_PART,
    INFORMATION,
    ROUNDING,
    UNCHECKED,
    V1_ONLY,
    agreement,
    both_versions,
    cases,
    if_true,
    unless_inside,
    versions,
    within,
)

SAME_COMPUTE = 0.3  # exaFLOPs; the released code rounds every segment
GENERALLY = 0.5  # Spearman's rho of what "generally" rises


def plasticity_of_scale(data: dict) -> Finding:
    """SFT889K keeps 9.4 points of RL plasticity on average."""
    old, new = (average["SFT889K"] for average in average_plasticity(data))
    return f"{old:.2f} from Table 4; camera-ready {new:.1f}", both_versions([old], [new], [9.4])


def plasticity_leads_of_scale(data: dict) -> Finding:
    """SFT889K keeps 5.7 points more plasticity than S1K and than Uniform102K."""
    old, new = (
        [pl["SFT889K"] - pl[other] for other in ("S1K", "Uniform102K")] for pl in average_plasticity(data)
    )
    text = "over S1K {:.2f}, over Uniform102K {:.2f} from Table 4; camera-ready {:.1f} and {:.1f}"
    return text.format(*old, *new), both_versions(old, new, [5.7, 5.7])


def sft_scores_of_hard(data: dict) -> Finding:
    """Hard102K has an average SFT score of 74.6, 1.5 above Easy102K and 0.8 above Uniform102K."""
    old = leads_of_hard({name: v1(data, name, "p_sft").mean() for name in SETS})
    new = leads_of_hard({name: camera_ready(name)["p"].mean() for name in SETS})
    text = "{:.2f}, leads {:.2f} and {:.2f} from Table 4; camera-ready {:.1f}, leads {:.1f} and {:.1f}"
    # The leads are the claim: the camera-ready measured all scores anew.
    verdict = agreement([(old[0], 74.6), (old[1], 1.5), (old[2], 0.8)], 0.1)
    still = within([(new[1], 1.5), (new[2], 0.8)], CARRIED)
    return text.format(*old, *new), versions(verdict, still)


def plasticity_of_hard(data: dict) -> Finding:
    """Hard102K keeps 5.4 points of plasticity on average, 1.2 more than Easy102K and 1.7 than Uniform102K."""
    old, new = map(leads_of_hard, average_plasticity(data))
    without = v1(data, "Hard102K", "pl_rl").drop(1080).mean()
    text = (
        "{:.2f}, leads {:.2f} and {:.2f} from Table 4, but {:.2f} without step 1080; "
        "camera-ready {:.1f}, leads {:.1f} and {:.1f}"
    )
    return text.format(*old, without, *new), both_versions(old, new, [5.4, 1.2, 1.7])


def plasticity_rises_with_scale(data: dict) -> Finding:
    """The larger the SFT set, the more plasticity is left."""
    old, new = ([pl[name] for name in figures.BY_SCALE] for pl in average_plasticity(data))
    text = f"{', '.join(figures.BY_SCALE)}: {listed(old, 2)} from Table 4; camera-ready {listed(new, 1)}"
    return text, versions(if_true((np.diff(old) > 0).all()), bool((np.diff(new) > 0).all()))


def loss_tells_ceiling(data: dict) -> Finding:
    """Minimum validation loss and highest ceiling of the five sets: r = -0.92."""
    correlation = set_correlation({name: camera_ready(name)["a"].max() for name in SETS})
    highest = [f"{name}-{camera_ready(name)['a'].idxmax()}" for name in SETS]
    return correlation_words(correlation) + doubts(data, highest), correlation_verdict(correlation, -0.92)


def stable_loss_tells_ceiling(data: dict) -> Finding:
    """The same with the mean ceiling of the stable sub-phase: the highest of several is biased upward."""
    means = {name: camera_ready(name)["a"][stable_steps(name)].mean() for name in SETS}
    shown = ", ".join(f"{name} {mean:.1f}" for name, mean in means.items())
    return f"{correlation_words(set_correlation(means))}: {shown}", INFORMATION


def loss_tells_ceiling_v1(data: dict) -> Finding:
    """Minimum validation loss and highest ceiling of the five sets: r = -0.90."""
    correlation = set_correlation({name: v1(data, name, "a_post").max() for name in SETS})
    text = "v1 prints no losses; with the camera-ready's its ceilings give r = {pearson:.2f} (p {p:.2f})"
    return text.format(**correlation), UNCHECKED


def loss_tells_peak(data: dict) -> Finding:
    """The same with the best scores observed in place of fitted ceilings."""
    sets = data[RL]["run"].str.rpartition("-")[0]
    peaks = data[RL].groupby(sets)["score"].max().drop("base", errors="ignore").to_dict()
    if len(peaks) < 3:
        raise Missing(f"{RL} has curves of {len(peaks)} sets; a correlation needs 3")
    correlation = set_correlation(peaks)
    shown = ", ".join(f"{name} {peak:.2f}" for name, peak in peaks.items())
    text = "r = {pearson:.3f} (p {p:.3f}) on the {n} sets with curves".format(**correlation)
    return f"{text}: {shown}", INFORMATION


def loss_tells_score_llama(data: dict) -> Finding:
    """Llama-3.2-3B: minimum validation loss and best score after RL, r = -0.98."""
    loss, post = ({name: figures.LLAMA[name][i] for name in SETS} for i in (0, 2))
    correlation = set_correlation(post, loss)
    rest = set_correlation({name: post[name] for name in SETS if name != "Easy102K"}, loss)
    text = f"{correlation_words(correlation)}, from Table 1; without Easy102K {rest['pearson']:.3f}"
    return text, correlation_verdict(correlation, -0.98)


def llama_gain(data: dict) -> Finding:
    """Llama-3.2-3B: SFT-then-RL lifts the base model 29 times, to 68.7."""
    ratio = figures.LLAMA_SFT_DAPO_D / figures.LLAMA_BASE
    text = f"{figures.LLAMA_SFT_DAPO_D} / {figures.LLAMA_BASE} = {ratio:.1f} times the score"
    return text, agreement([(ratio, 29)], 1)


def llama_upt(data: dict) -> Finding:
    """Llama-3.2-3B: UPT trails SFT-then-RL by over 56 points."""
    lead = figures.LLAMA_SFT_DAPO_D - figures.LLAMA_UPT
    return f"{figures.LLAMA_SFT_DAPO_D} - {figures.LLAMA_UPT} = {lead:.1f}", if_true(lead > 56)


def llama_scale(data: dict) -> Finding:
    """Llama-3.2-3B: the largest set leads to the highest score, 70.1."""
    _, sft, post = map(np.array, zip(*(figures.LLAMA[name] for name in SETS), strict=True))
    lead, gains = post[-1] - post[:-1].max(), post - sft
    text = f"{lead:.1f} points above the next set; RL adds {gains.min():.1f} to {gains.max():.1f} to SFT"
    return text, if_true(lead > 0)


def early_switch(data: dict) -> Finding:
    """SFT889K: RL from 69.8 exaFLOPs has a ceiling of 81.1, RL from 1047.6 the highest, 85.7."""
    tables = v1(data, "SFT889K", "a_post"), camera_ready("SFT889K")["a"]
    old, new = ([a[720], a[10800], a.max()] for a in tables)
    peaks = ", ".join(f"step {step}" for step in tables[1].index[tables[1] == new[2]])
    text = "{:.1f}, {:.1f}, highest {:.1f} from Table 4; camera-ready {:.1f}, {:.1f}, highest {:.1f} ({})"
    return text.format(*old, *new, peaks), both_versions(old, new, [81.1, 85.7, 85.7])


def sft_peaks(data: dict) -> Finding:
    """Uniform102K and SFT889K reach peak SFT scores of 74.8 and 76.3."""
    peaks = [v1(data, name, "p_sft").max() for name in ("Uniform102K", "SFT889K")]
    return f"{listed(peaks, 1)} from Table 4", agreement(zip(peaks, (74.8, 76.3), strict=True), 0.1)


def small_set_is_efficient(data: dict) -> Finding:
    """S1K scores 73.8 after 2.3 exaFLOPs, as Uniform102K after 69.3 and SFT889K after 174.6."""
    where = {"S1K": 248, "Uniform102K": 720, "SFT889K": 1800}
    old = [v1(data, name, "p_sft")[step] for name, step in where.items()]
    new = [camera_ready(name)["p"][step] for name, step in where.items()]
    text = f"{listed(old, 1)} from Table 4; camera-ready {listed(new, 1)}; alike: within {CARRIED} points"
    first, still = (np.ptp(scores) <= CARRIED + EXACT for scores in (old, new))
    return text, versions(agreement([(old[0], 73.8)], 0.1) if first else FAILS, still)


def peaks_in_mild(data: dict) -> Finding:
    """On S1K and Easy102K the highest ceiling lies in the mild-overfitting sub-phase."""
    texts, n_old, still, highest = [], 0, True, []
    for name in ("S1K", "Easy102K"):
        phases = figures.PHASES[name]
        step, old = int(camera_ready(name)["a"].idxmax()), int(v1(data, name, "a_post").idxmax())
        bound = "at_bound" in fit(data, "pipeline", f"{name}-{step}")["flags"]
        n_old += phases[old] == "mild"
        still &= phases[step] == "mild" and not bound
        highest.append(f"{name}-{step}")
        note = ", where the fit ends on its bound" * bound
        texts.append(f"{name} {old}, {phases[old]} (camera-ready: {step}, {phases[step]}{note})")
    verdict = versions(cases(n_old, 2), still)
    only = "; so it holds in v1 only" * (verdict == V1_ONLY)
    return f"highest in Table 4 at step: {'; '.join(texts)}{doubts(data, highest)}{only}", verdict


def parts_add_up(data: dict) -> Finding:
    """A_post = PL_rl + P_sft in every row."""
    off = (data[TABLE4]["pl_rl"] + data[TABLE4]["p_sft"] - data[TABLE4]["a_post"]).abs()
    n_off = (off > 0.05).sum()
    text = f"off by {off.max():.2f} at most, by more than 0.05 in {n_off} of {len(off)} rows; rounding: 0.15"
    return text, if_true(off.max() <= 0.15 + EXACT)


def sft_compute(data: dict) -> Finding:
    """The SFT compute of every checkpoint."""
    printed = {name: v1(data, name, "sft_exaflops") for name in SETS}
    off = pd.concat([(rows - sft_step_exaflops(name) * rows.index).abs() for name, rows in printed.items()])
    other = 1800 * sft_step_exaflops("Easy102K", figures.EASY_TOKENS)
    text = (
        f"off by {off.max():.2f} exaFLOPs at most on {len(off)} rows, with Easy102K at 2,217 tokens; the "
        f"{figures.EASY_TOKENS:,} of Table 3 would give {other:.1f} for its {printed['Easy102K'][1800]:.1f}"
    )
    return text, if_true(off.max() <= SAME_COMPUTE)


def epochs(data: dict) -> Finding:
    """360 steps are 0.2 epochs of SFT889K and 1.8 of the 102K sets."""
    large, small = v1(data, "SFT889K", "p_sft").index.max() / 8, 102_400 / 512
    text = f"360 / {large:.0f} = {360 / large:.3f} (8 epochs in all); 360 / {small:.0f} = {360 / small}"
    return text, agreement([(360 / large, 0.2), (360 / small, 1.8)], 0.1)


def llama_compute(data: dict) -> Finding:
    """Llama-3.2-3B: two checkpoints lie at 17.8 and 532.5 exaFLOPs."""
    llama, step = flops.BUNDLED["Llama-3.2-3B"], {"batch_size": 512, "mean_length": 3771}
    twice, once = (
        [steps * flops.paradigm_step(llama, "sft", accounting, **step) / flops.EXA for steps in (360, 10800)]
        for accounting in ("retu", "strict")
    )
    text = (
        f"{listed(twice, 2)} after 360 and 10,800 steps of SFT889K with the tied embedding counted twice; "
        f"{listed(once, 2)} counted once"
    )
    return text, if_true(within(zip(twice, (17.8, 532.5), strict=True), SAME_COMPUTE))


def problems(data: dict) -> Finding:
    """The scores are means over 2,157 unique problems."""
    weights = pd.Series(retu.WEIGHTS)
    scores = data["benchmarks"]
    off = ((scores[weights.index] * weights).sum(axis=1) / weights.sum() - scores["overall"]).abs().max()
    text = (
        f"{' + '.join(map(str, weights))} = {weights.sum()}; these weights give the overall score of "
        f"{len(scores)} evaluations, off by {off:.3f} at most"
    )
    return text, if_true(weights.sum() == 2157 and off <= 0.01)


def paradigms(data: dict) -> Finding:
    """Pure SFT peaks at 76.9, DAPO_d at 74.3, LUFFY at 72.7, SFT then DAPO_d at 78.1; at 25 exaFLOPs RL
    has about 71.5, SFT 69.8."""
    sft = data[SFT].loc[data[SFT]["score"].idxmax()]
    pure_rl_peak = fit(data, "ours", "base-0")["observed_peak"]
    text = (
        f"no curve of section 6.1 is released; those of section 6.2 peak at {sft['score']:.2f} "
        f"(SFT, {sft['exaflops']:.0f} exaFLOPs) and {pure_rl_peak:.2f} (RL from the base)"
    )
    return text, UNCHECKED


def srft_spread(data: dict) -> Finding:
    """SRFT fluctuates with 2.6 times the standard deviation of DAPO_d."""
    return "no curve of SRFT or DAPO_d is released or printed", UNCHECKED


def pure_rl(data: dict) -> Finding:
    """RL alone starts at 46.1 and has a ceiling of 71.3."""
    rows = data[TABLE4][data[TABLE4]["dataset"] == "base"]
    if len(rows) != 1:
        raise Missing(f"{TABLE4} has {len(rows)} rows of the base model, not 1")
    start, gain = rows.iloc[0][["p_sft", "pl_rl"]]
    refit = fit(data, "pipeline", "base-0")
    old, new = [start, start + gain], [refit["p_start"], refit["a_point"]]
    text = (
        f"{start:.1f} + {gain:.1f} = {old[1]:.1f} from Table 4; the released curve starts at {new[0]:.2f}, "
        f"its refit has {new[1]:.2f} (camera-ready {figures.CAMERA_READY['base'][0][1]})"
    )
    return text, both_versions(old, new, [46.1, 71.3])


def fit_quality(data: dict) -> Finding:
    """The fits are good: RMSE 0.5 on validation points, R2 0.88 on fitted ones, on average."""
    n, texts = len(scripted(data)), []
    for method in ("shipped", "pipeline"):
        entries = data[method].values()
        rmse = [entry["rmse"] for entry in entries if entry["rmse"] is not None]
        if not rmse:
            raise Missing(f"{RL} has no points behind those that the scripts fit")
        error, r2 = np.mean(rmse), np.mean([entry["r2_train"] for entry in entries])
        low, high = error + mean_half_width(rmse) * np.array([-1, 1])
        texts.append(f"RMSE {error:.2f} (95 % {low:.2f} to {high:.2f}), R2 {r2:.2f}")
    found = (
        f"{texts[1]} by Appendix D; {texts[0]} as the released scripts fit; on the {n} of "
        f"{len(figures.SCRIPTS)} curves that are here ({len(rmse)} with validation points)"
    )
    # The error judges: R2 falls with the gain of a curve, too, however well it is fitted.
    verdict = unless_inside(if_true(error < 0.55), (low, high), 0.5)
    return found, IN_PART if verdict == HOLDS and r2 < 0.875 else verdict


def fitted_share(data: dict) -> Finding:
    """Most runs are fitted on the first 85 % or so of their points."""
    table = figures.SCRIPTS.set_index("run").loc[list(scripted(data))]
    share = 100 * (table["last"] - table["first"]) / data[RL].groupby("run").size()[table.index]
    near = int(share.between(80, 90).sum())
    text = (
        f"{share.min():.0f} to {share.max():.0f} %, median {share.median():.0f} %, on {len(share)} of "
        f"{len(figures.SCRIPTS)} curves; {near} between 80 and 90 %"
    )
    return text, if_true(near > len(share) / 2)


def compute_slows_and_lifts(data: dict) -> Finding:
    """On all sets, more SFT generally raises C_mid and A_post."""
    rho = {name: [spearman_trend(v1(data, name, column)) for column in ("c_mid", "a_post")] for name in SETS}
    text = "; ".join(f"{name} {c:.2f} and {a:.2f}" for name, (c, a) in rho.items())
    n_true = sum(min(pair) >= GENERALLY for pair in rho.values())
    text = f"Spearman of step with C_mid and with A: {text}; generally: {GENERALLY} or more"
    return text, cases(n_true, len(SETS))


def panel_averages(data: dict) -> Finding:
    """The averages of P_sft, PL_rl and A_post printed in the five panels."""
    recomputed = {name: camera_ready(name)[["p", "pl", "a"]].mean() for name in SETS}
    text = "; ".join(f"{name} {listed(averages, 2)}" for name, averages in recomputed.items())
    pairs = [
        pair for name in SETS for pair in zip(recomputed[name], figures.PANEL_AVERAGES[name], strict=True)
    ]
    runs = [f"{name}-{step}" for name in SETS for step in camera_ready(name).index]
    text += f" (Easy102K without step {figures.SEVERE[1]}){doubts(data, runs)}"
    return text, agreement(pairs, 0.1)


def largest_gain(data: dict) -> Finding:
    """Loss and pass@k improve R2 and Spearman by up to 0.5 (2x) over pass@1."""
    gains = [
        (value - row["pass@1"], value / row["pass@1"], f"{model}, {name}")
        for table in (figures.SPEARMAN, figures.R2)
        for model, row in table.items()
        for name, value in row.items()
    ]
    gain, ratio, where = max(gains)
    return f"{gain:.2f}, {ratio:.1f} times ({where})", agreement([(gain, 0.5)], 0.1) if ratio >= 2 else FAILS


def relative_gains(data: dict) -> Finding:
    """Spearman improves by 30 % (one set) and 36 % (several sets), R2 by 59 %."""
    rows = (
        (figures.SPEARMAN["Llama"], "average"),
        (figures.SPEARMAN["Llama, by instance"], "pass@64"),
        (figures.R2["Llama, by instance"], "pass@64"),
    )
    gains = [100 * (row[name] / row["pass@1"] - 1) for row, name in rows]
    # Two digits leave about one per cent of a ratio open.
    return f"{listed(gains, 1)} %, good to 1 %", agreement(zip(gains, (30, 36, 59), strict=True), 2)


def low_budget_gain(data: dict) -> Finding:
    """Mistral, low budget: pass@64 gains +0.25 of Spearman over pass@1."""
    high, low = (figures.BUDGETS[f"Mistral, {name}"][0][0] for name in ("pass@64", "pass@1"))
    return f"{high:.2f} - {low:.2f} = {high - low:.2f}", agreement([(high - low, 0.25)], 0.01)


def half_split(data: dict) -> Finding:
    """The R2 are of lines fitted to half of the models."""
    half = figures.LLAMA_MODELS // 2
    equal = [n for n, row in figures.LLAMA_SPLITS.items() if row == tuple(figures.R2["Llama"].values())]
    splits = " and ".join(f"{n}:{figures.LLAMA_MODELS - n}" for n in equal) or "none"
    even = listed(figures.LLAMA_SPLITS[half], 2)
    text = f"Llama's row is that of the split {splits} in Table 5; {half}:{half} has {even}"
    return text, if_true(half in equal)


def budget_averages(data: dict) -> Finding:
    """The averages of Spearman over budgets: 0.69, 0.94, 0.70, 0.98."""
    recomputed = {
        name: (float(np.mean(values)), printed) for name, (values, printed) in figures.BUDGETS.items()
    }
    text = "; ".join(f"{name} {mean:.3f}" for name, (mean, _) in recomputed.items())
    return text, agreement(recomputed.values(), 0.01)


def math500(data: dict) -> Finding:
    """MATH-500: repeated data score +8.75 % after SFT and -1.43 % in RL, diverse data -5 % and +5.94 %."""
    return "a figure only, without the values of its bars", UNCHECKED


def mild_is_optimal(data: dict) -> Finding:
    """Mild overfitting of SFT is the optimal signal to switch to RL."""
    steps = {name: camera_ready(name)["a"].idxmax() for name in SETS}
    where = {name: figures.PHASES[name][step] for name, step in steps.items()}
    text = ", ".join(f"{name} {phase}" for name, phase in where.items())
    text += doubts(data, [f"{name}-{step}" for name, step in steps.items()])
    return f"highest ceilings of the camera-ready: {text}", if_true(set(where.values()) == {"mild"})


def sources_of_889k(data: dict) -> Finding:
    """SFT889K comes from AM-DeepSeek-R1-Distilled-1.4M alone."""
    text = f"v1 names {' and '.join(sorted(figures.SOURCES))}"
    return text, if_true(figures.SUMMARY_SOURCES == figures.SOURCES)


def hard_win_rate(data: dict) -> Finding:
    """Hard102K, of problems with win rates of 0 and 0.25, has a mean win rate of 0.09."""
    low, high = figures.HARD_STRATA
    share = (figures.HARD_WIN_RATE - low) / (high - low)
    return f"so it is with {100 * share:.0f} % of them at {high:g}", if_true(0 <= share <= 1)


def sft_scores(data: dict) -> Finding:
    """The SFT score of every checkpoint."""
    scores = data[SFT].set_index(["run", "step"])["score"]
    printed = {(name, step): p for name in SETS for step, (p, _) in figures.CAMERA_READY[name].items()}
    pairs = [(scores[where], p) for where, p in printed.items() if where in scores.index]
    if not pairs:
        raise Missing(f"{SFT} has none of the camera-ready's checkpoints")
    off = max(abs(score - p) for score, p in pairs)
    return f"off by {off:.2f} at most on {len(pairs)} of {len(printed)} checkpoints", agreement(pairs, 0.1)


def sub_phases(data: dict, name: str) -> Finding:
    """The sub-phases that the camera-ready shades for a set, by Eq. 13-17 on the losses that it shows."""
    losses, lowest = figures.LOSSES[name], min(figures.LOSSES[name].values())
    rows = [{"run": name, "step": step, "loss": loss} for step, loss in losses.items()]
    labels = label_phases(pd.DataFrame(rows))["runs"][name]["labels"]
    off = [step for step, shade in figures.PHASES[name].items() if labels[str(step)] != shade]
    texts = [f"{step} {label}" for step, label in labels.items()]
    for step in off:
        ratio = f"{losses[step]} / {lowest} = {losses[step] / lowest:.3f}"
        texts.append(f"but {step} is shaded {figures.PHASES[name][step]} ({ratio})")
    verdict = ROUNDING if all(rounding_leaves_open(losses[step], lowest) for step in off) else FAILS
    return ", ".join(texts), verdict if off else HOLDS


def rounding_leaves_open(loss: float, lowest: float) -> bool:
    """Whether two digits of the losses leave open on which side of a threshold the checkpoint lies."""
    least, most = (loss - 0.005) / (lowest + 0.005), (loss + 0.005) / (lowest - 0.005)
    return any(least <= 1 + tolerance <= most for tolerance in (STABLE_TOLERANCE, SEVERE_TOLERANCE))


def average_plasticity(data: dict) -> tuple[dict[str, float], dict[str, float]]:
    """Average PL_rl of every set, in Table 4 and in the camera-ready."""
    return (
        {name: v1(data, name, "pl_rl").mean() for name in SETS},
        {name: camera_ready(name)["pl"].mean() for name in SETS},
    )


def leads_of_hard(average: dict[str, float]) -> list[float]:
    """The average of Hard102K and its leads over Easy102K and Uniform102K."""
    hard = average["Hard102K"]
    return [hard, hard - average["Easy102K"], hard - average["Uniform102K"]]


def set_correlation(ceilings: dict[str, float], losses: dict[str, float] | None = None) -> dict:
    """``loss_against_ceiling`` over sets, with the camera-ready's minimum losses unless others are given."""
    losses = losses or {name: min(figures.LOSSES[name].values()) for name in SETS}
    rows = [{"set": name, "val_loss": losses[name], "ceiling": ceilings[name]} for name in ceilings]
    correlation = loss_against_ceiling(pd.DataFrame(rows))
    if correlation["verdict"] != "ok":
        raise Missing(f"the correlation is {correlation['verdict']}")
    return correlation


def correlation_words(correlation: dict) -> str:
    """A correlation over sets with its interval."""
    text = "r = {pearson:.3f} (p {p:.3f}, 95 % {ci95[0]:.3f} to {ci95[1]:.3f}), Spearman {spearman:.2f}"
    return text.format(**correlation)


def correlation_verdict(correlation: dict, printed: float) -> str:
    """The verdict on a printed correlation, of two digits."""
    verdict = agreement([(correlation["pearson"], printed)], 0.01)
    return unless_inside(verdict, correlation["ci95"], printed)


def stable_steps(name: str) -> list[int]:
    """The checkpoints of a set that the camera-ready shades as stable."""
    return [step for step in camera_ready(name).index if figures.PHASES[name][step] == "stable"]


def mean_half_width(values: list[float]) -> float:
    """Half of the 95 % interval of a mean of independent values; infinite for one."""
    n = len(values)
    return float(stats.t.ppf(0.975, n - 1) * stats.sem(values)) if n > 1 else float("inf")


def spearman_trend(values: pd.Series) -> float:
    """Spearman's rho of values with their index; 0 where they do not vary."""
    return float(stats.spearmanr(values.index, values).statistic) if values.nunique() > 1 else 0.0


def sft_step_exaflops(name: str, length: float | None = None) -> float:
    """Compute of one SFT step of Qwen2.5-7B on a set, at its mean length or another."""
    batch, own = {known: rest for known, *rest in retu.SETS.values()}[name]
    model = flops.BUNDLED["Qwen2.5-7B"]
    return flops.paradigm_step(model, "sft", batch_size=batch, mean_length=length or own) / flops.EXA


def listed(values: Iterable[float], digits: int) -> str:
    """The values with so many digits, separated by commas."""
    return ", ".join(f"{value:.{digits}f}" for value in values)


def claim_of(number: str, source: str, check: Callable[[dict], Finding], *needed: str) -> Claim:
    """The claim that a check's docstring states."""
    return number, source, " ".join(check.__doc__.split()), needed, check


V1 = "RETU v1"
SUMMARY = "a summary of RETU on the web"

CLAIMS: list[Claim] = [
    claim_of("1", f"{V1}, section 6.2.2", plasticity_of_scale, TABLE4),
    claim_of("2", f"{V1}, section 6.2.2", plasticity_leads_of_scale, TABLE4),
    claim_of("3", f"{V1}, section 6.2.2", sft_scores_of_hard, TABLE4),
    claim_of("4", f"{V1}, section 6.2.2", plasticity_of_hard, TABLE4),
    claim_of("5", f"{V1}, section 6.2.2", plasticity_rises_with_scale, TABLE4),
    claim_of("6", "RETU camera-ready, correlation figure", loss_tells_ceiling),
    claim_of("6 (stable)", "RETU camera-ready, correlation figure", stable_loss_tells_ceiling),
    claim_of("6 (v1)", f"{V1}, section 6.2.2", loss_tells_ceiling_v1, TABLE4),
    claim_of("7", "the released curves", loss_tells_peak, RL),
    claim_of("8", f"{V1}, section 6.3 and Table 1", loss_tells_score_llama),
    claim_of("9", f"{V1}, section 6.3 and Table 1", llama_gain),
    claim_of("10", f"{V1}, section 6.3 and Table 1", llama_upt),
    claim_of("11", f"{V1}, section 6.3 and Table 1", llama_scale),
    claim_of("12", f"{V1}, section 6.2.1", early_switch, TABLE4),
    claim_of("13", f"{V1}, section 6.2.2", sft_peaks, TABLE4),
    claim_of("14", f"{V1}, section 6.2.2", small_set_is_efficient, TABLE4),
    claim_of("15", f"{V1}, section 6.2.1", peaks_in_mild, TABLE4, RL),
    claim_of("16", f"{V1}, Table 4", parts_add_up, TABLE4),
    claim_of("17", f"{V1}, Table 4 and Eq. 21", sft_compute, TABLE4),
    claim_of("18", f"{V1}, appendix B.1", epochs, TABLE4),
    claim_of("19", f"{V1}, section 6.3", llama_compute),
    claim_of("20", f"{V1}, section 5.1", problems, RL, SFT),
    claim_of("21", f"{V1}, section 6.1", paradigms, RL, SFT),
    claim_of("22", f"{V1}, section 6.1", srft_spread),
    claim_of("23", f"{V1}, Table 4", pure_rl, TABLE4, RL),
    claim_of("24", f"{V1}, appendix D.2", fit_quality, RL),
    claim_of("25", f"{V1}, appendix D.1", fitted_share, RL),
    claim_of("26", f"{V1}, Table 4, caption", compute_slows_and_lifts, TABLE4),
    claim_of("27", FIGURE, panel_averages),
    claim_of("28", "Quagmires, abstract", largest_gain),
    claim_of("29", "Quagmires, takeaways 1 and 2", relative_gains),
    claim_of("30", "Quagmires, Table 10", low_budget_gain),
    claim_of("31", "Quagmires, Table 2", half_split),
    claim_of("32", "Quagmires, Tables 8 and 10", budget_averages),
    claim_of("33", "Quagmires, Figure 6", math500),
    claim_of("34", SUMMARY, mild_is_optimal),
    claim_of("35", SUMMARY, sources_of_889k),
    claim_of("36", f"{V1}, Table 3 and appendix E.1", hard_win_rate),
    claim_of("P_sft", FIGURE, sft_scores, SFT),
    *(
        (f"phases {name}", FIGURE, f"The sub-phases shaded for {name} follow Eq. 13-17.", (),
         partial(sub_phases, name=name))
        for name in SETS
    ),
]  # fmt: skip
