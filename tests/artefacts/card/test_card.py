"""The card on a small study whose output is written by hand: what it says, and that every Yes needs its piece."""

import html.parser
import json
import re
import shutil
from pathlib import Path

import pytest
import records
import yaml
from conftest import ROOT, SMALL

from manyexits.artefacts import card
from manyexits.artefacts.card import shapes
from manyexits.study import components
from manyexits.study.plan import load

RATED = "Research Type, Researcher Affiliation, Pseudocode, Open Source Code, Open Datasets, Dataset Splits,"
RATED += " Hardware Specification, Software Dependencies, Experiment Setup"
RATED = RATED.split(", ")
"""The nine variables [P]."""
NO_LONGER_NO = {"Pseudocode", "Dataset Splits", "Software Dependencies"}
"""What the paper was rated No in [P]."""


@pytest.fixture
def made(tmp_path, monkeypatch, prepared):
    """A finished small study below the working folder, and its plan."""
    monkeypatch.chdir(tmp_path)
    for file in ("CITATION.cff", "envs/requirements.txt", "workflow/report/card.md", "workflow/report/card.html"):
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, file)
    citation = yaml.safe_load(Path("CITATION.cff").read_text()) | {"repository-code": "https://home.org/code"}
    Path("CITATION.cff").write_text(yaml.safe_dump(citation))
    raw = yaml.safe_load(SMALL)
    raw["tables"]["comparisons"] = {"experiments": ["small"]}
    plan = load(raw)
    records.write(plan, prepared, Path("results/demo"), Path("data"))
    return plan


def change(file: str, **values) -> None:
    """Change keys of a JSON file; None removes one."""
    path = Path(file)
    content = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def written(plan, folder: str = "results/demo", data: str = "data") -> tuple[str, str]:
    """The card as md and html."""
    output = Path(folder, "card.html")
    card.write(json.loads(plan.settings("card")), Path(folder), Path(data), Path(), output)
    return output.with_suffix(".md").read_text(), output.read_text()


def answered(markdown: str) -> dict[str, str]:
    """Variable -> answer, as the md card's first table has it."""
    return dict(re.findall(r"^\| ([A-Z][\w ]+) \| [^|]+ \| \*\*([^*]+)\*\*", markdown, re.MULTILINE))


def test_a_complete_study_answers_all_nine(made):
    text = written(made)[0]
    assert answered(text) == dict.fromkeys(RATED, "Yes")
    assert set(re.findall(r"^\| ([A-Z][\w ]+) \| No\b", text, re.MULTILINE)) == NO_LONGER_NO


RUN = "results/demo/runs/small/mixed/s2/run.json"
PHASE_1 = "results/demo/backbones/digits/tiny/quick/s1/run.json"
EVERY_RUN = {"Research Type", "Pseudocode", "Open Source Code", "Dataset Splits", "Hardware Specification"}
EVERY_RUN |= {"Software Dependencies", "Experiment Setup"}
ANALYSIS = "results/demo/analyses/mode_connectivity/small/s2.json"
SPLITS, MANIFEST, COSTS = "data/digits/splits.json", "data/digits/manifest.json", "results/demo/costs/small.json"


def without_phase(file: str) -> None:
    change(file, phases=json.loads(Path(file).read_text())["phases"][:1])


def with_settings(file: str, **values) -> None:
    change(file, settings=json.loads(Path(file).read_text())["settings"] | values)


def with_recipe(file: str, **values) -> None:
    settings = json.loads(Path(file).read_text())["settings"]
    settings["phases"][0]["recipe"] |= values
    change(file, settings=settings)


def with_phase(file: str, **values) -> None:
    phases = json.loads(Path(file).read_text())["phases"]
    phases[-1] |= values
    change(file, phases=phases)


def with_indices(file: str) -> None:
    train = json.loads(Path(file).read_text())["train"]
    change(file, train=train | {"indices": [*train["indices"][:-1], 0]})


