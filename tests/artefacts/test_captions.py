"""Every artefact has a caption of its own, filled with what the study says."""

import shutil
from pathlib import Path

import pytest
from docutils.core import publish_parts

from manyexits.artefacts import captions


@pytest.fixture
def rendered(root, tmp_path, monkeypatch, prepared, request):
    """A function: name of a plan's fixture -> (kind, name) -> caption."""
    monkeypatch.chdir(tmp_path)

    def render(which: str) -> dict[tuple[str, str], str]:
        plan = request.getfixturevalue(which)
        for dataset in plan.study.datasets:
            Path(plan.study.data, dataset).mkdir(parents=True, exist_ok=True)
            shutil.copy(prepared / "manifest.json", Path(plan.study.data, dataset))
        pairs = [(kind, name) for name, kinds in plan.runs.artefacts.items() for kind in kinds]
        return {pair: captions.caption(root, plan, *pair) for pair in pairs}

    return render


MEASURED_ON = ("test split", "test samples", "training samples", "validation split")


@pytest.mark.parametrize("which", ["plan", "demo"])
def test_every_artefact_has_a_caption_of_its_own(rendered, which, request):
    plan, found = request.getfixturevalue(which), rendered(which)
    assert len(found) >= 4
    own = {pair: text.split("What it is made from:")[0] for pair, text in found.items()}
    assert len(set(own.values())) == len({text.splitlines()[0] for text in own.values()}) == len(found)
    for (kind, name), text in found.items():
        assert len(own[kind, name]) > 300
        for experiment in plan.runs.drawn(kind, name):
            assert f"- {experiment}: " in text
        assert "n = 144 training, 36 validation and 60 test " in text  # those of the manifest
        assert any(
            what in own[kind, name] for what in ("test split", "test samples", "training samples", "validation split")
        )
        first = plan.job(kind.removesuffix("s"), name=name).reads["rows"][0]
        assert f"``{plan.below(first)}``" in text


@pytest.mark.parametrize("which", ["plan", "demo"])
def test_captions_are_valid_markup(rendered, which):
    for text in rendered(which).values():
        body = publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["body"]
        assert "{{" not in body
        assert body.startswith("<p><strong>")


def test_captions_follow_the_study(rendered):
    nlp = rendered("plan")["tables", "nlp"]
    assert "accuracy (%) or Spearman correlation (× 100), mean" in nlp
    assert "newsgroups-bert: bert-512 with sdn on newsgroups; n = 144 training, 36 validation and 60 test texts;" in nlp
    assert "stsb-bert: bert-128 with sdn on stsb; n = 144 training, 36 validation and 60 test pairs of texts;" in nlp
    assert "60 test images;" in rendered("plan")["tables", "table1"]
    assert "7 × 7 points" in rendered("demo")["figures", "fig3"]
    assert "budgets (25 %, 50 %, 75 %, 100 %)" in rendered("plan")["tables", "table1"]


def test_the_report_lists_every_artefact_under_one_label(root, raw):
    """Two labels with as many values as results make Snakemake's page fail, silently and blank."""
    from snakemake.iocontainers import Wildcards

    from manyexits.wiring import Wiring

    label = Wiring(raw).labels(root, "tables")(Wildcards(fromdict={"name": "table1"}))
    assert label == {"table": "table1: Accuracy at every budget, beside the paper's"}


def test_no_caption_is_left_over(root, plan):
    pairs = {(kind, name) for name, kinds in plan.runs.artefacts.items() for kind in kinds}
    files = {
        (kind, path.stem) for kind in ("tables", "figures") for path in (root / "workflow/report" / kind).iterdir()
    }
    assert files == pairs


def test_without_a_caption_of_its_own_an_artefact_has_its_files_docstring(root, tmp_path, plan):
    (tmp_path / "workflow/report").mkdir(parents=True)
    said = "Table 1: accuracy of every experiment and regime at every budget, beside the paper's numbers."
    assert captions.title(tmp_path, plan, "tables", "table1") == said
    assert captions.caption(tmp_path, plan, "tables", "table1") == said


def test_without_a_prepared_dataset_a_caption_says_so(root, tmp_path, monkeypatch, plan):
    monkeypatch.chdir(tmp_path)
    assert "n is not known, since the dataset is not prepared here" in captions.caption(root, plan, "tables", "table1")


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_damaged_manifest_is_named(root, tmp_path, monkeypatch, plan, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/cifar100").mkdir(parents=True)
    (tmp_path / "data/cifar100/manifest.json").write_text(content)
    with pytest.raises(ValueError, match=r"data/cifar100/manifest\.json is no "):
        captions.caption(root, plan, "tables", "table1")
