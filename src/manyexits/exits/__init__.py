"""When a sample may leave, on arrays: certainty, thresholds, budgets and the rows of a run. NumPy alone."""