MISSING = {
    "a record": (lambda: Path(RUN).unlink(), EVERY_RUN, "1 of 8 trainings have no readable run.json: small/mixed/s2"),
    "a record of phase 1": (lambda: Path(PHASE_1).unlink(), EVERY_RUN, "run.json: backbones/digits/tiny/quick/s1"),
    "half a record": (lambda: Path(RUN).write_text("{"), EVERY_RUN, "have no readable run.json: small/mixed/s2"),
    "authors": (lambda: change_citation(authors=None), {"Researcher Affiliation"}, "CITATION.cff names no authors"),
    "a citation": (
        lambda: Path("CITATION.cff").unlink(),
        {"Researcher Affiliation", "Open Source Code"},
        "CITATION.cff names no authors",
    ),
    "an address": (
        lambda: change_citation(**{"repository-code": None}),
        {"Open Source Code"},
        "CITATION.cff names no repository-code",
    ),
    "the accuracies": (
        lambda: Path(RUN).with_name("rows.csv").write_text("better"),
        {"Research Type"},
        "small/mixed/s2: not what the record tells in rows.csv",
    ),
    "the answers": (
        lambda: Path(RUN).with_name("answers.safetensors").write_text("better"),
        {"Research Type"},
        "small/mixed/s2: not what the record tells in answers.safetensors",
    ),
    "a history": (
        lambda: Path(PHASE_1).with_name("history.csv").unlink(),
        {"Research Type"},
        "backbones/digits/tiny/quick/s1: not what the record tells in history.csv",
    ),
    "an analysis' rows": (
        lambda: Path(ANALYSIS).with_suffix(".csv").write_text("better"),
        {"Research Type"},
        "mode_connectivity/small/s2: not what the record tells in s2.csv",
    ),
    "the comparisons": (
        lambda: Path("results/demo/comparisons/small.csv").write_text("better"),
        {"Research Type"},
        "comparisons/small: not what the record tells in small.csv",
    ),
    "a record of rows": (
        lambda: Path(RUN).with_name("rows.json").unlink(),
        {"Research Type"},
        "no readable record lies beside the rows of small/mixed/s2",
    ),
    "checksums": (
        lambda: change(RUN, outputs_sha256=None),
        {"Research Type"},
        "the record of small/mixed/s2 tells no checksum of what it lies beside",
    ),
    "thresholds": (
        lambda: Path(RUN).with_name("thresholds.json").write_text('{"cells": []}'),
        {"Experiment Setup"},
        "small/mixed/s2: not what was evaluated in thresholds.json",
    ),
    "another torch": (
        lambda: change(RUN, versions=records.VERSIONS | {"torch": "2.14.0"}),
        {"Software Dependencies"},
        "small/mixed/s2: ran with torch 2.14.0, which the lock does not pin",
    ),
    "another pillow of an evaluation": (
        lambda: change(str(Path(RUN).with_name("rows.json")), versions=records.VERSIONS | {"pillow": "1.0"}),
        {"Software Dependencies"},
        "small/mixed/s2: ran with pillow 1.0, which the lock does not pin",
    ),
    "one version": (
        lambda: change(RUN, versions={name: v for name, v in records.VERSIONS.items() if name != "timm"}),
        {"Software Dependencies"},
        "small/mixed/s2 does not tell the versions of timm",
    ),
    "a phase": (lambda: without_phase(RUN), {"Pseudocode"}, "phases backbone, where the regime now has backbone, all"),
    "a commit": (
        lambda: change(RUN, commit=None),
        {"Open Source Code"},
        "small/mixed/s2 ran outside of a git checkout",
    ),
    "a clean tree": (
        lambda: change(RUN, changed=True),
        {"Open Source Code"},
        "small/mixed/s2 ran from a checkout with",
    ),
    "whether the tree is clean": (
        lambda: change(RUN, changed=None),
        {"Open Source Code"},
        "from a checkout with changes",
    ),
    "an analysis": (
        lambda: Path(ANALYSIS).unlink(),
        {"Open Source Code"},
        "no readable record lies beside the rows of an",
    ),
    "an analysis' commit": (
        lambda: change(ANALYSIS, commit=None),
        {"Open Source Code"},
        "small/s2 ran outside of a git",
    ),
    "an analysis' settings": (
        lambda: with_settings(ANALYSIS, options={"line": 7}),
        {"Experiment Setup"},
        "mode_connectivity/small/s2: made with other settings than are in force now",
    ),
    "an analysis' manifest": (
        lambda: change(ANALYSIS, inputs_sha256={"manifest": "00"}),
        {"Dataset Splits"},
        "small/s2: made from another manifest of digits",
    ),
    "an analysis' hardware": (
        lambda: change(ANALYSIS, hardware={}),
        {"Hardware Specification"},
        "the record of analyses/mode_connectivity/small/s2 does not name the hardware",
    ),
    "an analysis' versions": (
        lambda: change(ANALYSIS, versions=None),
        {"Software Dependencies"},
        "the record of analyses/mode_connectivity/small/s2 does not tell the versions",
    ),
    "a dataset's settings": (
        lambda: with_settings(MANIFEST, pixels=12, validation=0.5),
        {"Open Datasets", "Dataset Splits"},
        "digits was prepared with another pixels, validation than is in force now",
    ),
    "a manifest": (lambda: Path(MANIFEST).unlink(), {"Open Datasets", "Dataset Splits"}, "manifest.json of digits is"),
    "a licence": (lambda: change(MANIFEST, licence=None), {"Open Datasets", "Dataset Splits"}, "digits lacks licence"),
    "splits": (lambda: Path(SPLITS).unlink(), {"Dataset Splits"}, "splits.json of digits is missing or damaged"),
    "a split's seed": (lambda: change(SPLITS, seed=None), {"Dataset Splits"}, "splits.json of digits lacks seed"),
    "the true indices": (lambda: with_indices(SPLITS), {"Dataset Splits"}, "the train indices are not those of their"),
    "the manifest's splits": (lambda: change(SPLITS, rule="r"), {"Dataset Splits"}, "is not the one of its manifest"),
    "the run's manifest": (
        lambda: change(RUN, inputs_sha256={}),
        {"Dataset Splits"},
        "small/mixed/s2: made from another manifest of digits",
    ),
    "hardware": (
        lambda: change(RUN, hardware=None),
        {"Hardware Specification"},
        "small/mixed/s2 does not name the hard",
    ),
    "the processor": (
        lambda: change(RUN, hardware={"cores": 2, "memory_gib": 8.0, "devices": []}),
        {"Hardware Specification"},
        "small/mixed/s2 does not name the hardware",
    ),
    "a time": (
        lambda: with_phase(RUN, device_seconds=None),
        {"Hardware Specification", "Experiment Setup"},
        "run.json of small/mixed/s2 lacks device_seconds",
    ),
    "versions": (
        lambda: change(RUN, versions=None),
        {"Software Dependencies"},
        "small/mixed/s2 does not tell the vers",
    ),
    "the lock": (
        lambda: Path("envs/requirements.txt").unlink(),
        {"Software Dependencies"},
        "envs/requirements.txt is missing or pins nothing",
    ),
    "the lock's hashes": (
        lambda: Path("envs/requirements.txt").write_text("torch==2.15.0\n"),
        {"Software Dependencies"},
        "envs/requirements.txt is missing or pins nothing",
    ),
    "the recipe in force": (
        lambda: with_recipe(RUN, lr=0.1),
        {"Experiment Setup"},
        "small/mixed/s2: not what is in force now in all.lr",
    ),
    "the network in force": (
        lambda: change(RUN, settings=json.loads(Path(RUN).read_text())["settings"] | {"network": {}}),
        {"Experiment Setup"},
        "not what is in force now in network",
    ),
    "the version in force": (
        lambda: change(RUN, settings=json.loads(Path(RUN).read_text())["settings"] | {"version": 0}),
        {"Experiment Setup"},
        "not what is in force now in version of train",
    ),
    "costs": (lambda: Path(COSTS).unlink(), {"Experiment Setup"}, "costs/small.json is missing or damaged"),
    "the convention": (
        lambda: change(COSTS, convention=None),
        {"Experiment Setup"},
        "costs/small.json lacks convention",
    ),
}


