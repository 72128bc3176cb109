"""Analyses, one file each: `analyse(runs, data, *, options)` returns rows with the module's COLUMNS.

They hold numbers but for those of its TEXT; LEFT_OUT are columns that committed records leave empty. runs are (regime,
seed, trained network in evaluation mode) or, where the module READS "answers", (regime, seed, what every test sample
was answered): all regimes of one seed or, where the module sets PAIRS, the `control` regime under two seeds.
"""
