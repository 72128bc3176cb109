"""Intervals of means over few runs: Student's t."""

import numpy as np
import pandas as pd

LEVEL = 0.95


def of_means(mean: pd.Series, std: pd.Series, count: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Lower and upper ends of 95 % intervals of means of so many values; empty for a single one."""
    from scipy.stats import t

    several = count.where(count > 1)
    half = std / np.sqrt(several) * t.ppf((1 + LEVEL) / 2, several - 1)
    return mean - half, mean + half
