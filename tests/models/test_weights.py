"""Pretrained weights: read as they are published, checked, and loaded where they belong or not at all."""

import argparse
import hashlib
import json
import pickle
import re

import pytest
import timm
import torch
from conftest import settings_of
from hypothesis import given
from hypothesis import settings as settings_
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from test_dag import stats
from test_job import command
from test_reruns import snakemake
from torchvision.models import resnet
from torchvision.models.vision_transformer import VisionTransformer

from manyexits import cli
from manyexits.data.weights import fetch
from manyexits.models import weights
from manyexits.models.backbones import resnet as our_resnet
from manyexits.models.backbones import timm as our_timm
from manyexits.models.network import load_weights
from manyexits.study import resolve
from manyexits.study.plan import load
from manyexits.study.refusals import StudyError

pytestmark = pytest.mark.usefixtures("handlers")

VIT = {"name": "vit_tiny_patch16_224", "pixels": 32, "patch": 8}


def told(**changed):
    entry = {"weights": "pretrained", "file": "some.pth", "hub": None, "home": "https://there", "licence": "MIT"}
    beside = dict.fromkeys(("folder", "package", "tokenizer", "configuration", "sha256"))
    return entry | beside | changed


@pytest.fixture
def published(tmp_path):
    """A function that publishes a state dict, runs `weights` on it and returns the path of what that wrote."""

    def publish(content, file="some.pth", **changed):
        path = tmp_path / "raw" / file
        path.parent.mkdir(exist_ok=True)
        save_file(content, path) if file.endswith("safetensors") else torch.save(content, path)
        fetch(told(file=file, **changed), path.parent, False, tmp_path / "made")
        return tmp_path / "made/model.safetensors"

    return publish


def moved(model):
    """The model with all weights and statistics away from their initial values, in evaluation mode."""
    torch.manual_seed(1)
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            if value.is_floating_point():
                value.add_(0.05 * torch.rand_like(value))
    return model.eval()


@torch.no_grad()
def same(ours, original, pixels):
    images = torch.randn(2, 3, pixels, pixels)
    expected = original(images)
    assert expected.std() > 1e-3
    return (ours.eval()(images) - expected).abs().max() <= 1e-5


# -- where each weight goes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counters", [True, False])
def test_torchvision_s_resnets_load(published, counters):
    original = moved(resnet.resnet18(num_classes=7))
    state = {k: v for k, v in original.state_dict().items() if counters or "num_batches" not in k}  # as older files
    ours = our_resnet.build(7, groups=[2, 2, 2, 2], stem="imagenet")
    weights.load(published(state), ours, "kept")
    assert same(ours, original, 64)


@pytest.mark.parametrize("old_names", [True, False])
def test_torchvision_s_vit_loads_into_timm_s(published, old_names):
    original = moved(VisionTransformer(32, 8, 12, 3, 192, 768, num_classes=7))
    state = original.state_dict()
    if old_names:  # as in the published file of ViT-B/16
        layers = {".mlp.0.": ".mlp.linear_1.", ".mlp.3.": ".mlp.linear_2."}
        state = {re.sub(r"\.mlp\.[03]\.", lambda found: layers[found[0]], key): value for key, value in state.items()}
    ours = our_timm.build(7, **VIT)
    weights.load(published(state), ours, "kept")
    assert same(ours, original, 32)


@pytest.mark.parametrize("file", ["some.pth", "some.safetensors"])
@pytest.mark.parametrize("name", ["convnext_atto", "resnet18"])
def test_timm_s_checkpoints_load(published, name, file):
    original = moved(timm.create_model(name, num_classes=7))
    ours = our_timm.build(7, name=name)
    weights.load(published(original.state_dict(), file), ours, "kept")
    assert same(ours, original, 64)


