"""Datasets, backbones and recipes that fit for texts, and those that are refused when the study is read."""

import pytest

from manyexits.study.plan import load
from manyexits.study.refusals import StudyError
from manyexits.study.resolve import merge

BERT = {"family": "bert", "n_blocks": 3, "width": 8, "heads": 2, "inner": 8, "vocabulary": 64}
TEXTS = {
    "datasets": {"docs": {"source": "docstrings", "classes": 6, "vocabulary": 64}},
    "backbones": {"encoder": BERT},
    "placements": {"each": {"every": 1}},
    "experiments": {
        "words": {
            "dataset": "docs",
            "backbone": "encoder",
            "placement": "each",
            "recipes": "quick",
        }
    },
}
WEIGHTS = {
    "file": "model.safetensors",
    "folder": "published",
    "home": "somewhere",
    "licence": "none",
    "tokenizer": "tokenizer.json",
    "configuration": "config.json",
}


def test_a_dataset_of_texts_is_told_its_vocabulary_and_no_channels(raw):
    told = load(merge(raw, TEXTS)).job("prepare", dataset="docs").settings
    assert told["vocabulary"] == 64
    assert not {"mean", "std", "tokenizer"} & set(told)
    tokenizer = {
        "weights": {"published": WEIGHTS},
        "datasets": {"docs": {"vocabulary": None, "tokenizer": "published"}},
    }
    told = load(merge(merge(raw, TEXTS), tokenizer)).job("prepare", dataset="docs").settings
    where = {"folder": "published", "package": None, "hub": None, "home": "somewhere"}
    assert told["tokenizer"] == {"name": "published", "file": "tokenizer.json", **where}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"experiments": {"words": {"backbone": "tiny"}}}, "'tiny' reads images, and 'docs' holds texts"),
        ({"experiments": {"words": {"dataset": "digits"}}}, "'encoder' reads texts, and 'digits' holds images"),
        ({"datasets": {"docs": {"vocabulary": 65}}}, "has a vocabulary of 64, and 'docs' one of 65; make them equal"),
        (
            {"weights": {"published": WEIGHTS | {"configuration": None}}},
            "'tokenizer' and 'configuration' are what weights for texts come with; state both or none",
        ),
        (
            {"weights": {"published": WEIGHTS | {"package": "model.zip"}}},
            "weights.published.package",
        ),
        ({"datasets": {"docs": {"vocabulary": None}}}, "either a 'tokenizer' or a 'vocabulary'; state one of them"),
        ({"datasets": {"docs": {"mean": [0.5, 0.5, 0.5]}}}, "'mean' belongs to images, and docstrings holds texts"),
        ({"datasets": {"digits": {"vocabulary": 64}}}, "'vocabulary' belongs to texts, and digits holds images"),
        ({"recipes": {"quick": {"flip": True, "origin": {"flip": "O"}}}}, "flip of 'quick' is for images"),
        ({"recipes": {"quick": {"warmup": 0.1, "origin": {"warmup": "O"}}}}, "'warmup' is the beginning of linear"),
        (
            {"datasets": {"docs": {"vocabulary": None, "tokenizer": "nobody"}}},
            "datasets.docs.tokenizer: there is no 'nobody'",
        ),
    ],
)
def test_what_does_not_fit_is_refused(raw, change, said):
    with pytest.raises(StudyError) as caught:
        load(merge(merge(raw, TEXTS), change))
    assert said in str(caught.value)
