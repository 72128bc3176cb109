"""Figures, one file each: `figure(frame, told, *, options)` returns a matplotlib figure from the rows that it READS."""

from functools import partial
from pathlib import Path
from typing import Any

from manyexits.artefacts import frames
from manyexits.artefacts.figures import _style
from manyexits.files import atomic
from manyexits.files.made import each
from manyexits.study import components


def draw(settings: dict[str, Any], inputs: list[Path], output: Path) -> None:
    """Make a figure and write it as pdf, png and svg, under the name of `output` whatever its suffix.

    Nothing in the files tells when they were made: equal inputs give equal files.
    """
    module = components.module("figures", settings["name"])
    with _style.style():
        made_by, runs = each(settings, "rows", inputs), settings.get("runs", ())
        frame = frames.read(module, inputs, settings["experiments"], made_by, settings["regimes"], runs)
        made = module.figure(frame, settings, **settings["options"])
        _style.place(made)
        without_date: dict[str, dict[str, Any]] = {
            "pdf": {"CreationDate": None, "ModDate": None},
            "png": {},
            "svg": {"Date": None},
        }
        for suffix, metadata in without_date.items():
            path = output.with_suffix(f".{suffix}")
            atomic.write(path, partial(made.savefig, format=suffix, metadata=metadata))
