"""Datasets, one file each: `load(root, hub, *, options)` returns a `sources.Raw` or raises ValueError."""
