"""Analyses, one file each: `analyse(runs, data, *, options)` returns rows with the module's COLUMNS, or steps that do.

They hold numbers but for those of its TEXT; LEFT_OUT are columns that committed records leave empty. runs are (regime,
seed, trained network in evaluation mode) or what else the module READS: "snapshots", the network on its way;
"representations", what is kept of its activations on test samples; "answers", what every test sample was answered. All
regimes of one seed or, where the module sets PAIRS, in a job of its own all of all seeds. An analysis that takes long
returns steps, functions that give their rows: what was done is not done again after an interruption.
"""
