"""Phases, freezing, early stopping, histories and exact resume."""

import json

import numpy as np
import pytest
import torch
from conftest import NETWORK, RECIPE, settings_of

from manyexits.batches.views import Views, blank_images, blanks
from manyexits.data import prepared as dataset
from manyexits.files.provenance import sha256
from manyexits.models import build
from manyexits.study.recipe import Recipe
from manyexits.training.checkpoint import Checkpoints
from manyexits.training.train import Interrupted


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_training_learns(fitted):
    _, progress = fitted(settings_of("all", epochs=6, patience=6))
    last = [row for row in progress.history if row["epoch"] == 6]
    assert all(row["accuracy"] > 0.6 for row in last)  # chance is 1/3
    assert last[0]["train_loss"] < progress.history[0]["train_loss"]


@pytest.mark.parametrize(
    ("phase", "learning"), [("backbone", {"backbone"}), ("heads", {"heads"}), ("all", {"backbone", "heads"})]
)
def test_a_phase_changes_only_its_groups_buffers_included(fitted, prepared, phase, learning):
    start = build.network(NETWORK, blanks(dataset.read(prepared)), seed=1)
    before = weights(start)
    model, _ = fitted(settings_of(phase), model=start)
    assert {name.split(".")[0] for name in changed(before, model.state_dict())} == learning
    if "backbone" in learning:
        assert any(name.endswith("running_mean") for name in changed(before, model.state_dict()))


def test_disjoint_stops_early_by_its_heads_alone_and_leaves_the_backbone_as_it_is(fitted):
    model, _ = fitted(settings_of("backbone"), checkpoints="phase 1")
    before = weights(model.backbone)
    model, progress = fitted(settings_of("heads", epochs=40, patience=2), model=model, checkpoints="phase 3")
    (record,) = progress.phases
    assert record["stopped_early"]
    assert record["epochs"] == record["best_epoch"] + 2 < 40
    assert equal(before, weights(model.backbone))
    last_exit = [row["accuracy"] for row in progress.history if row["exit"] == 2]
    assert len(set(last_exit)) == 1  # it ties for ever, and does not keep the phase alive


@pytest.mark.parametrize("limit", [6, 40])
def test_the_best_weights_are_restored_at_an_early_stop_and_at_the_limit_alike(fitted, prepared, limit):
    model, progress = fitted(
        settings_of("heads", epochs=limit, patience=4, schedule="constant", lr=0.5, crop_padding=0)
    )
    (record,) = progress.phases
    assert record["best_epoch"] < record["epochs"]
    best = next(r for r in progress.history if r["epoch"] == record["best_epoch"] and r["exit"] == 1)
    read = dataset.read(prepared)
    split = read.validation
    from manyexits.models.measure import measure

    _, right, _ = measure(model.eval(), Views(read, torch.device("cpu")), split)
    assert right[0].item() / len(split) == best["accuracy"]


def test_the_history_counts_samples_and_flops_over_all_phases(fitted):
    from manyexits.models.cost import count_network

    settings = settings_of("backbone", "all", epochs=2)
    model, progress = fitted(settings)
    costs = count_network(model, blank_images(8, 8))
    per_epoch = 6 * 24  # 144 training images in steps of 24
    last = [rows for rows in progress.history if rows["exit"] == 1]
    assert [row["samples"] for row in last] == [per_epoch * n for n in (1, 2, 3, 4)]
    backbone, everything = 3 * costs.backbone, 3 * costs.exits[-1]
    expected = np.cumsum([backbone, backbone, everything, everything]) * per_epoch
    assert [row["flops"] for row in last] == expected.tolist()
    assert [record["flops_of_phase"] for record in progress.phases] == [
        2 * per_epoch * backbone,
        2 * per_epoch * everything,
    ]


