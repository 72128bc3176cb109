"""Exit rules on arrays (DEFINITIONS.md, section 7). Decisions are per sample; NaN never leaves."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

CACHED = 2**17
"""Logits that `confidence` works on at a time."""


def log_softmax(logits: Float[np.ndarray, "*n c"]) -> Float[np.ndarray, "*n c"]:
    """Logarithm of the class probabilities, in float64."""
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def confidence(logits: Float[np.ndarray, "*n c"]) -> Float[np.ndarray, "*n"]:
    """Largest class probability in float64: 1 / (1 + what the other classes have, relative to the largest).

    A few samples at a time stay in the processor's cache. The largest class enters exactly, so that exponentials in
    float32 suffice to tell confidences apart however close to 1 they are.
    """
    flat = logits.reshape(-1, logits.shape[-1])
    others = np.empty(len(flat))
    at_once = max(1, CACHED // logits.shape[-1])
    for begin in range(0, len(flat), at_once):
        some = flat[begin : begin + at_once].astype(np.result_type(logits, np.float32), copy=False)
        top = some.argmax(-1)[:, None]
        largest = np.take_along_axis(some, top, 1)
        relative = np.exp(some - largest)
        np.put_along_axis(relative, top, largest - largest, 1)
        others[begin : begin + at_once] = relative.sum(-1)
    return (1 / (1 + others)).reshape(logits.shape[:-1])


def entropy(logits: Float[np.ndarray, "*n c"]) -> Float[np.ndarray, "*n"]:
    """Entropy of the class probabilities divided by ln C, in [0, 1]; 0 where there is one class only."""
    logs = log_softmax(logits)
    terms = np.exp(logs) * np.where(np.isneginf(logs), 0, logs)  # 0 ln 0 = 0; NaN stays NaN
    return -terms.sum(-1) / np.log(max(logits.shape[-1], 2))


def certainty(criterion: str, logits: Float[np.ndarray, "*n c"]) -> Float[np.ndarray, "*n"]:
    """One number per sample that rises with certainty: the confidence, or the negative entropy.

    Every criterion then is "leave when certainty > -S or T, strictly", so one sweep serves them all.
    """
    return confidence(logits) if criterion == "confidence" else -entropy(logits)


@dataclass(frozen=True)
class Policy:
    """A criterion with one threshold for each exit but the last, in the criterion's own units."""

    criterion: str
    thresholds: tuple[float, ...]
    inclusive: bool = False
    """Whether a sample on the threshold leaves; only MSDNet's protocol (`geometric`) says so."""

    def leaves(self, exit_: int, logits: Float[np.ndarray, "b c"]) -> Bool[np.ndarray, " b"]:
        """Which samples leave at exit `exit_` (from 1, not the last)."""
        sign = 1.0 if self.criterion == "confidence" else -1.0
        certain, threshold = certainty(self.criterion, logits), sign * self.thresholds[exit_ - 1]
        return certain >= threshold if self.inclusive else certain > threshold


def exit_index(
    certain: Float[np.ndarray, "n k"], thresholds: Float[np.ndarray, " j"], inclusive: bool = False
) -> Int[np.ndarray, " n"]:
    """The exit (from 1) at which each sample leaves.

    Args:
        certain: certainty at all K exits.
        thresholds: of the first K - 1 exits, on the scale of certainty.
        inclusive: whether a sample on the threshold leaves.
    """
    early = certain[:, :-1]
    leaves = early >= thresholds if inclusive else early > thresholds
    decided = np.concatenate([leaves, np.ones((len(certain), 1), dtype=bool)], axis=1)
    return decided.argmax(1) + 1