def change_citation(**values) -> None:
    path = Path("CITATION.cff")
    content = yaml.safe_load(path.read_text()) | values
    path.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))


@pytest.mark.parametrize("what", MISSING)
def test_a_missing_piece_is_a_no_with_reason_and_remedy(made, what):
    remove, variables, reason = MISSING[what]
    remove()
    texts = written(made)
    assert {variable for variable, answer in answered(texts[0]).items() if answer == "No"} == variables
    assert all(reason in text for text in texts)
    problems = re.findall(r"^- .+; (.+)$", texts[0], re.MULTILINE)
    assert problems
    assert all(re.match(r"(remove|train|add|clone|commit|prepare|make|name) ", remedy) for remedy in problems)


SHAPES = [
    (RUN, shapes.RecordShape, "a record"),
    (ANALYSIS, shapes.RecordShape, "an analysis"),
    (MANIFEST, shapes.ManifestShape, "a manifest"),
    (SPLITS, shapes.SplitsShape, "splits"),
    (COSTS, shapes.CostsShape, "costs"),
    ("CITATION.cff", shapes.CitationShape, "a citation"),
    (str(Path(RUN).with_name("rows.json")), shapes.RecordShape, "a record of rows"),
]


@pytest.mark.parametrize(
    ("file", "key", "missing"),
    [
        (file, field.alias or key, missing)
        for file, shape, missing in SHAPES
        for key, field in shape.model_fields.items()
    ],
)
def test_a_value_of_another_type_is_as_bad_as_a_missing_file(made, file, key, missing):
    path = Path(file)
    path.write_text(json.dumps(yaml.safe_load(path.read_text()) | {key: [True]}))
    _, variables, reason = MISSING[missing]
    text = written(made)[0]
    assert {variable for variable, answer in answered(text).items() if answer == "No"} == variables
    assert reason in text


