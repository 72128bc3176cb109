"""The committed records of the workstation scale: the links of the card lead somewhere, tables are made from them."""

import json
import re
from pathlib import Path

import pytest

from manyexits.artefacts import card, frames, gather
from manyexits.artefacts.tables import comparisons, table1
from manyexits.study import resolve
from manyexits.study.plan import load


@pytest.fixture(scope="module")
def records(root) -> Path:
    return root / "docs/workstation"


@pytest.fixture(scope="module")
def workstation(root):
    """The plan of the scale."""
    return load(resolve.read([root / "config.yaml", root / "workflow/overlays/workstation.yaml"]))


def test_the_card_answers_no_where_these_records_show_too_little(records):
    lines = (records / "card.md").read_text().splitlines()
    answers = dict(re.match(r"\| ([\w ]+) \| .*? \| \*\*(.+?)\*\*", line).groups() for line in lines if "| **" in line)
    assert len(answers) == 9
    # no address yet; photographs from a smaller copy
    assert {name for name, answer in answers.items() if answer != "Yes"} == {"Open Source Code", "Open Datasets"}


@pytest.mark.parametrize(("suffix", "link"), [("md", r"\]\(([^)]+)\)"), ("html", r'href="([^"]+)"')])
def test_every_link_of_the_card_leads_somewhere(records, suffix, link):
    text = (records / f"card.{suffix}").read_text()
    links, anchors = set(re.findall(link, text)), set(re.findall(r'id="([^"]+)"', text))
    files = {each for each in links if not each.startswith("#")}
    assert {each[1:] for each in links - files} <= anchors
    assert len(files) >= 8 + 3  # a record for every training and analysis
    assert all((records / file).is_file() for file in files)


def test_the_card_is_the_one_that_these_records_give_now(records, workstation, root, tmp_path, monkeypatch):
    monkeypatch.chdir(records)
    card.write(json.loads(workstation.settings("card")), Path(), Path("data"), root, tmp_path / "card.html")
    assert (tmp_path / "card.md").read_text() == (records / "card.md").read_text()


@pytest.mark.parametrize("module", [table1, comparisons])
def test_tables_are_made_from_the_records(records, workstation, module):
    name = module.__name__.split(".")[-1]
    told = json.loads(workstation.settings("table", name=name))
    reads = {
        kind: [records / workstation.below(file) for file in workstation.job("table", name=name).reads[kind]]
        for kind in ("rows", "comparisons")
    }
    if reads["comparisons"]:
        told["comparisons"] = frames.read(frames.COMPARISONS, reads["comparisons"], told["experiments"])
    made = module.table(frames.read(module, reads["rows"], told["experiments"]), told, **told["options"])
    assert made.data.to_csv(index=False) == (records / f"tables/{name}.csv").read_text()


def test_records_are_small_and_name_no_machine(records):
    for path in records.rglob("*"):
        if path.suffix in (".json", ".csv", ".md", ".html", ".tex"):
            gather.check(path)
        assert path.name == "answers.safetensors" or path.suffix not in (".safetensors", ".npy", ".npz")


def test_pictures_are_there(records):
    for name in ("budget_curves", "fig3"):
        assert (records / f"figures/{name}.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