@pytest.mark.parametrize("name", ["convnext_atto", "efficientnet_b0", "vit_tiny_patch16_224"])
def test_a_new_classifier_is_as_it_was_drawn_and_all_else_is_loaded(published, name):
    size, theirs = ({"pixels": 32}, {"img_size": 32}) if name.startswith("vit") else ({}, {})
    original = moved(timm.create_model(name, num_classes=11, **theirs)).state_dict()
    ours = our_timm.build(7, name=name, **size)
    before = {key: value.clone() for key, value in ours.state_dict().items()}
    weights.load(published(original), ours, "new")
    drawn = {
        key for key, value in ours.state_dict().items() if value.is_floating_point() and torch.equal(value, before[key])
    }
    assert len(drawn) == 2  # weight and bias of the last layer
    assert all(key.startswith("classifier.model.") for key in drawn)
    for key, here in ours.original.items():
        assert here in drawn or torch.equal(ours.state_dict()[here], original[key])


def test_a_kept_classifier_of_other_classes_is_refused_with_both_shapes(published):
    path = published(resnet.resnet18(num_classes=11).state_dict())
    with pytest.raises(ValueError, match="do not fit the backbone") as caught:
        weights.load(path, our_resnet.build(7, groups=[2, 2, 2, 2], stem="imagenet"), "kept")
    shapes = "of another shape: fc.weight (11, 512) instead of (7, 512), fc.bias (11,) instead of (7,)"
    assert shapes in str(caught.value)
    assert "classifier: new" in str(caught.value)
    assert "missing" not in str(caught.value)


def test_weights_that_do_not_fit_are_named_and_nothing_is_loaded(published):
    state = moved(resnet.resnet18(num_classes=7)).state_dict()
    state["layer1.0.convolution.weight"] = state.pop("layer1.0.conv1.weight")
    state["conv1.weight"] = state["conv1.weight"][..., :5, :5]
    ours = our_resnet.build(7, groups=[2, 2, 2, 2], stem="imagenet")
    before = {key: value.clone() for key, value in ours.state_dict().items()}
    with pytest.raises(ValueError, match="do not fit the backbone") as caught:
        weights.load(published(state), ours, "new")
    assert (
        "(missing: layer1.0.conv1.weight; unexpected: layer1.0.convolution.weight;"
        " of another shape: conv1.weight (64, 3, 5, 5) instead of (64, 3, 7, 7))" in str(caught.value)
    )
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[key]) for key, value in ours.state_dict().items())


def test_weights_of_another_network_are_listed_briefly(published):
    path = published(resnet.resnet34(num_classes=7).state_dict())
    with pytest.raises(ValueError, match=r"\(unexpected: layer1\.2\.bn1\.bias, .* and 91 more\)") as caught:
        weights.load(path, our_resnet.build(7, groups=[2, 2, 2, 2], stem="imagenet"), "kept")
    assert len(str(caught.value)) < 600


def test_position_embeddings_of_another_size_are_refused_unless_the_backbone_resamples_them(published):
    original = moved(timm.create_model("vit_tiny_patch16_224", num_classes=7, img_size=32, patch_size=8))
    path = published(original.state_dict())
    with pytest.raises(ValueError, match=r"pos_embed \(1, 17, 192\) instead of \(1, 65, 192\)"):
        weights.load(path, our_timm.build(7, **VIT | {"pixels": 64}), "kept")
    ours = our_timm.build(7, **VIT | {"pixels": 64}, resample_positions=True)
    weights.load(path, ours, "kept")
    original.set_input_size((64, 64))
    assert same(ours, original, 64)


def test_resampling_without_position_embeddings_is_refused():
    with pytest.raises(
        ValueError, match="timm's resnet18 has no position embedding that can be resampled; remove resample"
    ):
        our_timm.build(7, name="resnet18", resample_positions=True)


# -- what is read and written -----------------------------------------------------------------------------------------

STATE = {"fc.weight": torch.ones(2, 3), "fc.bias": torch.zeros(2), "bn.running_mean": torch.zeros(2)}


