"""Multiple comparisons with the best: which of several noisy estimates may be the highest.

The highest of several estimates is, by its choice, too high: a plain test of every other against it
excludes the truly best too often.  Here estimate i stays in the set of possible bests unless some j
beats it by more than d_i * sqrt(s_i^2 + s_j^2), where d_i is Dunnett's one-sided critical value with
i as the control, for independent normal errors s (Hsu 1981, Annals of Statistics 9:1026).  Where the
errors are themselves estimated, with ``dof`` degrees of freedom in common, d_i is that of Student's t.  The truly
best is in the set with probability 95 %, whatever the errors.  On that event the estimates in the
set also bound, all at once, what is lost by taking any other (Hsu 1984): ``loss_bound``.

Estimates that lie below another with next to certainty are out, and do not count in the family of the others.

What another seed would have given differs, too.  The spread of seeds is estimated from all that is compared and has
several of them together (``spread_of_seeds``), so it has more degrees of freedom than one mean gives; with a prior, that it
is ``SEED_SD`` points, worth one more.  Where nothing has several seeds that is assumed: ScaleRL quotes ±2 points on a
ceiling, from three repeated runs, which is about 1 point of standard deviation.
"""

import math

import numpy as np
from scipy import optimize, special, stats

Z95 = float(stats.norm.ppf(0.975))
FAMILY_ERROR = 0.05
MAX_LOSS = 3.0  # points; a choice that may cost more is none
NODES = stats.norm.ppf((np.arange(1000) + 0.5) / 1000)
# Of an integral over two variables: Gauss-Legendre nodes of the quantiles, and their weights.
QUANTILES, WEIGHTS = (values / 2 for values in np.polynomial.legendre.leggauss(48))
MANY = 100  # estimates; the integrals of more take seconds to minutes
FLOOR = 1e-9  # points; an error of 0 would divide by 0
SEED_SD = 1.0  # points, of the seeds of a start; assumed where nothing has several
HOPELESS = 1e-4  # the chance that an estimate which lies as far below another one is the higher
EACH_HOPELESS = 1e-3  # the same of each of a start's seeds, if it has several


def spread_of_seeds(groups: list[list[float | None]]) -> tuple[float, float]:
    """(standard deviation, degrees of freedom) of the seeds of a start, from the values of every start's.

    Infinite where it is the assumption alone.
    """
    known = [np.array(values, dtype=float) for values in groups if None not in values and len(values) > 1]
    dof = sum(len(values) - 1 for values in known)
    if not dof:
        return SEED_SD, math.inf
    squares = math.fsum(float(((values - values.mean()) ** 2).sum()) for values in known)
    return math.sqrt((squares + SEED_SD**2) / (dof + 1)), dof + 1.0


def error_of_mean(own: float | None, n: int, sd: float, dof: float, lasting: float = 0.0) -> float | None:
    """The standard error of a mean over ``n`` seeds, whose own errors average ``own``; ``sd`` and ``dof`` of ``spread_of_seeds``.

    Seeds are evaluated on the same problems, so their own errors do not average out; they are part of the spread where that
    is estimated, but for ``lasting``, which all seeds of a start have in common, and beside it where it is assumed.  None
    where neither is known.
    """
    of_seeds = sd / math.sqrt(n)
    if math.isinf(dof):
        return None if own is None else math.hypot(own, of_seeds)
    return of_seeds if own is None else max(own, math.hypot(lasting, of_seeds))


def half_width(error: float | np.ndarray, dof: float) -> float | np.ndarray:
    """Half of the 95 % interval of an estimate with that standard error, by Student's t."""
    return float(stats.t.ppf(0.975, dof)) * error


