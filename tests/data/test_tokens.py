"""Vocabularies that are made, and tokenizers that are read."""

import os
import subprocess
import sys

import pytest
from tokenizers import Tokenizer, models

from manyexits.data import tokens

TEXTS = ["The cat sat on the mat.", "the CAT, the dog; and the mat!", "dög"]


def test_a_vocabulary_is_the_special_tokens_the_letters_and_the_most_frequent_words():
    made = tokens.words(TEXTS, 60)
    pieces = [piece for piece, _ in sorted(made.get_vocab().items(), key=lambda item: item[1])]
    letters = sorted(set("thecatsonmdogn.,;!"))
    assert pieces[:4] == list(tokens.SPECIAL)
    assert pieces[4 : 4 + 2 * len(letters)] == [*letters, *(f"##{letter}" for letter in letters)]
    assert pieces[4 + 2 * len(letters) :] == ["the", "cat", "dog", "mat", "and", "on", "sat"]
    said = made.encode("the cats, Dög ?").tokens
    assert said == ["[CLS]", "the", "cat", "##s", ",", "dog", "[UNK]", "[SEP]"]


def test_a_vocabulary_too_small_for_the_letters_is_refused():
    with pytest.raises(ValueError, match=r"a vocabulary of 16 cannot hold the \d+ letters; raise vocabulary"):
        tokens.words(TEXTS, 16)


def test_a_vocabulary_is_the_same_from_call_to_call():
    code = (
        "import random, sys; from manyexits.data import tokens; random.seed(7)\n"
        "texts = [' '.join(random.choice('abcdefgh') * random.randint(1, 4) for _ in range(9)) for _ in range(200)]\n"
        "print(sorted(tokens.words(texts, 40).get_vocab().items()))"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | more
        ).stdout
        for more in ({"RAYON_NUM_THREADS": "1"}, {"RAYON_NUM_THREADS": "2"}, {"TOKENIZERS_PARALLELISM": "false"})
    }
    assert len(said) == 1


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer\.json is no tokenizer\.json \(.*\); get it again from home"):
        tokens.read(tmp_path / "tokenizer.json", "home")


def test_a_tokenizer_without_special_tokens_is_refused():
    with pytest.raises(ValueError, match="the tokenizer it puts no special tokens around texts"):
        tokens.frame(Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a")), "it")