def test_the_manifest_says_what_was_read_and_what_is_written(published, tmp_path):
    path = published(STATE, licence="BSD")
    manifest = json.loads((tmp_path / "made/manifest.json").read_text())
    read, written = (hashlib.sha256(p.read_bytes()).hexdigest() for p in (tmp_path / "raw/some.pth", path))
    assert manifest["source"] == f"some.pth, sha256 {read}"
    assert manifest["files_sha256"] == {"model.safetensors": written}
    assert (manifest["licence"], manifest["n_parameters"]) == ("BSD", 8)
    assert str(tmp_path) not in (tmp_path / "made/manifest.json").read_text()
    loaded = load_file(path)
    assert all(torch.equal(loaded[key], value) for key, value in STATE.items())


def test_tensors_that_share_memory_are_written_as_they_are(published):
    whole = torch.arange(6.0)
    found = load_file(published({"a": whole, "b": whole[2:4], "c": whole.reshape(2, 3).T}))
    assert (found["b"].tolist(), found["c"].tolist()) == ([2, 3], [[0, 3], [1, 4], [2, 5]])


def test_a_checksum_is_compared_as_far_as_it_is_given(published, tmp_path):
    published(STATE)
    found = hashlib.sha256((tmp_path / "raw/some.pth").read_bytes()).hexdigest()
    for right in (found, found[:8]):
        published(STATE, sha256=right)
    wrong = found[:7] + ("0" if found[7] != "0" else "1")
    with pytest.raises(ValueError, match=f"has the SHA-256 {found}, which does not begin with {wrong}; get it again"):
        published(STATE, sha256=wrong)


@pytest.mark.parametrize("file", ["some.pth", "some.safetensors"])
@pytest.mark.parametrize(
    "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\x80" * 100, lambda b: b[40:]]
)
def test_damaged_files_are_refused_in_one_sentence(published, tmp_path, file, damage):
    published(STATE, file)
    path = tmp_path / "raw" / file
    path.write_bytes(damage(path.read_bytes()))
    sentence = (
        r"some\.\w+ is (damaged, or holds more than weights .* get it again|empty; get the weights) from https://there"
    )
    with pytest.raises(ValueError, match=sentence) as caught:
        fetch(told(file=file), path.parent, False, tmp_path / "other")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "other/manifest.json").exists()


class Trap:
    def __reduce__(self):
        return (open, ("sprung", "w"))


def test_no_code_in_a_file_is_ever_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"fc.weight": Trap()}, tmp_path / "some.pth")
    (tmp_path / "sprung").unlink(missing_ok=True)
    with pytest.raises(ValueError, match=r"holds more than weights \(io.open\), .*; save the state dict alone"):
        fetch(told(), tmp_path, False, tmp_path / "made")
    (tmp_path / "some.pth").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="is damaged, or holds more than weights"):
        fetch(told(), tmp_path, False, tmp_path / "made")
    assert not (tmp_path / "sprung").exists()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n"
