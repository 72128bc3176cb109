"""Whatever became of a publisher's files on their way, a reader reads them or says in one sentence why it does not."""

from pathlib import Path

import publishers
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manyexits.data.raw import TextPart
from manyexits.data.readers import imagenette
from manyexits.study import components

PHOTOGRAPHS = {
    f"{part}/{class_}/{number}.{form.lower()}": publishers.encoded(publishers.photograph(number, (12, 10)), form)
    for part in ("train", "val")
    for class_ in ("cat", "dog")
    for number, form in enumerate(("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF", "PPM"))
}
CIFAR = publishers.cifar_files(publishers.cifar_images(0, [0, 1, 2, 3]), publishers.cifar_images(1, [3, 2, 1, 0]))
PUBLISHED = {
    "cifar100": ("cifar-100-binary", CIFAR, {"pixels": 16}),
    "folder": ("pets", PHOTOGRAPHS, {"path": "PATH", "pixels": 8}),
    "imagenet": ("imagenet", publishers.imagenet_files(), {"pixels": 8}),
    "imagenette": ("imagenette2", publishers.imagenette_files(list(imagenette.CLASSES), 1, 1, (12, 10)), {"pixels": 8}),
    "newsgroups": ("20news-bydate", publishers.newsgroups_files(2, 1), {}),
    "stsb": ("stsbenchmark", publishers.stsb_files(), {}),
    "tinyimagenet": ("tiny-imagenet-200", publishers.tiny_files(2, 3)[0], {}),
}
"""Reader -> the folder that the publisher's files unpack into, the files, and options."""
FORMS = {"folder": None, "zip": publishers.zipped, "tar.gz": publishers.tar_gz}
FORMS_OF = {reader: ["folder"] if reader == "imagenet" else list(FORMS) for reader in PUBLISHED}
"""Reader -> forms that it reads: 138 GB lie in a folder."""
EMBEDDED = {"digits", "docstrings"}
"""Readers of what a package holds: no files that could be spoiled."""
GARBAGE = st.sampled_from(
    [b"", b"\0" * 40, b"\xff" * 40, b"n01443537\n", b"1\n", b"<html>", b"\xc3\x28\t\t\n", b"7" * 30]
)


@st.composite
def spoiled_bytes(draw, content):
    """Bytes of which some are cut off, changed, added or others."""
    start = draw(st.integers(0, len(content)))
    length = draw(st.sampled_from([0, 1, 4, 40, len(content)]))
    return content[:start] + draw(GARBAGE | st.binary(max_size=8)) + content[start + length :]


@st.composite
def spoiled_files(draw, files):
    """A publisher's files of which some are spoiled, gone, twice, under another name, or another's."""
    files = dict(files)
    for _ in range(draw(st.integers(1, 3))):
        name, other = (draw(st.sampled_from(sorted(files))) for _ in range(2))
        how = draw(st.sampled_from(["spoil", "remove", "rename", "move", "exchange", "add"]))
        if how == "spoil":
            files[name] = draw(spoiled_bytes(files[name]))
        elif how == "exchange":
            files[name], files[other] = files[other], files[name]
        elif how == "add":
            files[f"{name.rpartition('/')[0]}/ü {len(files)}{Path(other).suffix}"] = files[other]
        elif len(files) > 1:
            content = files.pop(name)
            if how == "rename":
                files[f"{name} (1)"] = content
            if how == "move":
                files[f"{other.rpartition('/')[0]}/moved {len(files)}{Path(name).suffix}"] = content
    return files


def test_every_reader_of_files_is_tried():
    assert set(PUBLISHED) | EMBEDDED == set(components.names("readers"))


@pytest.mark.parametrize(("reader", "form"), [(reader, form) for reader in PUBLISHED for form in FORMS_OF[reader]])
def test_what_was_published_is_read(tmp_path, reader, form):
    """Else nothing below says anything."""
    top, files, options = PUBLISHED[reader]
    holds_together(load(tmp_path, reader, put(tmp_path, top, files, form), options))


def tries(data, root: Path, reader: str) -> None:
    """Spoil some of a publisher's files, or the archive of them, and see what the reader makes of it."""
    top, files, options = PUBLISHED[reader]
    form = data.draw(st.sampled_from(FORMS_OF[reader]))
    spoils_archive = form != "folder" and data.draw(st.booleans())
    path = put(root, top, files if spoils_archive else data.draw(spoiled_files(files)), form)
    if spoils_archive:
        path.write_bytes(data.draw(spoiled_bytes(path.read_bytes())))
    more = {"damaged": "skip"} if "damaged" in taken(reader) and data.draw(st.booleans()) else {}
    try:
        found = load(root, reader, path, options | more)
    except ValueError as error:
        said = str(error)
        assert str(root) in said or path.name in said, said
        assert "\n" not in said
        assert "remove it" not in said
    else:
        holds_together(found)


FUZZ = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("reader", PUBLISHED)
@FUZZ
@given(data=st.data())
def test_spoiled_files_are_read_or_refused_in_one_sentence(tmp_path_factory, reader, data):
    tries(data, tmp_path_factory.mktemp("root"), reader)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("reader", PUBLISHED)
@settings(FUZZ, max_examples=2000, derandomize=False)
@given(data=st.data())
def test_many_more_spoiled_files_are(tmp_path_factory, reader, data):
    tries(data, tmp_path_factory.mktemp("root"), reader)


def put(root: Path, top: str, files, form: str) -> Path:
    """The files as a folder or archive in a data root."""
    if FORMS[form] is None:
        path = root / top
        path.mkdir()
        return publishers.write_folder(files, path)
    path = root / f"{top}.{form}"
    path.write_bytes(FORMS[form](files, top))
    return path


def taken(reader: str) -> set[str]:
    return set(components.options("readers", reader).model_fields)


def load(root: Path, reader: str, path: Path, options):
    options = {key: path.name if value == "PATH" else value for key, value in options.items()}
    return components.module("readers", reader).load(root, False, **{"path": path.name} | options)


def holds_together(raw):
    """As many labels as samples, all of them of a class with a name, or scores of 0 to 5."""
    for part in (raw.train, raw.test):
        samples = part.texts if isinstance(part, TextPart) else part.images
        assert len(samples) == len(part.labels) > 0
        assert part.labels.min() >= 0
        assert part.labels.max() < (len(raw.class_names) or 5.1)
