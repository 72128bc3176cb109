"""docs/data.md says what the code does."""

import gzip
import importlib
import json
import re
from pathlib import Path

import publishers
import pytest
import yaml

from manyexits.commands.doctor import inventory
from manyexits.data import archives, prepare
from manyexits.data import prepared as dataset
from manyexits.data.readers import cifar100, imagenet
from manyexits.study import components, resolve
from manyexits.study.plan import load

PAGE = (Path(__file__).parent.parent / "docs/data.md").read_text()


def blocks(kind: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)  # in order, or an end would begin one
    return [block for its_kind, block in fenced if its_kind == kind]


def rows(first: str) -> list[list[str]]:
    """The cells of a table, by its first heading."""
    table = PAGE.split(f"| {first} |")[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table]


def test_the_table_of_sources_is_that_of_the_modules():
    told = {row[0].strip("`"): row[1:] for row in rows("`source`")}
    assert set(told) == set(components.names("readers"))
    for name, (title, home, size, places, hub, licence) in told.items():
        module, options = importlib.import_module(f"manyexits.data.readers.{name}"), components.options("readers", name)
        assert (title, home, size, licence) == (module.TITLE, module.HOME, module.SIZE, module.LICENCE)
        default = options.model_fields["path"].default if "path" in options.model_fields else None
        named = module.places(default) if isinstance(default, str) else ()
        assert re.findall("`([^`]+)`", places) == [*named] or (name == "folder" and places == "what `path` says")
        identifier = options.model_fields["hub_id"].default if "hub_id" in options.model_fields else None
        assert hub == (f"`{identifier}`" if identifier else "–")


def test_the_tree_has_the_place_of_every_dataset_and_of_the_weights(plan):
    (tree,) = [block for block in blocks("") if block.startswith("datasets/")]
    names = {line.strip().split()[0].rstrip("/") for line in tree.splitlines()}
    for entry in plan.study.datasets.values():
        module = importlib.import_module(f"manyexits.data.readers.{entry.source}")
        assert not entry.options.get("path") or module.places(entry.options["path"])[0] in names
    weights = [(each.folder, each.file, each.tokenizer, each.configuration) for each in plan.study.weights.values()]
    assert {name for each in weights for name in each if name} | set(imagenet.KITS[1:]) <= names
    assert [line.split()[0] for line in tree.splitlines() if line.startswith("    ")][:2] == [
        "train/<WordNet",
        "val/*.JPEG",
    ]


def test_prepared_sizes_and_splits_are_those_of_the_study(plan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where nothing is prepared yet
    told = {row[0].strip("`"): row[1:] for row in rows("entry")}
    assert set(told) == set(plan.study.datasets)
    for name, (size, *counts) in told.items():
        assert size == inventory.size(inventory.dataset(plan, name, Path("nowhere")).to_prepare)
        train, validation, test = (int(count.replace(",", "")) for count in counts)
        entry = plan.study.datasets[name]
        assert train + validation + test == importlib.import_module(f"manyexits.data.readers.{entry.source}").SAMPLES
        if entry.validation != "official":
            assert validation == -int(-(train + validation) * entry.validation // 1)  # scikit-learn rounds up


@pytest.mark.parametrize("block", blocks("yaml"))
def test_every_snippet_is_a_valid_overlay(block, root):
    overlay = yaml.safe_load(block)
    assert overlay
    merged = resolve.merge(resolve.read([root / "config.yaml"]), overlay)
    resolved = load(merged).study
    for key, value in overlay.items():
        if isinstance(value, dict):
            assert set(value) <= set(getattr(resolved, key))
        else:
            assert getattr(resolved, key) == value


def test_photographs_of_one_folder_are_prepared_as_the_snippet_says(root, tmp_path):
    (block,) = [block for block in blocks("yaml") if "pilot" in block]
    plan = load(resolve.merge(resolve.read([root / "config.yaml"]), yaml.safe_load(block)))
    files = {
        f"{name}/{number}.png": publishers.encoded(publishers.photograph(20 * place + number), "PNG")
        for place, name in enumerate(("crow", "robin", "val"))
        for number in range(20)
    }
    (tmp_path / "pilot.zip").write_bytes(publishers.zipped(files, "."))
    settings = json.loads(plan.settings("prepare", dataset="pilot"))
    prepare.prepare(settings, tmp_path, False, tmp_path / "prepared")
    manifest = dataset.read(tmp_path / "prepared").manifest
    assert manifest["class_names"] == ["crow", "robin", "val"]
    assert manifest["per_class"]["test"] == [4, 4, 4]
    assert manifest["shape"] == [96, 96, 3]


def test_messages_are_quoted_as_they_are(tmp_path, monkeypatch):
    (quoted,) = [block.splitlines() for block in blocks("") if " is missing: " in block]
    monkeypatch.chdir(tmp_path)
    root = Path("datasets")
    (root / "imagenet").mkdir(parents=True)
    (root / "imagenet/ILSVRC2012_img_train.tar").touch()
    archive = root / "cifar-100-binary.tar.gz"
    places = cifar100.places(archive.name)
    with pytest.raises(ValueError, match="packed") as packed:
        imagenet.look(root / "imagenet", store="index")
    found = [str(archives.missing(cifar100.TITLE, root, places, cifar100.HOME)), str(packed.value)]
    archive.write_bytes(gzip.compress(b"a part")[:-9])
    with pytest.raises(ValueError, match="damaged") as caught:
        cifar100.load(root, False)
    assert quoted[:2] == found
    start, end = " is damaged (", "); get it again"
    assert all(text.startswith(f"{archive}{start}") and text.endswith(end) for text in (quoted[2], str(caught.value)))


def test_every_kind_of_photograph_is_named():
    from manyexits.data.photographs import SUFFIXES

    assert set(SUFFIXES) <= set(re.findall(r"\.\w+", PAGE.split("What ends in")[1].split("is a photograph")[0]))


def test_the_table_of_messages_quotes_the_code(root):
    code = "".join(path.read_text() for path in (root / "src/manyexits").rglob("*.py"))
    for says, _ in rows("it says"):
        for phrase in says.replace("datasets.NAME", "").replace(" …", "").split(", "):
            assert phrase in code, phrase
