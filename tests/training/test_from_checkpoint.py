"""A checkpoint as transformers saves it: its tokenizer prepares texts, its weights begin phase 1, and what its own
configuration says otherwise than the backbone's entry is refused."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import processors
from transformers import AutoConfig, AutoModel

from manyexits.batches.views import blanks
from manyexits.data import prepare, prepared, stored_texts, tokens
from manyexits.data.raw import Raw, TextPart
from manyexits.data.weights import fetch
from manyexits.models import build
from manyexits.models.backbones import bert
from manyexits.study.plan import load
from manyexits.study.resolve import merge
from manyexits.training import start

TEXTS = [("the cat sat on the mat",), ("a dog and a cat",), ("no mat for the dog",)] * 4
SMALL = {"n_blocks": 2, "width": 16, "heads": 4, "inner": 24, "positions": 20, "length": 12}
ENTRY = {
    "folder": "published",
    "file": "model.safetensors",
    "tokenizer": "tokenizer.json",
    "configuration": "config.json",
    "home": "https://there",
    "licence": "none",
}


@pytest.fixture(params=list(bert.NAMES))
def published(request, tmp_path):
    """A data root with a checkpoint whose tokenizer cuts and fills up by itself; its kind, and how many pieces."""
    made = tokens.words((text for (text,) in TEXTS), 64)
    made.enable_padding(pad_id=made.token_to_id("[PAD]"), pad_token="[PAD]", length=16)
    made.enable_truncation(5)
    if request.param == "roberta":
        first, last = ((name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]"))
        made.post_processor = processors.RobertaProcessing(last, first, trim_offsets=False, add_prefix_space=False)
    folder = tmp_path / "published"
    folder.mkdir()
    made.save(str(folder / "tokenizer.json"))
    names = bert.COMMON | bert.NAMES[request.param]
    told = SMALL | {"vocabulary": made.get_vocab_size(), "segments": 2, "embedding": 16, "epsilon": bert.EPSILON}
    told["positions"] += bert.RESERVED.get(request.param, 0)
    told = {names[option]: value for option, value in told.items() if option in names}
    AutoModel.from_config(AutoConfig.for_model(request.param, **told)).save_pretrained(folder)
    return request.param, made.get_vocab_size(), tmp_path


def study(raw, kind, pieces):
    return load(
        merge(
            raw,
            {
                "weights": {"own": ENTRY},
                "datasets": {"docs": {"source": "docstrings", "classes": 3, "tokenizer": "own", "validation": 0.5}},
                "backbones": {
                    "encoder": SMALL
                    | {"family": "bert", "kind": kind, "vocabulary": pieces, "weights": "own", "classifier": "new"}
                },
                "placements": {"each": {"every": 1}},
                "experiments": {
                    "words": {"dataset": "docs", "backbone": "encoder", "placement": "each", "recipes": "quick"}
                },
            },
        )
    )


def test_its_tokenizer_and_weights_are_what_a_training_begins_with(published, raw, monkeypatch):
    kind, pieces, root = published
    plan = study(raw, kind, pieces)
    part = TextPart(TEXTS, np.arange(len(TEXTS), dtype=np.int64) % 3)
    module = type(
        "Reader", (), {"load": lambda *_, **__: Raw(part, part, ["a", "b", "c"], "here", "none"), "SAMPLES": 0}
    )
    monkeypatch.setattr(prepare, "_reader", lambda _: (module, {}))
    prepare.prepare(plan.job("prepare", dataset="docs").settings, root, False, root / "docs")
    manifest = json.loads((root / "docs/manifest.json").read_text())
    assert manifest["tokenizer"].startswith("published/tokenizer.json, sha256 ")
    lengths = 2 + np.array([len(text.split()) for (text,) in TEXTS])  # neither cut to 5 nor filled up to 16
    assert manifest["tokens"]["test"] == {"mean": round(lengths.mean(), 2), "most": lengths.max()}
    assert (root / "docs/arrays" / stored_texts.TOKENIZER).exists()

    job = plan.job("pretrain", dataset="docs", backbone="encoder", recipe="quick", seed=1)
    fetch(plan.job("weights", weights="own").settings, root, False, root / "made")
    told = job.settings["network"]
    network = build.network(told, blanks(prepared.read(root / "docs", 1, told)), 1)
    start.from_weights(root / "made/model.safetensors", job.settings, network)
    for name, value in load_file(root / "published/model.safetensors").items():
        ours = network.backbone.original.get(f"{network.backbone.prefix}{name}")
        assert ours is not None or "pooler" in name
        assert ours is None or torch.equal(network.backbone.state_dict()[ours], value)

    other = json.loads((root / "published/config.json").read_text())
    heads = (bert.COMMON | bert.NAMES[kind])["heads"]
    for changed, said in (
        ({heads: 2}, rf"{heads} 2 instead of 4"),
        ({"model_type": "deberta"}, "model_type 'deberta' instead of"),
        ({"hidden_act": "relu", "position_embedding_type": "relative_key"}, "hidden_act 'relu' instead of 'gelu'; pos"),
    ):
        (root / "published/config.json").write_text(json.dumps(other | changed))
        fetch(plan.job("weights", weights="own").settings, root, False, root / "made")
        with pytest.raises(ValueError, match=rf"config\.json of weights\.own tells of another network .*{said}"):
            start.from_weights(root / "made/model.safetensors", job.settings, network)


@pytest.mark.parametrize("spoiled", ["", "[]", "{", "\0", '{"model_type": '])
def test_a_configuration_that_is_none_is_refused(tmp_path, spoiled):
    save_file({"a": torch.ones(1)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(spoiled)
    told = ENTRY | {"weights": "own", "folder": None, "package": None, "hub": None, "sha256": None}
    with pytest.raises(ValueError, match=r"config\.json is no .*; get it again from https://there"):
        fetch(told, tmp_path, False, tmp_path / "made")
    assert not (tmp_path / "made").exists()