FOREIGN = {
    "pointer": ("a.pth", POINTER, "is a Git LFS pointer, .* `git lfs pull`"),
    "pointer to safetensors": ("a.safetensors", POINTER, "is a Git LFS pointer, .* `git lfs pull`"),
    "page": (
        "a.pth",
        b"\n<!DOCTYPE html><html>Virus scan warning</html>",
        "is a web page; get the weights from https:",
    ),
    "page with a mark": (
        "a.safetensors",
        b"\xef\xbb\xbf<HTML><body>log in</body>",
        "is a web page; get the weights from",
    ),
    "answer of a store": (
        "a.bin",
        b'<?xml version="1.0"?><Error>AccessDenied</Error>',
        "is a web page; get the weights",
    ),
    "index": (
        "a.bin",
        b'{"metadata": {"total_size": 1}, "weight_map": {}}',
        "is JSON text, .* name the weights themsel",
    ),
    "gzip": ("a.pth", b"\x1f\x8b\x08\x00" + bytes(60), "is an archive; unpack it, and name the file inside, or get"),
    "keras": ("a.pt", b"\x89HDF\r\n\x1a\n" + bytes(60), "is HDF5, .* name weights of torchvision or timm, or get"),
    "numpy": (
        "a.pt",
        b"\x93NUMPY\x01\x00" + bytes(60),
        "is a NumPy array; name weights of torchvision or timm, or get",
    ),
    "nothing": ("a.pth", b" \n", "is empty; get the weights from https://there"),
    "safetensors": (
        "a.pth",
        lambda path: save_file(STATE, path),
        "is safetensors under another name; .* in .safetensors",
    ),
    "torch": (
        "a.safetensors",
        lambda path: torch.save(STATE, path),
        "is a file of torch.save under another name; .* .pth",
    ),
    "folder": ("a.pth", lambda path: path.mkdir(), r"is no file that can be read \(Is a directory\); put the file of"),
    "more": (
        "a.pth",
        lambda path: torch.save({"model": STATE, "args": argparse.Namespace()}, path),
        r"holds more than weights \(argparse.Namespace\), and nothing else is ever loaded; save the state dict alone",
    ),
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_is_no_file_of_weights_is_told_by_its_first_bytes(tmp_path, what):
    file, write, sentence = FOREIGN[what]
    path = tmp_path / file
    path.write_bytes(write) if isinstance(write, bytes) else write(path)
    with pytest.raises(ValueError, match=sentence) as caught:
        fetch(told(file=file), tmp_path, False, tmp_path / "made")
    assert_plain(caught.value)


def assert_plain(error):
    """One sentence for a terminal, without torch's advice to trust the file."""
    assert str(error).isprintable()
    assert not re.search(r"weights_only|pickle|trust", str(error))
    assert len(str(error)) < 600


@pytest.mark.parametrize("length", [0x3C, 0x7B, 0x5B])  # as bytes "<", "{" and "["
def test_safetensors_whose_length_looks_like_text_are_read(tmp_path, length):
    weight = torch.ones(2)
    header = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    length += 256 * (length < len(header))
    (tmp_path / "a.safetensors").write_bytes(
        length.to_bytes(8, "little") + header.ljust(length).encode() + weight.numpy().tobytes()
    )
    fetch(told(file="a.safetensors"), tmp_path, False, tmp_path / "made")
    assert torch.equal(load_file(tmp_path / "made/model.safetensors")["a"], weight)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("file", ["some.pth", "some.safetensors"])
def test_weights_that_are_no_numbers_are_refused_when_they_are_fetched(published, file, value):
    with pytest.raises(ValueError, match=r"holds values that are no finite numbers, .* in fc.weight; get it again"):
        published(STATE | {"fc.weight": torch.tensor([[1, value]])}, file)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused_wherever_they_are_loaded(tmp_path, value):
    network = our_resnet.build(3, groups=[1, 1], width=4)
    path, state = tmp_path / "model.safetensors", network.state_dict()
    first, last = "classifier.2.bias", "stages.0.0.0.weight"
    save_file({name: part * value if name in (first, last) else part for name, part in state.items()}, path)
    sentence = (
        rf"model.safetensors are no finite numbers: {first}, {last} hold NaN or infinity; remove the file and make"
    )
    for load_ in (lambda: load_weights(path, network), lambda: weights.load(path, network, "kept")):
        with pytest.raises(ValueError, match=sentence):
            load_()
    assert all(part.isfinite().all() for part in network.state_dict().values())


@pytest.mark.parametrize("family", [lambda: our_resnet.build(7, groups=[2, 2, 2, 2], stem="imagenet"),
                                    lambda: our_timm.build(7, name="test_vit")])  # fmt: skip
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model.backbone."])
def test_a_prefix_that_all_names_have_is_named(published, family, prefix):
    ours = family()
    state = {f"{prefix}{name}": ours.state_dict()[here] for name, here in ours.original.items()}
    with pytest.raises(ValueError, match=rf"every name begins with {re.escape(prefix)} .*removeprefix\('{prefix}'\)"):
        weights.load(published(state), ours, "kept")
    weights.load(published({name.removeprefix(prefix): value for name, value in state.items()}), ours, "kept")


def test_whole_numbers_are_no_weights(published):
    state = {name: value.int() for name, value in resnet.resnet18(num_classes=7).state_dict().items()}
    with pytest.raises(ValueError, match=r"of another type: conv1.weight int32, .* and \d+ more\)"):
        weights.load(published(state), our_resnet.build(7, groups=[2, 2, 2, 2], stem="imagenet"), "kept")


@pytest.mark.parametrize(
    ("name", "theirs", "remedy"),
    [
        ("test_vit", {"img_size": 224}, "set the backbone's resample_positions: true"),
        ("mixer_s32_224", {"img_size": 256}, "set the backbone's pixels to the size of the images that they are for"),
        pytest.param(
            "beit_base_patch16_224",
            {"img_size": 64},
            "set the backbone's pixels to the size of the images that they are for",
            marks=pytest.mark.slow,  # its smallest has 86 million parameters
        ),
        ("swin_tiny_patch4_window7_224", {"window_size": 14}, "set the backbone's pixels to the size of the images"),
    ],
)
def test_weights_for_another_size_say_what_there_is_for_them(published, name, theirs, remedy):
    state = timm.create_model(name, num_classes=7, **theirs).state_dict()
    with pytest.raises(ValueError, match=rf"of another shape: .*; {remedy}"):
        weights.load(published(state), our_timm.build(7, name=name), "kept")


@pytest.mark.parametrize("shape", [(1, 4, 64), (1, 0, 64), (5, 64), (1, 17, 32)])
def test_positions_of_no_square_grid_are_refused_for_their_shape(published, shape):
    ours = our_timm.build(7, name="test_vit", resample_positions=True)
    state = {name: ours.state_dict()[here] for name, here in ours.original.items()}
    with pytest.raises(ValueError, match=r"of another shape: pos_embed \(.*\) instead of \(1, 101, 64\)"):
        weights.load(published(state | {"pos_embed": torch.zeros(shape)}), ours, "kept")


@pytest.mark.parametrize("kind", ["pth", "old.pth", "safetensors"])
@settings_(max_examples=200, deadline=None, database=None)
@given(data=st.data())
def test_damaged_files_end_in_one_sentence(kind, data, tmp_path_factory):
    """Bytes changed, cut out or put in anywhere: what is still a state dict is read, all else refused."""
    folder = tmp_path_factory.mktemp("fuzz")
    path = folder / f"a.{kind}"
    if kind == "safetensors":
        save_file(STATE, path)
    else:
        torch.save(STATE, path, _use_new_zipfile_serialization=kind == "pth")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(content) - 1, 0)))
        length = data.draw(st.sampled_from([0, 1, 8, len(content)]))
        content[place : place + length] = data.draw(st.binary(max_size=12))
    path.write_bytes(content)
    try:
        fetch(told(file=path.name), folder, False, folder / "made")
    except ValueError as error:
        assert_plain(error)
        assert not (folder / "made/manifest.json").exists()
    else:
        read = load_file(folder / "made/model.safetensors")
        assert all(value.isfinite().all() for value in read.values() if value.is_floating_point())


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({1: torch.ones(2)}, "1 is no name"),
        ({"a\x1b[31m": torch.ones(2)}, r"'a\\x1b\[31m' is no name"),
        ({"a": torch.empty(2, device="meta")}, "a is no plain tensor"),
        ({"state_dict": STATE, "epoch": 3}, "state_dict is a dict"),
        ({}, "it is empty"),
        ([torch.ones(2)], "all of it is a list"),
    ],
)
def test_what_is_no_plain_state_dict_is_refused(published, content, what):
    with pytest.raises(
        ValueError, match=rf"is no plain state dict, name -> tensor \({what}\); save the state dict alone"
    ):
        published(content)