def test_a_study_that_draws_nothing_has_nothing_to_show(made):
    raw = yaml.safe_load(SMALL) | {"tables": {}, "figures": {}}
    answers = answered(written(load(raw))[0])
    assert {variable for variable, answer in answers.items() if answer == "No"} == EVERY_RUN | {"Open Datasets"}


@pytest.mark.parametrize(
    ("stated", "answer"),
    [
        ({}, "No"),
        ({"licence": "CC0"}, "No"),
        ({"home": "https://birds.org"}, "No"),
        ({"licence": "CC0", "home": "https://birds.org"}, "Yes"),
    ],
)
def test_a_folder_of_ones_own_is_open_where_its_entry_says_so_and_never_named_by_its_path(
    made, prepared, stated, answer
):
    raw = yaml.safe_load(SMALL)
    raw["datasets"]["digits"] = {"source": "folder", "classes": 10, "path": "/home/someone/birds"} | stated
    plan = load(raw)
    for folder in ("results", "data"):
        shutil.rmtree(folder)
    records.write(plan, prepared, Path("results/demo"), Path("data"))
    texts = written(plan)
    assert answered(texts[0])["Open Datasets"] == answer
    for text in texts:
        assert "/home/someone" not in text
        assert "path birds" in text
        assert ("CC0" in text) == ("licence" in stated)


@pytest.mark.parametrize(
    ("source", "home", "answer"),
    [
        (f"mine.tgz, sha256 {'ab' * 32}", {}, "No"),
        (f"theirs.tgz, sha256 {'cd' * 32}", {}, "Yes"),
        ("a-folder", {}, "Yes"),
        ("hub: a/dataset", {}, "Yes"),
        (f"mine.tgz, sha256 {'ab' * 32}", {"home": "https://home.org/mine.tgz", "licence": "MIT"}, "Yes"),
    ],
)
def test_an_archive_that_its_publisher_does_not_offer_is_not_open(made, monkeypatch, source, home, answer):
    constant = components.constant

    def with_releases(kind, name, key, default):
        return ("cd" * 32,) if key == "RELEASES" else constant(kind, name, key, default)

    monkeypatch.setattr(components, "constant", with_releases)
    raw = yaml.safe_load(SMALL)
    raw["datasets"]["digits"] |= home
    change(MANIFEST, source=source)
    text = written(load(raw))[0]
    assert answered(text)["Open Datasets"] == answer
    said = "digits was prepared from mine.tgz, which is none of the archives that its publisher offers; prepare it"
    assert (said in text) == (answer == "No")


def test_a_value_that_only_a_later_version_knows_agrees_while_it_is_the_default(made):
    settings = json.loads(Path(RUN).read_text())["settings"]
    del settings["phases"][0]["recipe"]["erasing"]
    change(RUN, settings=settings)
    assert answered(written(made)[0])["Experiment Setup"] == "Yes"
    del settings["phases"][0]["recipe"]["lr"]  # stated, so no default
    change(RUN, settings=settings)
    assert answered(written(made)[0])["Experiment Setup"] == "No"


def test_analyses_are_told_with_their_settings_and_records(made):
    path = "analyses/mode_connectivity/small"
    links = ", ".join(f"[{unit}]({path}/{unit}.json)" for unit in ("s1", "s2", "seeds"))
    options = "curve 3000, curve_batch 128, curve_lr 0.01, grid 3, line 3, n_batchnorm 40, n_probe 40"
    assert f"| mode_connectivity | small | {options} | {links} |" in written(made)[0]


def test_affiliations_are_those_of_the_citation(made):
    authors = [{"given-names": "Ada", "family-names": "L", "affiliation": "An Institute"}, {"name": "A group"}]
    Path("CITATION.cff").write_text(yaml.safe_dump({"authors": authors}))
    text = written(made)[0]
    assert answered(text)["Researcher Affiliation"] == "Yes"
    assert "Ada L, A group, An Institute |" in text


@pytest.fixture
def pretrained(made, prepared):
    """A study whose backbone starts from pretrained weights, in place of the other."""
    raw = yaml.safe_load(SMALL)
    raw["weights"] = {"published": {"file": "a.pth", "home": "https://home.org/a.pth", "licence": "BSD"}}
    raw["backbones"]["tiny"] |= {"weights": "published", "classifier": "new"}
    plan = load(raw)
    shutil.rmtree("results")
    shutil.rmtree("data")
    records.write(plan, prepared, Path("results/demo"), Path("data"))
    return plan