def critical(errors: np.ndarray, control: int, level: float = FAMILY_ERROR, dof: float = math.inf) -> float:
    """The d with P(max over j of (e_j - e_i) / sqrt(s_i^2 + s_j^2) > d) = level, i the control.

    ``errors`` are the standard errors s, shape (k,), k >= 2, ``dof`` their degrees of freedom.  Given e_i, and by how much the
    errors are off, the others are independent, so the probability is an integral over these.  Of more than ``MANY`` it is
    Bonferroni's bound, a little larger.
    """
    one, all_others = stats.t.ppf([1 - level, 1 - level / (len(errors) - 1)], dof)
    if len(errors) > MANY:
        return float(all_others)
    errors = np.maximum(errors, FLOOR)
    own, others = errors[control], np.delete(errors, control)
    both = np.hypot(own, others)
    nodes, weights, scales, shares = NODES, np.full(len(NODES), 1 / len(NODES)), np.ones(1), np.ones(1)
    if not math.isinf(dof):
        nodes, weights = stats.norm.ppf(QUANTILES + 0.5), WEIGHTS
        scales, shares = np.sqrt(stats.chi2.ppf(QUANTILES + 0.5, dof) / dof), WEIGHTS

    def excess(d: float) -> float:
        """By how much the probability of staying below d exceeds 1 - level."""
        inside = special.ndtr((d * scales[:, None, None] * both + own * nodes[:, None]) / others)
        return float(shares @ inside.prod(axis=-1) @ weights) - (1 - level)

    # One rival gives the lower end, Bonferroni's inequality the upper one; the margin is for the nodes.
    return float(optimize.brentq(excess, 0.9 * one - 0.05, 1.3 * all_others + 0.05, xtol=1e-4))


def criticals(errors: np.ndarray, dof: float = math.inf) -> np.ndarray:
    """``critical`` with every estimate as the control, shape (k,)."""
    return np.array([critical(errors, i, dof=dof) for i in range(len(errors))])


def hopeless(
    estimates: np.ndarray, errors: np.ndarray, dof: float = math.inf, chance: float = HOPELESS
) -> np.ndarray:
    """Mask, shape (k,), of the estimates that are out whatever else is compared."""
    lead = estimates[None] - estimates[:, None]
    return (lead > stats.t.isf(chance, dof) * np.hypot(errors[:, None], errors)).any(axis=1)


def possible_bests(estimates: np.ndarray, errors: np.ndarray, dof: float = math.inf) -> np.ndarray:
    """Mask, shape (k,), of the estimates that may be the highest; the highest estimate always is one.

    ``estimates`` and their standard errors ``errors`` have shape (k,).
    """
    return ~clearly_higher(estimates, errors, dof).any(axis=1)


def clearly_higher(estimates: np.ndarray, errors: np.ndarray, dof: float = math.inf) -> np.ndarray:
    """Whether estimate j lies above estimate i beyond noise, shape (k, k): [i, j]; with 95 % nothing is above the best.

    ``estimates`` and their standard errors ``errors`` have shape (k,).
    """
    lead = estimates[None] - estimates[:, None]
    limits = criticals(errors, dof) if len(errors) > 1 else np.zeros(1)
    family = np.flatnonzero(~hopeless(estimates, errors, dof))
    if 1 < len(family) < len(errors):
        limits[family] = criticals(errors[family], dof)
    return lead > limits[:, None] * np.hypot(errors[:, None], errors)


def critical_among(estimates: np.ndarray, errors: np.ndarray, control: int, dof: float = math.inf) -> float:
    """``critical`` of an estimate that is not hopeless, among those that are not."""
    family = np.flatnonzero(~hopeless(estimates, errors, dof))
    return critical(errors[family], int(np.searchsorted(family, control)), dof=dof)


def loss_bound(
    estimates: np.ndarray, errors: np.ndarray, chosen: int, dof: float = math.inf
) -> tuple[float, int | None]:
    """The most that ``chosen``, one of the possible bests, may lie below the best, and the estimate that bounds it.

    A 95 % upper bound over the possible bests, at once for every choice; 0 and None when ``chosen``
    is the only one.
    """
    rivals = [j for j in np.flatnonzero(possible_bests(estimates, errors, dof)) if j != chosen]
    bounds = [
        estimates[j] - estimates[chosen]
        + critical_among(estimates, errors, j, dof) * math.hypot(errors[j], errors[chosen])
        for j in rivals
    ]  # fmt: skip
    worst = int(np.argmax(bounds)) if bounds else None
    return (0.0, None) if worst is None else (max(float(bounds[worst]), 0.0), int(rivals[worst]))