def test_missing_weights_say_where_they_were_looked_for_and_where_to_get_them(tmp_path):
    with pytest.raises(ValueError, match=r"the file of weights\.pretrained is missing: looked for") as caught:
        fetch(told(hub="timm/some"), tmp_path, False, tmp_path / "made")
    assert str(tmp_path / "some.pth") in str(caught.value)
    assert "get it from https://there" in str(caught.value)


def test_the_hub_is_asked_for_what_is_not_there(tmp_path, monkeypatch):
    torch.save(STATE, tmp_path / "cached.pth")
    asked = []
    monkeypatch.setattr(
        "huggingface_hub.hf_hub_download", lambda *told: asked.append(told) or str(tmp_path / "cached.pth")
    )
    fetch(told(hub="timm/some"), tmp_path, True, tmp_path / "made")
    assert asked == [("timm/some", "some.pth")]
    manifest = json.loads((tmp_path / "made/manifest.json").read_text())
    assert manifest["source"].startswith("hub: timm/some/some.pth, sha256 ")
    torch.save(STATE, tmp_path / "some.pth")
    fetch(told(hub="timm/some"), tmp_path, True, tmp_path / "made")
    assert len(asked) == 1  # what lies below data_root comes first


def test_a_hub_that_does_not_deliver_is_one_sentence(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("offline")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(ValueError, match=r"is missing.*; the hub's timm/some could not be read either \(OSError\)"):
        fetch(told(hub="timm/some"), tmp_path, True, tmp_path / "made")


# -- in the study -----------------------------------------------------------------------------------------------------


@pytest.fixture
def pretrained(raw):
    """A small study whose backbone starts from weights."""
    raw["weights"] = {"made": {"file": "made.pth", "home": "https://there", "licence": "MIT"}}
    raw["backbones"]["tiny"] |= {"weights": "made", "classifier": "new"}
    return raw


def settings(raw, stage, regime="joint"):
    names = {"dataset": "digits", "backbone": "tiny", "recipe": "quick", "seed": 1}
    run = {"experiment": "small", "regime": regime, "seed": 1}
    names = {"pretrain": names, "count_flops": {"experiment": "small"}}.get(stage, run)
    return json.loads(load(raw).settings(stage, **names))


def test_phase_1_and_a_regime_without_it_know_the_weights_and_no_other_stage(pretrained):
    expected = told(weights="made", file="made.pth") | {"classifier": "new"}
    assert settings(pretrained, "pretrain")["weights"] == settings(pretrained, "train")["weights"] == expected
    for stage, regime in (("train", "mixed"), ("predict", "joint"), ("count_flops", "joint")):
        of_stage = settings(pretrained, stage, regime)
        assert "weights" not in of_stage
        assert "weights" not in of_stage["network"]["backbone"]


def test_other_weights_retrain_what_starts_from_them_and_all_that_follows(pretrained):
    before = {regime: settings(pretrained, "train", regime) for regime in ("disjoint", "joint", "mixed")}
    pretrained["weights"]["made"]["sha256"] = "0" * 8
    for regime, told in before.items():
        assert settings(pretrained, "train", regime) != told
    networks = [settings(pretrained, "predict", regime)["network"] for regime in ("disjoint", "mixed")]
    assert networks[0] == networks[1]


def test_without_weights_the_settings_are_as_if_there_were_no_such_key(pretrained, raw):
    before = settings(resolve.merge(raw, {"backbones": {"tiny": {"weights": None, "classifier": None}}}), "pretrain")
    assert "weights" not in before
    assert before["network"]["backbone"] == {"family": "resnet", "groups": [1, 1], "width": 4} | {
        "block": "basic",
        "stem": "3x3",
    }


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"backbones": {"tiny": {"classifier": None}}}, "backbones.tiny: 'weights' and 'classifier' .* go together"),
        ({"backbones": {"tiny": {"weights": None}}}, "backbones.tiny: 'weights' and 'classifier' .* go together"),
        ({"backbones": {"tiny": {"classifier": "old"}}}, "backbones.tiny.classifier: "),
        ({"backbones": {"tiny": {"weights": "mode"}}}, "backbones.tiny.weights: there is no 'mode'; valid names: made"),
        ({"weights": {"made": {"file": "made.npz"}}}, "weights.made.file: "),
        ({"weights": {"made": {"sha256": "c867"}}}, "weights.made.sha256: "),
        ({"weights": {"made": {"url": "x"}}}, "weights.made.url: unknown key; valid keys: "),
    ],
)
def test_mistakes_are_refused_when_the_study_is_read(pretrained, change, sentence):
    with pytest.raises(StudyError, match=sentence):
        load(resolve.merge(pretrained, change))