def test_features_of_a_frozen_backbone_are_computed_once_and_counted_once(fitted):
    from manyexits.models.cost import count_network

    model, _ = fitted(settings_of("backbone"), checkpoints="phase 1")
    start = weights(model)
    cached, progress = fitted(settings_of("heads", crop_padding=0), model=model, checkpoints="cached")
    first = weights(cached.heads)
    costs = count_network(model, blank_images(8, 8))
    stages, head = costs.stages[0], costs.heads[0]
    assert progress.flops == 144 * stages + 3 * 144 * 3 * head
    model.load_state_dict(start)
    recomputed, progress = fitted(
        settings_of("heads", crop_padding=0, cache_gib=0.0), model=model, checkpoints="not cached"
    )
    assert progress.flops == 3 * 144 * (stages + 3 * head)
    for name, value in weights(recomputed.heads).items():
        assert torch.allclose(value, first[name], atol=1e-4)


def test_cosine_goes_from_the_rate_to_zero_over_the_epoch_limit_and_constant_stays():
    from manyexits.training.optimiser import learning_rate

    recipe = Recipe.model_validate(RECIPE | {"schedule": "cosine", "lr": 0.4, "lr_min": 0.0, "epochs": 4})
    above = recipe.model_copy(update={"lr_min": 0.1})
    assert [learning_rate(above, step, 2) for step in (0, 4, 8)] == pytest.approx([0.4, 0.25, 0.1])
    assert [learning_rate(recipe, step, 2) for step in (0, 4, 8)] == pytest.approx([0.4, 0.2, 0.0])
    assert learning_rate(recipe.model_copy(update={"schedule": "constant"}), 7, 2) == 0.4


def test_two_runs_give_the_same_bits_and_another_seed_gives_others(fitted):
    first, _ = fitted(settings_of("all"), checkpoints="a")
    second, _ = fitted(settings_of("all"), checkpoints="b")
    other, _ = fitted(settings_of("all", seed=2), checkpoints="c")
    assert equal(weights(first), weights(second))
    assert not equal(weights(first), weights(other))


EVERYTHING_RANDOM = {
    "mixup": 0.8,
    "cutmix": 1.0,
    "mix_per": "element",
    "flip": True,
    "rotation": 20.0,
    "contrast": 0.4,
    "erasing": 0.5,
    "trivial_augment": True,
}


@pytest.mark.parametrize(
    "recipe", [{}, EVERYTHING_RANDOM, {"optimizer": "sgd", "momentum": 0.9, "per_device_batch": 8}]
)
def test_a_run_that_is_stopped_at_every_look_and_goes_on_has_the_bits_of_one_that_is_not(fitted, monkeypatch, recipe):
    monkeypatch.setattr("manyexits.training.train.CHECK_EVERY", 2)
    settings = settings_of("backbone", "heads", "all", epochs=2, **recipe)
    whole, expected = fitted(settings, checkpoints="undisturbed")
    attempts = 0
    while True:
        try:
            model, progress = fitted(settings, checkpoints="disturbed", stop=lambda: True)
        except Interrupted:
            attempts += 1
            model = None
        else:
            break
        assert attempts < 100
    assert attempts > 10
    assert equal(weights(model), weights(whole))
    assert progress.history == expected.history
    untimed = [{k: v for k, v in record.items() if k not in ("time_s", "device_seconds")} for record in progress.phases]
    assert all(
        set(record.items()) <= set(other.items()) for record, other in zip(untimed, expected.phases, strict=True)
    )


@pytest.fixture(scope="session")
def index(prepared, tmp_path_factory):
    """The prepared images as photographs that stay files, with their splits and statistics."""
    import shutil

    from PIL import Image

    root, folder = tmp_path_factory.mktemp("photographs"), tmp_path_factory.mktemp("index") / "made"
    shutil.copytree(prepared, folder)
    for part in ("train", "test"):
        images = np.load(folder / f"arrays/{part}_images.npy")
        (folder / f"arrays/{part}_images.npy").unlink()
        lines = ["path,height,width"]
        for number, image in enumerate(images):
            Image.fromarray(image).save(root / f"{part}{number}.png")
            lines.append(f"{part}{number}.png,8,8")
        (folder / f"arrays/{part}_files.csv").write_text("\n".join(lines) + "\n")
    (folder / "arrays/root.txt").write_text(str(root))
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_photographs_train_to_the_bits_of_the_same_images_in_an_array(fitted, index, workers):
    settings = settings_of("all", mixup=0.5, cutmix=1.0, mix_per="element", erasing=0.5, epochs=2)
    array, progress = fitted(settings, checkpoints="array")
    files, same = fitted(settings, data=index, checkpoints="files", workers=workers)
    assert equal(weights(array), weights(files))
    assert progress.history == same.history


