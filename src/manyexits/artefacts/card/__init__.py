"""The reproducibility card: nine variables, and for each what the paper was rated, what this study provides, and where
the evidence stands. Everything on it is read from files: what is missing or contradicts the study turns a Yes into a No
that says why and what to do."""

from pathlib import Path
from typing import Any

from manyexits.artefacts.card.answers import answers
from manyexits.artefacts.card.records import read
from manyexits.artefacts.card.sections import sections
from manyexits.files import atomic


def write(settings: dict[str, Any], folder: Path, data: Path, checkout: Path, output: Path) -> None:
    """Write the card as md and html, under the name of `output` whatever its suffix.

    Args:
        settings: the experiments, regimes and recipes in force.
        folder: of everything that the study makes; the card's links are relative to it.
        data: folder of the prepared datasets.
        checkout: folder of the lock, CITATION.cff and the templates.
        output: where the card goes.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    facts = read(settings, folder, data, checkout)
    shown = {"answers": answers(facts), "sections": sections(facts)}
    for suffix in ("md", "html"):
        environment = Environment(
            loader=FileSystemLoader(checkout / "workflow/report"),
            undefined=StrictUndefined,
            autoescape=suffix == "html",
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        atomic.write_text(output.with_suffix(f".{suffix}"), environment.get_template(f"card.{suffix}").render(shown))