def test_a_placement_by_the_number_of_blocks_needs_that_number(raw):
    raw["backbones"]["tiny"] = {"family": "timm", "name": "vit_tiny_patch16_224"}
    raw["placements"]["sdn"] = {"after": {12: [4, 6]}}
    with pytest.raises(StudyError, match=r"goes by the number of blocks, which 'tiny' does not state; .* its n_blocks"):
        load(raw)
    raw["backbones"]["tiny"]["n_blocks"] = 12
    assert settings(raw, "predict")["network"]["placement"] == {"after": [4, 6]}


@pytest.mark.parametrize("verb", ["pretrain", "train"])
def test_a_training_starts_from_its_weights(prepared, published, tmp_path, verb):
    original = moved(our_resnet.build(3, groups=[1, 1], width=4))
    state = {name: original.state_dict()[here] for name, here in original.original.items()}
    path = published(state)
    entry = json.loads((path.parent / "manifest.json").read_text())["settings"]
    told = settings_of("all" if verb == "train" else "backbone", epochs=1, lr=1e-9)
    told["weights"] = entry | {"classifier": "kept"}
    if verb == "pretrain":
        del told["network"]["placement"], told["network"]["method"]
    assert cli.main([verb, *command(told, prepared, tmp_path, "--weights", str(path))[1:]]) == 0
    found = load_file(tmp_path / "run/model.safetensors")
    for name, value in original.named_parameters():
        assert torch.allclose(found[name if verb == "pretrain" else f"backbone.{name}"], value, atol=1e-6)
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["inputs_sha256"]["weights"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_workflow_makes_the_weights_before_what_starts_from_them(pretrained, tmp_path):
    original = our_resnet.build(3, groups=[1, 1], width=4)
    (tmp_path / "raw").mkdir()
    state = {name: original.state_dict()[here] for name, here in original.original.items()}
    torch.save(state, tmp_path / "raw/made.pth")
    (tmp_path / "config.yaml").write_text(json.dumps(pretrained | {"data_root": "raw", "hub": False}))
    runs = [f"results/runs/small/{regime}/s1/model.safetensors" for regime in ("joint", "mixed")]
    done = snakemake(tmp_path, "-n", "-p", *runs, MANYEXITS_DATA_ROOT="")
    shown = done.stdout + done.stderr
    assert stats(shown) == {
        "prepare": 1,
        "weights": 1,
        "count_backbone": 1,
        "count_flops": 1,
        "pretrain": 1,
        "train": 2,
    }
    commands = re.findall(r"manyexits (\w+) (--settings .*)", shown)
    start = "--weights data/weights/made/model.safetensors"
    assert sorted(verb for verb, options in commands if start in options) == ["pretrain", "train"]
    (mixed,) = (options for _, options in commands if "--backbone" in options)
    assert start not in mixed

    done = snakemake(tmp_path, "-c1", "data/weights/made/manifest.json", "--show-failed-logs", MANYEXITS_DATA_ROOT="")
    assert done.returncode == 0, done.stdout + done.stderr
    ours = our_resnet.build(3, groups=[1, 1], width=4)
    weights.load(tmp_path / "data/weights/made/model.safetensors", ours, "kept")
    assert all(torch.equal(value, original.state_dict()[name]) for name, value in ours.state_dict().items())
