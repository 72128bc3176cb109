"""What every exit of a trained network answers on the validation and the test split, and how sure it is."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from manyexits.exits.calibrate import Scored
from manyexits.exits.policies import confidence, entropy
from manyexits.files import atomic

SPLITS = ("validation", "test")


def predictions(logits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """label (N,), and answer, confidence, entropy (N, K), from logits (N, K, C) and labels (N,)."""
    return {
        "label": labels,
        "answer": logits.argmax(-1),
        "confidence": confidence(logits),
        "entropy": entropy(logits),
    }


def write(path: Path, by_split: dict[str, dict[str, np.ndarray]]) -> None:
    """Write predictions of all splits as one safetensors file."""
    flat = {
        f"{split}.{name}": np.ascontiguousarray(a) for split, arrays in by_split.items() for name, a in arrays.items()
    }
    atomic.write(path, lambda file: file.write(save(flat)))


def read(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Read what `write` wrote."""
    flat = load_file(path)
    return {
        split: {k.removeprefix(f"{split}."): v for k, v in flat.items() if k.startswith(f"{split}.")}
        for split in SPLITS
    }


def scored(arrays: dict[str, np.ndarray], criterion: str) -> Scored:
    """Predictions of one split under a criterion."""
    certain = arrays["confidence"] if criterion == "confidence" else -arrays["entropy"]
    return Scored(certain, arrays["answer"] == arrays["label"][:, None])


def nan_samples(arrays: dict[str, np.ndarray]) -> int:
    """Number of samples with a confidence that is no number; such a sample never leaves early."""
    return int(np.isnan(arrays["confidence"]).any(1).sum())