def test_pretrained_weights_are_told_and_compared(pretrained):
    text = written(pretrained)[0]
    assert "| published | https://home.org/a.pth | – | BSD | new | small |" in text
    assert "START(seed) = drawn from the seed, but the backbone's are those of published, its classifier new" in text
    assert answered(written(pretrained)[0])["Experiment Setup"] == "Yes"
    settings = json.loads(Path(PHASE_1).read_text())["settings"]
    change(PHASE_1, settings=settings | {"weights": None})
    assert "not what is in force now in weights" in written(pretrained)[0]


def test_runs_that_differ_are_named(made):
    change(RUN, versions=records.VERSIONS | {"torch": "2.14.0"}, commit="cd" * 20)
    change(RUN, hardware={"cpu": "another", "cores": 4, "memory_gib": 16.0, "devices": []})
    text = written(made)[0]
    assert "| torch | 2.14.0 | 2.15.0 | small/mixed/s2 |" in text
    assert "| no accelerator; another, 4 cores, 16 GiB | 1 of 11 | 10 | small/mixed/s2 |" in text
    assert f"| {'cd' * 20} | no | trainings: small/mixed/s2 |" in text
    assert "2 commits" in text


def test_time_of_a_shared_phase_counts_once(made):
    # two times phase 1, and one phase each of six runs
    assert "| 2 × A100; a processor, 2 cores, 8 GiB | 11 of 11 | 80 | all |" in written(made)[0]


def test_every_value_of_a_recipe_has_its_mark(made):
    made.study.recipes["quick"].origin["lr"] = "P E.1"
    text = written(made)[0]
    assert "| lr | 0.005 | P E.1 |" in text
    assert "| batch | 64 | O |" in text
    defaults = re.search(r"^\| left at the defaults \| (.+) \| O \(default\) \|$", text, re.MULTILINE).group(1)
    values = set(made.study.recipes["quick"].science())
    assert {each.split(" ")[0] for each in defaults.split(", ")} == values - set(made.study.recipes["quick"].origin)


class Anchors(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.ids, self.links = set(), []

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.ids |= {told["id"]} if "id" in told else set()
        self.links += [told["href"]] if "href" in told else []


def links(markdown: str, page: str) -> list[tuple[set[str], list[str]]]:
    """Anchors and links of both cards."""
    parser = Anchors()
    parser.feed(page)
    targets = set(re.findall(r'<a id="(\w+)">', markdown))
    return [(targets, re.findall(r"\]\(([^)]+)\)", markdown)), (parser.ids, parser.links)]


@pytest.mark.parametrize(
    ("folder", "data"), [("results", "data"), ("results/demo", "data"), ("docs/workstation", "docs/workstation/data")]
)
def test_every_link_leads_somewhere(made, folder, data):
    Path("results/demo").rename("made")
    Path("data").rename("made data")
    for source, target in (("made", folder), ("made data", data)):
        shutil.copytree(source, target, dirs_exist_ok=True)
    for anchors, found in links(*written(made, folder, data)):
        files = [link for link in found if not link.startswith("#")]
        assert len(files) == 8 + 3 + 1 + 2  # every training, every analysis, the costs, manifest and splits
        assert all(Path(folder, file).is_file() for file in files)
        assert {link[1:] for link in found if link.startswith("#")} <= anchors
        assert len(found) > len(files)


def test_links_lead_to_nothing_that_is_missing(made):
    for file in (RUN, ANALYSIS, SPLITS, COSTS):
        Path(file).unlink()
    for _, found in links(*written(made)):
        assert all(link.startswith("#") or (Path("results/demo") / link).is_file() for link in found)


def test_the_card_names_no_place_of_a_machine(made, tmp_path):
    settings = json.loads(made.settings("card"))
    card.write(settings, tmp_path / "results/demo", tmp_path / "data", tmp_path, tmp_path / "elsewhere/card.html")
    for path in (tmp_path / "elsewhere").iterdir():
        text = path.read_text()
        assert str(tmp_path) not in text
        assert not re.search(r'[("]/', text)  # links, too, are relative


def test_markup_in_a_record_stays_text(made):
    change(MANIFEST, source="<b>a|b</b>")
    markdown, page = written(made)
    assert "&lt;b&gt;a|b&lt;/b&gt;" in page
    assert r"<b>a\|b</b>" in markdown


def test_a_card_of_equal_files_has_equal_bytes(made):
    assert written(made) == written(made)


def test_the_split_of_prepare_passes_the_check_of_the_card(made):
    assert "| digits | train | 144 |" in written(made)[0]
    assert "| digits | validation | 36 |" in written(made)[0]
