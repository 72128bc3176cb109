"""Analyses, one file each: `analyse(models, data, *, options)` returns rows with the module's COLUMNS,
which hold numbers but for those of its TEXT.

models are (regime, seed, trained network in evaluation mode): all regimes of one seed or, where the module sets PAIRS,
the `control` regime under two seeds.
"""
