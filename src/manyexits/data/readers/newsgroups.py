"""20-Newsgroups (Lang, 1995), "bydate": messages of twenty groups, the later ones as test part, as the publisher's
archive or its extracted tree, or the hub's copy, which lacks headers, footers and quotes.

Messages are Latin-1, as they were sent. The paper does not say whether it keeps headers, footers and quotes; ours does
[O], since what it reports is what BERT reaches with them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field
from sklearn.datasets import _twenty_newsgroups as strip

from manyexits.data.archives import Members, locate, missing
from manyexits.data.hub import columns_of
from manyexits.data.raw import Raw, TextPart, stratified

TITLE = "20-Newsgroups"
HOME = "http://qwone.com/~jason/20Newsgroups (20news-bydate.tar.gz)"
LICENCE = "none stated; the messages are their senders'"
SIZE = "14 MB"
SAMPLES = 18_846
TEXTS = 1
TOKENS = 520
GROUPS = (
    "alt.atheism",
    "comp.graphics",
    "comp.os.ms-windows.misc",
    "comp.sys.ibm.pc.hardware",
    "comp.sys.mac.hardware",
    "comp.windows.x",
    "misc.forsale",
    "rec.autos",
    "rec.motorcycles",
    "rec.sport.baseball",
    "rec.sport.hockey",
    "sci.crypt",
    "sci.electronics",
    "sci.med",
    "sci.space",
    "soc.religion.christian",
    "talk.politics.guns",
    "talk.politics.mideast",
    "talk.politics.misc",
    "talk.religion.misc",
)
PARTS = ("20news-bydate-train", "20news-bydate-test")
REMOVED = ("headers", "footers", "quotes")
"""What can be cut away, in scikit-learn's order."""
REMOVE = {
    "headers": strip.strip_newsgroup_header,
    "footers": strip.strip_newsgroup_footer,
    "quotes": strip.strip_newsgroup_quoting,
}


def places(path: str) -> tuple[str, ...]:
    """Where it may lie below data_root."""
    return tuple(dict.fromkeys([path, path.removesuffix(".tar.gz")]))


class Groups:
    """What lies there, before a message is read.

    Raises:
        ValueError: when groups are missing or empty, or there are others.
    """

    def __init__(self, found: Path) -> None:
        self.members, self.class_names = Members(found), list(GROUPS)
        top = self.members.inside(*(f"{part}/" for part in PARTS))
        self.train, self.test = (self._part(f"{top}{part}/") for part in PARTS)

    def _part(self, folder: str) -> "Names":
        there = self.members.folders(folder)
        if unknown := sorted(set(there) - set(GROUPS)):
            raise ValueError(
                f"{self.members.path}: {folder}{unknown[0]} is none of the twenty groups; move it elsewhere"
            )
        names = {group: self.members.names(f"{folder}{group}/") for group in GROUPS}
        if empty := next((group for group, held in names.items() if not held), None):
            raise ValueError(
                f"{self.members.path} holds no messages in {folder}{empty}; it is incomplete, get it again"
            )
        return Names([name for held in names.values() for name in held], [len(held) for held in names.values()])


class Names:
    """Messages of one part by their names, sorted by group."""

    def __init__(self, names: list[str], counts: list[int]) -> None:
        self.names, self.labels = names, np.repeat(np.arange(len(counts), dtype=np.int64), counts)


def look(found: Path) -> Groups:
    """What lies there, before a message is read."""
    return Groups(found)


def fetched(remove: Sequence[str] | None = None, **_: Any) -> bool:
    """Whether the hub's copy is what these options ask for."""
    return _removed(remove) == [*REMOVED]


def _removed(remove: Sequence[str] | None) -> list[str]:
    return [each for each in REMOVED if each in (remove or [])]


def load(
    root: Path,
    hub: bool,
    workers: int = 1,
    *,
    path: str = "20news-bydate.tar.gz",
    remove: list[Literal["headers", "footers", "quotes"]] | None = None,
    sample: (
        Annotated[list[Annotated[int, Field(ge=20, le=20_000)] | None], Field(min_length=2, max_length=2)] | None
    ) = None,
    hub_id: str = "SetFit/20_newsgroups",
) -> Raw:
    """Its messages.

    Args:
        root, hub, workers: as for every dataset.
        path: archive or folder below root.
        remove: what is cut away of every message, as scikit-learn does it; null: nothing.
        sample: of how many messages a part of the training and of the test part consists, drawn in the groups' own
            shares, seed 42; null: all.
        hub_id: the hub's name of the dataset.

    Raises:
        ValueError: when it is missing, incomplete or damaged, or the hub's copy is not what `remove` asks for.
    """
    removed = _removed(remove)
    found = locate(root, places(path))
    absent = missing(TITLE, root, places(path), HOME)
    if found is None and not hub:
        raise absent
    if found is None and not fetched(remove=remove):
        lacking = ", ".join(REMOVED)
        raise ValueError(f"{absent}; the hub's copy lacks {lacking}, for which set remove: [{lacking}]")
    if found is None:
        source = f"hub: {hub_id}"
        columns = {"text": "text", "label_text": "text"}  # the group's name; its number depends on who counted
        parts = tuple(
            TextPart([(text,) for text in texts], np.array([_number(name, hub_id) for name in names], dtype=np.int64))
            for texts, names in columns_of(hub_id, columns, ("train", "test"), absent)
        )
    else:
        listed = Groups(found)
        source = listed.members.describe()
        parts = tuple(_read(listed.members, part, removed) for part in (listed.train, listed.test))
    asked = sample or [None, None]
    train, test = (part if n is None else stratified(part, n) for part, n in zip(parts, asked, strict=True))
    empty = sum(not text.strip() for part in (train, test) for (text,) in part.texts)
    what = f" once {', '.join(removed)} are removed" if removed else ""
    kept = ["body", *(each for each in REMOVED if each not in removed)]
    remarks = [f"of every message are kept: {', '.join(kept)}"]
    remarks += [f"{empty} messages are empty{what}; they stay, as empty texts"] if empty else []
    return Raw(train, test, list(GROUPS), source, LICENCE, remarks=remarks)


def _number(name: str, hub_id: str) -> int:
    """The class of a group by its name."""
    if name not in GROUPS:
        raise ValueError(
            f"the hub's {hub_id} has messages of {name!a}, which is none of the twenty groups; name another"
        )
    return GROUPS.index(name)


def _read(members: Members, part: Names, removed: list[str]) -> TextPart:
    """The messages of one part, read in the order in which they are stored."""
    texts: dict[str, str] = {}
    for name, data in members.stream(part.names):
        content = members.read(name) if data is None else data
        if b"\0" in content:
            raise ValueError(f"{members.path}: {name} holds a NUL byte and is no text; get the dataset again")
        text = content.decode("latin-1")
        for each in removed:
            text = REMOVE[each](text)
        texts[name] = text
    return TextPart([(texts[name],) for name in part.names], part.labels, part.names)
