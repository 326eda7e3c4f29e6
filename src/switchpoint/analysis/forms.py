"""The forms that a training curve may have: what share of the gain has come at some compute.

``c`` is the compute at half the gain, in units of the last point's, and ``b`` a shape, both positive:

- ``sigmoid``: 1 / (1 + (x / c)^-b), RETU Eq. 11;
- ``exponential``: (1 - e^-(k x))^b, k = -ln(1 - 2^(-1/b)) / c, whose rise comes late for b > 1 (b = 1 is the plain one);
- ``stretched exponential``: 1 - 2^-((x / c)^b);
- ``power law``: 1 - (1 + k x)^-b, k = (2^(1/b) - 1) / c;
- ``no ceiling``: ((1 + x / c)^b - 1) / ((1 + 1 / c)^b - 1), a logarithm for b near 0, which is 1 at the last point and goes on.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from switchpoint.analysis.sigmoid import rise


class Form(NamedTuple):
    """``share`` of (x, c, b), which broadcast; b's bounds and its log-normal prior (median, log sd); the form's prior weight;
    c's log-normal prior: a fifth of the compute spent, but for growth without a ceiling, which may slow at any time.

    The sigmoid's prior of b is that of the slopes of RETU Table 4 (v1), whose log sd is 0.52.
    """

    share: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    b_range: tuple[float, float]
    b_prior: tuple[float, float]
    weight: float
    c_prior: tuple[float, float] = (0.2, 1.5)


def exponential(x: np.ndarray, c: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What is left of the gain falls with an exponential of the compute in the end, as after a late logistic rise."""
    return (-np.expm1(np.log1p(-(2 ** (-1 / b))) * x / c)) ** b


def stretched(x: np.ndarray, c: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Fast at first and slow later for b < 1, late for b > 1."""
    return -np.expm1(-np.log(2) * (x / c) ** b)


def power_law(x: np.ndarray, c: np.ndarray, b: np.ndarray) -> np.ndarray:
    """What is left of the gain falls with the power b of the compute."""
    return -np.expm1(-b * np.log1p(np.expm1(np.log(2) / b) * x / c))


def unbounded(x: np.ndarray, c: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The power b of the compute beyond ``c``."""
    return np.expm1(b * np.log1p(x / c)) / np.expm1(b * np.log1p(1 / c))


SIGMOID, NO_CEILING = "sigmoid", "no ceiling"
FORMS = {
    SIGMOID: Form(rise, (0.2, 12.0), (1.5, 0.52), 0.3),
    "exponential": Form(exponential, (0.3, 10.0), (1.0, 0.7), 0.2),
    "stretched exponential": Form(stretched, (0.2, 4.0), (1.0, 0.5), 0.2),
    "power law": Form(power_law, (0.3, 10.0), (1.5, 0.7), 0.2),
    NO_CEILING: Form(unbounded, (0.02, 1.0), (0.1, 1.0), 0.2, (0.02, 3.0)),
}
NAMES = list(FORMS)
