"""Texts are cut and padded as the tokenizers' own library does it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors

from manyexits.data import tokens
from manyexits.data.texts import Texts, Tokens, cut

LETTERS = "abcdefgh"
TEXT = st.lists(st.sampled_from(LETTERS), max_size=12).map(" ".join)


def tokenizer(kind: str):
    """One of eight letters, with BERT's special tokens or RoBERTa's."""
    made = tokens.words([" ".join(LETTERS)], 32)
    if kind == "roberta":
        end, start = (("[SEP]", made.token_to_id("[SEP]")), ("[CLS]", made.token_to_id("[CLS]")))
        made.post_processor = processors.RobertaProcessing(end, start)
    return made


def stored(texts: list[tuple[str, ...]], made, most: int) -> Texts:
    """All of these texts as one split."""
    ids, ends = tokens.encode(made, texts)
    labels = np.arange(len(texts))
    return Texts(Tokens(ids, ends, tokens.frame(made, "it")), labels, labels, most)


@pytest.mark.parametrize("kind", ["bert", "roberta"])
@pytest.mark.parametrize("k", [1, 2])
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_batch_is_that_of_the_library(kind, k, data):
    texts = data.draw(st.lists(st.tuples(*[TEXT] * k), min_size=1, max_size=5))
    most = data.draw(st.integers(6, 20))
    made = tokenizer(kind)
    split = stored(texts, made, most)
    padded, labels = split.take(np.arange(len(texts)))
    made.enable_truncation(most, strategy="longest_first")
    made.enable_padding(pad_id=made.token_to_id("[PAD]"), pad_token="[PAD]")
    expected = made.encode_batch([text if k == 2 else text[0] for text in texts])
    assert padded.ids.tolist() == [each.ids for each in expected]
    assert padded.segments.tolist() == [each.type_ids for each in expected]
    assert padded.mask.tolist() == [[bool(there) for there in each.attention_mask] for each in expected]
    assert split.lengths.tolist() == padded.mask.sum(1).tolist()
    assert labels.tolist() == list(range(len(texts)))


def test_pairs_are_cut_as_the_library_cuts_them_at_every_length():
    made = tokenizer("bert")
    for most in range(3, 12):
        made.enable_truncation(most + 3)
        for first in range(13):
            for second in range(13):
                whole = made.encode(" ".join("a" * first), " ".join("b" * second))
                places = zip(whole.sequence_ids, whole.special_tokens_mask, strict=True)
                kept = [text for text, special in places if not special]
                assert cut(np.array([[first, second]]), most).tolist() == [[kept.count(0), kept.count(1)]]


def test_an_empty_text_is_its_special_tokens():
    split = stored([("",), ("a b",)], tokenizer("bert"), 8)
    padded, _ = split.take(np.array([0]))
    assert padded.ids.tolist() == [split.tokens.frame.start + split.tokens.frame.end]
    assert split.lengths.tolist() == [2, 4]


def test_a_rank_reads_every_second_batch():
    split = stored([(letter,) for letter in LETTERS], tokenizer("bert"), 8)
    whole = [labels.tolist() for _, labels in split.batches(3)]
    shares = [[labels.tolist() for _, labels in split.batches(3, rank, 2)] for rank in (0, 1)]
    assert whole == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert shares == [whole[::2], whole[1::2]]