def test_parts_of_photographs_that_workers_cut_out_resume_to_the_same_bits(fitted, index, monkeypatch):
    from manyexits.training import train

    settings = settings_of("all", crop_padding=0, resized_crop=0.3, flip=True, epochs=2)
    whole, _ = fitted(settings, data=index, checkpoints="whole")
    monkeypatch.setattr(train, "CHECK_EVERY", 2)
    for _ in range(50):
        try:
            model, _ = fitted(settings, data=index, checkpoints="stopped", stop=lambda: True, workers=1)
            break
        except Interrupted:
            continue
    assert equal(weights(whole), weights(model))


def test_parts_cut_on_the_device_train_like_those_that_are_cut_where_they_are_decoded(fitted, index):
    settings = settings_of("backbone", crop_padding=0, resized_crop=0.3, epochs=1, optimizer="sgd", lr=0.01)
    array, _ = fitted(settings, checkpoints="array")
    files, _ = fitted(settings, data=index, checkpoints="files")
    found, same = weights(array), weights(files)
    assert not equal(found, same)  # some grey levels differ by one
    for name, value in found.items():
        assert torch.allclose(value.float(), same[name].float(), atol=2e-3), name


def test_accumulating_gradients_gives_the_step_of_the_whole_batch(fitted):
    settings = {"epochs": 1, "optimizer": "sgd", "lr": 0.1, "mixup": 0.4}  # heads alone: no batch statistics
    whole, _ = fitted(settings_of("heads", **settings), checkpoints="whole")
    parts, _ = fitted(settings_of("heads", per_device_batch=6, **settings), checkpoints="parts")
    for name, value in weights(whole).items():
        assert torch.allclose(value.float(), weights(parts)[name].float(), atol=1e-5)


def test_phases_accumulate_each_on_their_own(fitted):
    plain = {"epochs": 1, "optimizer": "sgd", "lr": 0.1}
    whole = settings_of("heads", "heads", **plain)  # six steps each: four passes a step do not divide the first phase
    parts = settings_of("heads", "heads", **plain)
    parts["phases"][1]["recipe"]["per_device_batch"] = 6
    first, _ = fitted(whole, checkpoints="whole")
    second, _ = fitted(parts, checkpoints="parts")
    for name, value in weights(first).items():
        assert torch.allclose(value.float(), weights(second)[name].float(), atol=1e-5)


def test_a_loss_that_is_no_number_stops_with_its_place_and_keeps_the_last_good_checkpoint(
    fitted, tmp_path, monkeypatch
):
    monkeypatch.setattr("manyexits.training.train.CHECK_EVERY", 1)
    settings = settings_of("all", optimizer="sgd", lr=1e4, schedule="constant")
    with pytest.raises(ValueError, match=r"no longer a number in phase all, epoch 1, at learning rate 1e\+04"):
        fitted(settings, save_every_s=0.0)
    saved = Checkpoints(tmp_path / "checkpoints").load()
    assert saved["progress"]["step"] >= 1
    assert all(value.isfinite().all() for value in saved["network"].values())


def test_a_batch_larger_than_the_data_is_refused(fitted):
    with pytest.raises(ValueError, match="batch 1000 is larger than the 144 training samples"):
        fitted(settings_of("all", batch=1000))


def test_heads_without_heads_have_nothing_to_learn(fitted):
    settings = settings_of("heads")
    del settings["network"]["placement"]
    with pytest.raises(ValueError, match="nothing to learn"):
        fitted(settings)


