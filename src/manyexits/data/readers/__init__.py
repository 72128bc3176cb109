"""Datasets, one file each: `load(root, hub, workers, *, options)` returns a `raw.Raw` or raises ValueError.

Beside it stand the facts that a person asks for before anything is read (`manyexits doctor`, docs/data.md): TITLE;
HOME, where to get it; LICENCE; SIZE of the download, as its publisher states it; SAMPLES, how many the complete dataset
has, None where nobody knows; SIDE, pixels of the prepared images where no option tells it; and `places(path)`, the
files or folders below data_root that `load` looks for, in its order. RELEASES, where they are known,
holds the checksums of the publisher's archives. `look(found, *, options)`, where there is one,
is what `load` does before it decodes an image: what it returns has `train.labels`, `test.labels` and `class_names`.
"""
