"""What `manyexits doctor` says of a machine and a study, and its exit codes."""

import importlib
import json
import shutil
import subprocess
import sys
import tomllib
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import publishers
import pytest
import yaml
from conftest import ROOT

from manyexits import cli
from manyexits.commands.doctor import Gpu, environment, inventory, networks
from manyexits.data.readers import imagenette, newsgroups, stsb
from manyexits.study import components
from manyexits.study.job import BACKBONE, RUN
from manyexits.study.plan import load

CIFAR = {"cifar": {"source": "cifar100", "classes": 100}}


@pytest.fixture
def said(raw, tmp_path, monkeypatch, capsys):
    """A function that runs doctor on the small study, changed, in an empty folder: exit code and output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MANYEXITS_DATA_ROOT", raising=False)
    monkeypatch.setattr(environment, "gpus", list)
    monkeypatch.setattr(environment, "slurm", lambda: False)

    def run(**changes):
        Path("config.yaml").write_text(yaml.safe_dump(raw | changes))
        code = cli.main(["doctor"])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


def line(text: str, what: str) -> str:
    """The one line about something, in single spaces."""
    (found,) = (" ".join(each.split()) for each in text.splitlines() if each.split()[1:2] == [what])
    return found


def with_dataset(raw, datasets, name):
    """The sections that let the small study train on another dataset."""
    experiment = raw["experiments"]["small"] | {"dataset": name}
    return {"datasets": datasets, "experiments": {"small": experiment}}


# -- everything is there, or nothing --------------------------------------------------------------------------------


def test_a_study_on_embedded_data_can_be_built_anywhere(said):
    code, text = said()
    assert code == 0
    assert line(text, "digits") == "ok digits from scikit-learn, which embeds them"
    assert line(text, "table1") == (
        "ok table1 (table) can be built; 0 of 8 trainings are there, the rest may take up to 96 h by their time limits"
    )
    assert line(text, "GPU") == "note GPU none: trainings here would run on the CPU"
    assert text.endswith("\n2 of 2 tables and figures can be built here.\n")


def test_missing_data_say_where_they_were_looked_for_and_what_lacks_them(said, raw):
    code, text = said(**with_dataset(raw, CIFAR, "cifar"), hub=False)
    assert code == 1
    assert line(text, "cifar") == (
        "missing cifar looked for datasets/cifar-100-binary.tar.gz or datasets/cifar-100-binary;"
        " get it from https://www.cs.toronto.edu/~kriz/cifar.html (binary version), 161 MB"
    )
    assert "missing table1 (table) lacks dataset cifar. 0 of 8 trainings" in line(text, "table1")
    assert line(text, "folder") == "note folder datasets, from data_root of the configuration; it does not exist"
    assert text.endswith("\n0 of 2 tables and figures can be built here.\n")


def test_what_the_hub_may_be_asked_for_is_no_obstacle(said, raw):
    code, text = said(**with_dataset(raw, CIFAR, "cifar"), hub=True)
    assert code == 0
    assert "not here; will be fetched through the hub (uoft-cs/cifar100, 161 MB)" in line(text, "cifar")


def test_data_are_found_where_the_environment_says(said, raw, tmp_path, monkeypatch):
    (tmp_path / "mit Leerzeichen").mkdir()
    archive = tmp_path / "mit Leerzeichen/cifar-100-binary.tar.gz"
    images = [publishers.cifar_images(seed, [0, 1, 2, 3] * 15) for seed in (1, 2)]
    archive.write_bytes(publishers.tar_gz(publishers.cifar_files(*images), publishers.CIFAR))
    monkeypatch.setenv("MANYEXITS_DATA_ROOT", str(archive.parent))
    code, text = said(**with_dataset(raw, {"cifar": CIFAR["cifar"] | {"classes": 4}}, "cifar"), hub=False)
    assert code == 0
    assert line(text, "folder") == f"ok folder {archive.parent}, from MANYEXITS_DATA_ROOT"
    assert line(text, "cifar") == f"ok cifar found: {archive}, not yet prepared"


def test_only_datasets_that_an_experiment_uses_are_asked_for(said, raw):
    code, text = said(datasets=raw["datasets"] | CIFAR, hub=False)
    assert code == 0
    assert "cifar" not in text


def test_what_is_still_packed_is_no_dataset(said, raw, tmp_path):
    publishers.write_folder({"ILSVRC2012_img_train.tar": b""}, tmp_path / "datasets/imagenet")
    changes = with_dataset(raw, {"imagenet": {"source": "imagenet", "classes": 1000}}, "imagenet")
    code, text = said(**changes)
    assert code == 1
    assert "ILSVRC2012_img_train.tar is still packed; unpack it" in line(text, "imagenet")


def test_data_that_prepare_would_refuse_are_missing(said, raw, tmp_path):
    images = [publishers.cifar_images(seed, [0, 1, 2, 3] * 5) for seed in (1, 2)]
    publishers.write_folder(publishers.cifar_files(*images), tmp_path / "datasets" / publishers.CIFAR)
    code, text = said(**with_dataset(raw, CIFAR, "cifar"), hub=True)
    assert code == 1
    assert "missing cifar datasets.cifar.classes is 100, but datasets/cifar-100-binary has" in line(text, "cifar")
    assert "lacks dataset cifar" in line(text, "table1")


def test_a_folder_that_cannot_be_looked_at_is_missing_data(said, raw, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(inventory, "locate", refuse)
    code, text = said(**with_dataset(raw, CIFAR, "cifar"))
    assert code == 1
    assert "cannot be looked at (Permission denied); correct its permissions" in line(text, "cifar")


def test_missing_weights_are_named_with_their_home(said, raw):
    entry = {"file": "w.pth", "home": "https://example.org/w.pth", "licence": "none"}
    backbone = raw["backbones"]["tiny"] | {"weights": "w", "classifier": "new"}
    code, text = said(weights={"w": entry}, backbones={"tiny": backbone})
    assert code == 1
    assert line(text, "w") == "missing w looked for datasets/w.pth; get it from https://example.org/w.pth"
    assert "lacks weights w." in line(text, "fig3")
    assert said(weights={"w": entry | {"hub": "some/body"}}, backbones={"tiny": backbone})[0] == 0


def test_a_checkpoint_is_looked_for_in_its_folder_its_archive_and_its_package(said, raw, monkeypatch):
    entry = {"file": "m.safetensors", "folder": "bert", "home": "https://there", "licence": "none"}
    backbone = raw["backbones"]["tiny"] | {"weights": "w", "classifier": "new"}
    study = {"weights": {"w": entry}, "backbones": {"tiny": backbone}}
    assert line(said(**study)[1], "w") == "missing w looked for datasets/bert/m.safetensors; get it from https://there"
    Path("datasets/bert").mkdir(parents=True)
    Path("datasets/bert/m.safetensors").touch()
    assert line(said(**study)[1], "w") == "ok w found: datasets/bert/m.safetensors, not yet prepared"
    shutil.rmtree("datasets/bert")
    Path("datasets/bert").touch()
    assert line(said(**study)[1], "w") == "ok w found: datasets/bert, not yet prepared"
    Path("datasets/bert").unlink()
    Path("site/somebody_s").mkdir(parents=True)
    Path("site/somebody_s/__init__.py").touch()
    Path("site/somebody_s/m.zip").touch()
    monkeypatch.syspath_prepend("site")
    entry["package"] = "somebody_s/m.zip"
    assert line(said(**study)[1], "w").endswith("site/somebody_s/m.zip, not yet prepared")


@pytest.mark.parametrize("overlay", sorted(path.name for path in (ROOT / "workflow/overlays").glob("*.yaml")))
def test_every_overlay_can_be_asked_about(overlay, root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    monkeypatch.setattr(networks.build, "backbone", lambda *_: None)  # takes a while, and adds no line
    assert cli.main(["doctor", "--configfile", f"workflow/overlays/{overlay}"]) in (0, 1)
    assert "tables and figures can be built here" in capsys.readouterr().out


# -- what exists already --------------------------------------------------------------------------------------------


def test_prepared_data_count_until_their_settings_change(said, raw):
    plan = load(raw)
    settings = plan.settings("prepare", dataset="digits")
    assert cli.main(["prepare", "--settings", settings, "--data-root", "datasets", "--output", "data/digits"]) == 0
    assert line(said()[1], "digits") == "ok digits prepared in data/digits"
    changed = raw["datasets"]["digits"] | {"validation": 0.2}
    assert "prepared" not in line(said(datasets={"digits": changed})[1], "digits")


def fake_runs(plan, rows: bool):
    """run.json of every training of the small study, and its rows.csv where they are wanted."""
    for experiment, regime, seed in (tuple(names.values()) for names in plan.runs.of("small")):
        names = {"experiment": experiment, "regime": regime, "seed": seed}
        folders = {RUN.format(**names): plan.settings("train", **names)}
        if phase_1 := plan.runs.pretrained(experiment, regime):
            folders[BACKBONE.format(**phase_1, seed=seed)] = plan.settings("pretrain", **phase_1, seed=seed)
        for folder, settings in folders.items():
            path = Path("results") / folder / "run.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"settings": json.loads(settings)}))
            if not rows:  # records that were gathered hold no weights
                path.with_name("model.safetensors").touch()
        if rows:
            (Path("results") / RUN.format(**names) / "rows.csv").touch()


def test_trainings_count_until_their_settings_change(said, raw):
    changes = with_dataset(raw, CIFAR, "cifar") | {"hub": False}
    said()
    fake_runs(load(raw | changes), rows=False)
    code, text = said(**changes)
    assert "lacks dataset cifar. 8 of 8 trainings are there" in line(text, "table1")
    recipe = raw["recipes"]["quick"] | {"lr": 0.1}
    assert "0 of 8 trainings are there" in line(said(**changes, recipes={"quick": recipe})[1], "table1")
    assert code == 1


def test_rows_of_other_settings_are_no_trainings_and_records_without_weights_are_to_be_trained(said, raw):
    fake_runs(load(raw), rows=True)
    assert "8 of 8 trainings are there" in line(said()[1], "table1")
    recipe = raw["recipes"]["quick"] | {"lr": 0.1}
    assert "0 of 8 trainings are there" in line(said(recipes={"quick": recipe})[1], "table1")
    for rows in Path("results").rglob("rows.csv"):
        rows.unlink()
    assert "0 of 8 trainings are there" in line(said()[1], "table1")


def test_what_is_evaluated_needs_no_data(said, raw):
    changes = with_dataset(raw, CIFAR, "cifar") | {"hub": False}
    said()
    fake_runs(load(raw | changes), rows=True)
    text = said(**changes)[1]
    assert line(text, "table1") == "ok table1 (table) can be built; 8 of 8 trainings are there"
    assert "lacks dataset cifar" in line(text, "fig3")  # its analyses have not been run


# -- devices --------------------------------------------------------------------------------------------------------


def test_too_few_gpus_are_counted(said, raw, monkeypatch):
    monkeypatch.setattr(environment, "gpus", lambda: [Gpu("Card", 79.6, True)])
    quick = raw["recipes"]["quick"]
    four = {"quick": quick | {"devices": 4, "memory_gib": 60_000, "origin": quick["origin"] | {"devices": "O"}}}
    code, text = said(recipes=four)
    assert code == 1, text
    assert "lacks trainings of small ask for 4 GPUs, 1 is here. 0 of 8" in line(text, "table1")
    assert "ok GPU 0 Card, 80 GiB, bf16" in " ".join(text.split())
    assert line(text, "memory").endswith("; the largest training asks for 60000 GiB")
    monkeypatch.setattr(environment, "slurm", lambda: True)
    code, text = said(recipes=four)
    assert code == 0
    assert line(text, "GPUs") == "note GPUs the largest training asks for 4"


def test_cards_are_described_as_torch_sees_them(monkeypatch):
    import torch

    card = SimpleNamespace(name="Old card", total_memory=16 * 2**30)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "device", nullcontext)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: card)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: including_emulation)
    monkeypatch.setattr(environment.gpu, "found", lambda: "NVIDIA 550.54")
    assert environment.gpus() == [Gpu("Old card", 16.0, False)]
    assert environment.devices(environment.gpus(), 1, 1, "auto")[-1].says == "Old card, 16 GiB, no bf16"
    monkeypatch.setattr(environment.gpu, "found", lambda: None)
    assert environment.gpus() == []


def test_a_card_that_torch_cannot_use_is_an_obstacle_as_it_is_for_trainings(monkeypatch):
    monkeypatch.setattr(environment.gpu, "found", lambda: "NVIDIA 550.54")
    finding = environment.devices([], 1, 1, "auto")[-1]
    assert (finding.state, finding.what) == ("missing", "GPU")
    assert "driver NVIDIA 550.54" in finding.says
    assert "set device: cpu" in finding.says
    assert environment.devices([], 1, 1, "cpu")[-1].state == "note"
    monkeypatch.setattr(environment.gpu, "found", lambda: None)
    assert environment.devices([], 1, 1, "auto")[-1].says == "none: trainings here would run on the CPU"


# -- environment ----------------------------------------------------------------------------------------------------


def test_packages_of_another_version_are_named_and_missing_ones_are_an_obstacle(said, tmp_path):
    lock = tmp_path / "envs/requirements.txt"
    lock.parent.mkdir()
    lock.write_text("numpy==1.0.0 \\\n    --hash=sha256:00\n    # via torch\npyyaml==0.1\n")
    code, text = said()
    assert code == 0
    assert line(text, "packages").startswith("note packages not as pinned: numpy 2.")
    assert "(pinned: 1.0.0), pyyaml" in line(text, "packages")
    lock.write_text(lock.read_text() + "no-such-package==2.0\n")
    code, text = said()
    assert code == 1
    assert line(text, "packages") == "missing packages no-such-package of 3 are missing; install them: make setup"
    assert text.endswith("can be built here. First see to: packages.\n")


def test_the_packages_here_are_those_of_the_lock(root):
    assert environment.packages(root / "envs/requirements.txt").state == "ok"


def test_a_build_tag_is_no_other_version(tmp_path, monkeypatch):
    (tmp_path / "lock").write_text("torch==2.15.0\n")
    monkeypatch.setattr(environment.metadata, "version", lambda name: "2.15.0+cu130")
    assert environment.packages(tmp_path / "lock").state == "ok"


def test_another_python_is_an_obstacle(monkeypatch, root):
    wanted = tomllib.loads((root / "pyproject.toml").read_text())["project"]["requires-python"]
    assert wanted.startswith(f">={'.'.join(map(str, environment.PYTHON))},")
    assert environment.python().state == "ok"
    monkeypatch.setattr(environment.sys, "version_info", (3, 13, 1))
    assert environment.python().says == "3.13.1, but the packages are pinned for 3.11; install Python 3.11"


def test_commands_that_are_not_there_are_told(monkeypatch):
    monkeypatch.setattr(environment.shutil, "which", lambda command, path: None)
    states = {finding.what: (finding.state, finding.says) for finding in environment.commands()}
    assert states["git"] == ("missing", "not found; install it (Debian: apt-get install git)")
    assert states["snakemake"][0] == "missing"
    assert states["Slurm"][0] == "ok"
    assert "optional" in states["Slurm"][1]
    assert not environment.slurm()


@pytest.mark.parametrize("package", ["pydantic", "sklearn", "torch"])
def test_without_its_packages_doctor_still_names_them(package, root):
    code = (
        f"import sys; sys.modules['{package}'] = None\n"
        "from manyexits import cli\nfrom manyexits.commands.doctor import environment\n"
        "environment.gpu.found = lambda: 'NVIDIA'\n"
        "sys.exit(cli.main(['doctor', '--configfile', 'workflow/overlays/demo.yaml']))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert f"cannot be read without the package {package}; install the packages" in done.stdout
    assert done.stdout.endswith("is not known yet. First see to: study.\n")


def test_a_backbone_that_cannot_be_built_is_named(said, raw):
    typo = {"tiny": {"family": "timm", "name": "resnet_18", "pixels": 32}}
    said()
    code, text = said(backbones=typo)
    assert code == 1
    assert line(text, "tiny").startswith("missing tiny ")
    assert "resnet18" in line(text, "tiny")
    assert "lacks backbone tiny. 0 of 8" in line(text, "table1")


def test_a_backbone_that_can_be_built_is_built_once(said, monkeypatch):
    from manyexits.models import build

    built = []
    real = build.backbone
    monkeypatch.setattr(build, "backbone", lambda *told: built.append(told) or real(*told))
    code, text = said()
    assert code == 0, text
    assert line(text, "tiny") == "ok tiny can be built"
    assert len(built) == 1


# -- disk -----------------------------------------------------------------------------------------------------------


def test_what_is_the_same_of_many_is_said_once(said, raw):
    of = {f"b{width}": raw["backbones"]["tiny"] | {"width": width} for width in (4, 6, 8)}
    one = raw["experiments"]["small"]
    experiments = {name: one | {"backbone": name} for name in of}
    drawn = {"table1": {"experiments": [*of]}}
    code, text = said(backbones=of, experiments=experiments, tables=drawn, figures={}, analyses={})
    assert code == 0
    assert line(text, "these") == "ok these 3 can be built: b4, b6, b8"
    del of["b8"], experiments["b8"], drawn["table1"]["experiments"][2]
    text = said(backbones=of, experiments=experiments, tables=drawn, figures={}, analyses={})[1]
    assert line(text, "b6") == "ok b6 can be built"


def test_a_full_disk_is_an_obstacle(said, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=1_500_000_000))
    code, text = said()
    assert code == 1
    # 1,797 digits of 16 x 16 x 3 bytes, eight trainings and the checkpoints of one
    assert "missing data, results 1.5 GB free, about 1.6 GB needed; make room, or set output" in " ".join(text.split())
    assert text.endswith("First see to: data, results.\n")


def test_the_estimate_is_that_of_the_arrays_and_the_hub_is_asked_for_whole_datasets(raw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entries = {
        "small": {"source": "imagenette", "classes": 10, "pixels": 64, "per_class": [220, 80]},
        "part": {"source": "imagenette", "classes": 10, "pixels": 48, "per_class": [220, None]},
        "messages": {"source": "newsgroups", "classes": 20, "vocabulary": 8192, "sample": [2000, 100]},
        "pairs": {"source": "stsb", "scores": [0, 5], "validation": "official", "vocabulary": 8192},
        "tiny": {"source": "tinyimagenet", "classes": 200},
        "large": {"source": "imagenet", "classes": 1000},
    }
    plan = load(raw | {"datasets": raw["datasets"] | entries})
    sizes = {name: inventory.dataset(plan, name, Path("nowhere")).to_prepare for name in plan.study.datasets}
    assert sizes == {
        "digits": 1_797 * 16 * 16 * 3,
        "small": 3_000 * 64 * 64 * 3,
        "part": imagenette.SAMPLES * 48 * 48 * 3,
        "messages": 2_100 * newsgroups.TOKENS * 4,
        "pairs": stsb.SAMPLES * stsb.TOKENS * 4,
        "tiny": 110_000 * 64 * 64 * 3,
        "large": 1_331_167 * inventory.INDEXED,
    }
    found = {name: inventory.dataset(plan, name, Path("nowhere")).finding for name in entries}
    missing = {"small", "part", "messages"}  # the hub's messages lack what these are to keep
    assert {name for name, each in found.items() if each.state == "missing"} == missing
    assert {each.state for name, each in found.items() if name not in missing} == {"note"}
    assert "through the hub (ILSVRC/imagenet-1k, 138 GB" in found["large"].says


@pytest.mark.parametrize(
    ("n", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (161e6, "161 MB"), (2e11, "200 GB")]
)
def test_sizes_are_said_as_people_say_them(n, text):
    assert inventory.size(n) == text


# -- form -----------------------------------------------------------------------------------------------------------


def test_a_mistake_of_the_configuration_is_one_sentence(said, raw):
    code, text = said(experiments={"small": raw["experiments"]["small"] | {"dataset": "digit"}})
    assert code == 2
    (sentence,) = text.splitlines()
    assert sentence.startswith("manyexits doctor: experiments.small.dataset: there is no 'digit'; valid names: digits")


def test_on_a_terminal_the_same_is_a_table(said, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    code, text = said(output="results/[bold]x")
    assert code == 0
    assert "results/[bold]x" in text
    assert "2 of 2 tables and figures can be built here." in text


def test_one_screen_is_enough_for_the_papers_study(root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    monkeypatch.setattr(networks.build, "backbone", lambda *_: None)  # takes a while, and adds no line
    cli.main(["doctor"])
    assert len(capsys.readouterr().out.splitlines()) <= 50


# -- the facts beside each dataset ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", components.names("readers"))
def test_every_dataset_tells_its_facts(name):
    module = importlib.import_module(f"manyexits.data.readers.{name}")
    assert all(isinstance(getattr(module, key), str) for key in ("TITLE", "HOME", "LICENCE", "SIZE"))
    assert module.SAMPLES is None or module.SAMPLES > 0
    options = components.options("readers", name).model_fields
    assert "pixels" in options or getattr(module, "SIDE", 0) or getattr(module, "TEXTS", 0)
    assert bool(module.places("x")) == ("path" in options)


@pytest.mark.parametrize("name", [name for name in components.names("readers") if name not in ("digits", "docstrings")])
def test_a_dataset_is_looked_for_exactly_where_it_says(name, tmp_path):
    module = importlib.import_module(f"manyexits.data.readers.{name}")
    with pytest.raises(ValueError, match="is missing") as caught:
        module.load(tmp_path, False, path="somewhere.tgz")
    places = [tmp_path / place for place in module.places("somewhere.tgz")]
    assert all(str(place) in str(caught.value) for place in places)
    for place in places:
        place.mkdir()
        with pytest.raises(ValueError, match=f"^{place}[ :]"):
            module.load(tmp_path, False, path="somewhere.tgz")
        place.rmdir()