@pytest.fixture
def noisy(prepared, tmp_path):
    """The prepared dataset with images and labels of its test split replaced by noise."""
    import shutil

    folder = shutil.copytree(prepared, tmp_path / "noisy")
    generator = np.random.default_rng(5)
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, high in (("arrays/test_images.npy", 256), ("arrays/test_labels.npy", 3)):
        old = np.load(folder / name)
        np.save(folder / name, generator.integers(0, high, old.shape).astype(old.dtype))
        manifest["files_sha256"][name] = sha256(folder / name)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_the_test_split_influences_the_thresholds_of_the_protocol_paper_and_nothing_else(fitted, prepared, noisy):
    from manyexits.exits import criteria, predict
    from manyexits.exits.calibrate import choose
    from manyexits.exits.task import Task
    from manyexits.models.cost import count_network
    from manyexits.models.measure import measure

    found, task = {}, Task("classification", 3)
    scans = criteria.named("confidence", task, 2)
    for name, folder in (("real", prepared), ("noise", noisy)):
        model, progress = fitted(settings_of("backbone", "all", epochs=4), data=folder, checkpoints=name)
        data = dataset.read(folder)
        views, arrays = Views(data, torch.device("cpu")), {}
        for split in predict.SPLITS:
            images = getattr(data, split)
            _, _, logits = measure(model.eval(), views, images, collect=True)
            arrays[split] = predict.predictions(logits.numpy(), images.labels[images.indices], task)
        costs = count_network(model, blanks(data))
        cells = {}
        for protocol in ("paper", "shared", "geometric"):
            scored = [[predict.scored(arrays[split], scans[0], task)] for split in predict.SPLITS]
            exits = np.array(costs.exits)
            cells[protocol] = choose(protocol, scans, [0.7, 0.8, 0.9, 1.0], *scored, exits, costs.backbone)
        found[name] = weights(model), progress.history, cells
    (real, real_history, real_cells), (noise, noise_history, noise_cells) = found["real"], found["noise"]
    assert equal(real, noise)
    assert real_history == noise_history
    assert json.dumps(real_cells["shared"]) == json.dumps(noise_cells["shared"])
    assert json.dumps(real_cells["geometric"]) == json.dumps(noise_cells["geometric"])
    assert real_cells["paper"] != noise_cells["paper"]


def test_a_damaged_checkpoint_costs_time_and_no_bits(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("manyexits.training.train.CHECK_EVERY", 2)
    settings = settings_of("all", epochs=2)
    whole, _ = fitted(settings, checkpoints="undisturbed")
    for _ in range(3):
        with pytest.raises(Interrupted):
            fitted(settings, checkpoints="disturbed", stop=lambda: True)
    latest = tmp_path / "disturbed/latest.ckpt"
    latest.write_bytes(latest.read_bytes()[:-100])
    resumed, _ = fitted(settings, checkpoints="disturbed")
    assert equal(weights(resumed), weights(whole))


def test_bf16_trains_and_leaves_a_plain_network_behind(fitted):
    model, progress = fitted(settings_of("all", precision="bf16", epochs=4, patience=4))
    assert progress.history[-1]["accuracy"] > 0.6
    assert all(value.dtype == torch.float32 for value in model.parameters())
    assert model.eval()(torch.zeros(1, 3, 8, 8))[0].dtype == torch.float32


def test_clipping_bounds_the_step(fitted, prepared):
    start = build.network(NETWORK, blanks(dataset.read(prepared)), seed=1)
    before = weights(start)
    recipe = {"optimizer": "sgd", "lr": 1.0, "schedule": "constant", "clip": 1e-3, "batch": 144, "epochs": 1}
    model, _ = fitted(settings_of("all", **recipe), model=start)
    moved = sum((before[name] - value).pow(2).sum() for name, value in model.named_parameters()) ** 0.5
    assert moved.item() == pytest.approx(1e-3, rel=1e-3)
