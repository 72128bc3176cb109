"""From texts to token ids: a tokenizer that a checkpoint came with, or a vocabulary made of the training split.

Ids are stored without the special tokens that a model wants around them, and untruncated; `Surroundings` holds these.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Int64
from tokenizers import Encoding, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from manyexits.data.frame import Surroundings

UNKNOWN, PAD, START, END = "[UNK]", "[PAD]", "[CLS]", "[SEP]"
SPECIAL = (PAD, UNKNOWN, START, END)
CONTINUED = "##"
"""Begins a piece that does not begin a word."""
MOST_WORDS = 10**9
"""None is left out."""
AT_ONCE = 1024
"""Texts that are tokenized at a time."""


def words(texts: Iterable[str], size: int) -> Tokenizer:
    """A tokenizer whose pieces are the most frequent words, in lower case, and all letters; the same for the same texts
    on any machine.

    (The pieces that the library's own trainer finds differ from call to call, beyond their numbers.)

    Args:
        texts: that are counted.
        size: of the vocabulary, special tokens included.

    Raises:
        ValueError: when the letters alone are more.
    """
    split = Tokenizer(models.WordLevel({UNKNOWN: 0}, unk_token=UNKNOWN))
    split.normalizer = normalizers.BertNormalizer(lowercase=True)
    split.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    split.train_from_iterator(texts, trainers.WordLevelTrainer(vocab_size=MOST_WORDS, show_progress=False))
    ranks = split.get_vocab()  # the most frequent first, of equals in the order of their letters
    letters = sorted({letter for word in ranks for letter in word})
    pieces = [*SPECIAL, *letters, *(f"{CONTINUED}{letter}" for letter in letters)]
    if len(pieces) > size:
        raise ValueError(f"a vocabulary of {size:,} cannot hold the {len(pieces):,} letters; raise vocabulary")
    known = set(pieces)
    pieces += sorted((word for word in ranks if word not in known), key=ranks.__getitem__)[: size - len(pieces)]
    split.model = models.WordPiece({piece: number for number, piece in enumerate(pieces)}, unk_token=UNKNOWN)
    start, end = (START, pieces.index(START)), (END, pieces.index(END))
    split.post_processor = processors.BertProcessing(end, start)
    return split


def read(path: Path, home: str) -> Tokenizer:
    """A tokenizer.json.

    Raises:
        ValueError: when it is missing or none.
    """
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library's own errors have no common base
        raise ValueError(
            f"{path} is no tokenizer.json ({' '.join(str(error).split())[:200]}); get it again from {home}"
        ) from error


def frame(tokenizer: Tokenizer, name: str) -> Surroundings:
    """What a tokenizer puts around texts.

    Raises:
        ValueError: when it is not what a BERT-like model wants: something before the first text, behind the last and
            between two.
    """
    pad = tokenizer.padding["pad_id"] if tokenizer.padding else _pad(tokenizer)
    _bare(tokenizer)
    whole = _encoded(tokenizer, [("a", "b")], special=True)[0]
    places = [place for place, special in enumerate(whole.special_tokens_mask) if not special]
    texts = [[place for place in places if whole.sequence_ids[place] == text] for text in (0, 1)]
    if not all(texts) or pad is None or texts[0][0] == 0 or texts[1][-1] == len(whole.ids) - 1:
        raise ValueError(
            f"the tokenizer {name} puts no special tokens around texts, or has none to fill a batch up; name one of a"
            " BERT-like model"
        )
    (first, *_, last), (second, *_, final) = ([each[0], each[-1]] for each in texts)
    return Surroundings(
        start=whole.ids[:first],
        middle=whole.ids[last + 1 : second],
        end=whole.ids[final + 1 :],
        second=whole.type_ids[second],
        pad=pad,
    )


def _pad(tokenizer: Tokenizer) -> int | None:
    """The id of what fills a batch up, by the names that it has."""
    return next((found for name in (PAD, "<pad>") if (found := tokenizer.token_to_id(name)) is not None), None)


def _bare(tokenizer: Tokenizer) -> None:
    """Without the cut and the padding that a checkpoint's own tokenizer.json may ask for."""
    tokenizer.no_truncation()
    tokenizer.no_padding()


def encode(
    tokenizer: Tokenizer, texts: Sequence[tuple[str, ...]]
) -> tuple[Int32[np.ndarray, " t"], Int64[np.ndarray, "n k"]]:
    """Ids of all texts one after the other, untruncated and without special tokens, and where each of them ends.

    Args:
        tokenizer: as `read` or `words` returns it.
        texts: one or two of each sample.
    """
    _bare(tokenizer)
    k = len(texts[0])
    plain = [text for sample in texts for text in sample]
    ids: list[np.ndarray] = []
    lengths: list[int] = []
    for begin in range(0, len(plain), AT_ONCE):
        for found in _encoded(tokenizer, plain[begin : begin + AT_ONCE], special=False):
            ids.append(np.array(found.ids, dtype=np.int32))
            lengths.append(len(found.ids))
    return np.concatenate(ids), np.cumsum(lengths, dtype=np.int64).reshape(len(texts), k)


def decode(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """Ids as people read them: pieces joined to words, letters as the tokenizer left them."""
    if tokenizer.decoder is None:  # as of vocabularies that are made here
        tokenizer.decoder = decoders.WordPiece(CONTINUED)
    return str(tokenizer.decode(ids, skip_special_tokens=False))


def _encoded(tokenizer: Tokenizer, texts: list[str] | list[tuple[str, str]], special: bool) -> list[Encoding]:
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")  # else it warns where a process was forked before
    found: list[Encoding] = tokenizer.encode_batch(texts, add_special_tokens=special)
    return found
