"""One temperature for each exit, so that exits can be compared (DEFINITIONS.md, section 14; Guo et al., 2017)."""

import numpy as np
from jaxtyping import Float, Shaped

from manyexits.exits.criteria.confidence import confidence

TEMPERED = "tempered"
"""Array of the predictions with the confidences at these temperatures."""
LIMITS = (1e-3, 1e3)
"""Where every sample is right, or none better than chance, the best temperature would be 0, or infinite."""


def fit(logits: Float[np.ndarray, "n c"], labels: Shaped[np.ndarray, " n"]) -> float:
    """The temperature at which the mean cross-entropy of logits / T is smallest; 1 where no logits are numbers.

    The cross-entropy is convex in 1 / T, so the only minimum is found by search.
    """
    from scipy.optimize import minimize_scalar

    known = np.isfinite(logits).all(1)
    if not known.any():
        return 1.0
    kept, own = logits[known].astype(np.float64), labels[known].astype(np.int64)
    kept -= kept.max(1, keepdims=True)
    of_label = np.take_along_axis(kept, own[:, None], 1)[:, 0]

    def loss(log_t: float) -> float:
        factor = np.exp(-log_t)
        return float((np.log(np.exp(factor * kept).sum(1)) - factor * of_label).mean())

    found = minimize_scalar(loss, bounds=tuple(np.log(LIMITS)), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def fit_all(outputs: Float[np.ndarray, "n k c"], labels: Shaped[np.ndarray, " n"]) -> Float[np.ndarray, " k"]:
    """The temperature (K,) of every exit."""
    return np.array([fit(outputs[:, k], labels) for k in range(outputs.shape[1])], dtype=np.float32)


def tempered(outputs: Float[np.ndarray, "*n k c"], temperatures: Float[np.ndarray, " k"]) -> Float[np.ndarray, "*n k"]:
    """Confidences (N, K) at the exits' temperatures."""
    return confidence(outputs / temperatures.astype(outputs.dtype)[:, None])
