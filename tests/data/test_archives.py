"""Finding and reading what publishers ship, in every form in which it comes."""

import io
import os
import re
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import publishers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from manyexits.data import archives

ABSENT = ValueError("Pictures is missing: looked for /there/pictures; get it from example.org")

names = st.from_regex(r"\A[a-z]{1,4}(/[a-zé ]{1,6}){0,2}\.txt\Z")
trees = st.dictionaries(names, st.binary(max_size=50), max_size=4)


def forms(root, files):
    """The files as a folder, as a tar.gz and as a zip, each with the prefix of its names."""
    folder = publishers.write_folder(files, root / "inner")
    folder.mkdir(parents=True, exist_ok=True)
    (root / "files.tar.gz").write_bytes(publishers.tar_gz(files, "inner"))
    (root / "files.zip").write_bytes(publishers.zipped(files, "inner"))
    return [(folder, ""), (root / "files.tar.gz", "inner/"), (root / "files.zip", "inner/")]


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@settings(max_examples=30, deadline=None)
@given(trees)
def test_folder_tar_and_zip_list_and_read_the_same_files(tmp_path_factory, files):
    for path, prefix in forms(tmp_path_factory.mktemp("forms"), files):
        members = archives.Members(path)
        assert members.names() == sorted(f"{prefix}{name}" for name in files)
        assert {name: members.read(f"{prefix}{name}") for name in files} == files


def test_hidden_files_are_none(tmp_path):
    hidden = dict.fromkeys((".DS_Store", "a/._b.txt", ".cache/c.txt", "__MACOSX/a/d.txt"), b"")
    for path, prefix in forms(tmp_path, hidden | {"a/b.txt": b"1"}):
        members = archives.Members(path)
        assert members.names() == [f"{prefix}a/b.txt"]
        assert members.folders(prefix) == ["a"]


def test_links_are_followed_in_folders_and_archives_but_not_in_circles(tmp_path):
    folder = publishers.write_folder({"a/one.txt": b"1"}, tmp_path / "inner")
    publishers.write_folder({"two.txt": b"2"}, tmp_path / "elsewhere")
    (folder / "a/hard.txt").hardlink_to(folder / "a/one.txt")
    (folder / "a/soft.txt").symlink_to("one.txt")
    (folder / "b").symlink_to(tmp_path / "elsewhere")
    (folder / "a/up").symlink_to(folder)
    (folder / "a/itself").symlink_to("itself")
    members = archives.Members(folder)
    assert members.folders() == ["a", "b"]
    assert members.names() == ["a/hard.txt", "a/itself", "a/one.txt", "a/soft.txt", "b/two.txt"]
    assert members.read("b/two.txt") == b"2"
    with tarfile.open(tmp_path / "files.tar", "w") as archive:
        archive.add(folder, "inner")
    archived = archives.Members(tmp_path / "files.tar")
    assert {archived.read(f"inner/a/{name}.txt") for name in ("one", "hard", "soft")} == {b"1"}
    for unread, name in ((members, "a/itself"), (archived, "inner/a/up"), (archived, "inner/b")):
        with pytest.raises(ValueError, match=name):
            unread.read(name)


def test_backslashes_of_a_zip_are_slashes_and_its_suffix_may_be_upper_case(tmp_path):
    with zipfile.ZipFile(tmp_path / "files.ZIP", "w") as archive:
        archive.writestr("a\\b\\c.txt", b"1")
        archive.writestr("a\\void\\", b"")
    members = archives.Members(tmp_path / "files.ZIP")
    assert members.names("a/") == ["a/b/c.txt"]
    assert members.folders("a/") == ["b", "void"]
    assert members.read("a/b/c.txt") == b"1"


@pytest.mark.parametrize("form", ["xz", "bz2", "gz"])
def test_changed_bytes_of_every_compression_are_damage(tmp_path, form):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=f"w:{form}") as archive:
        archive.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    changed = bytearray(content.getvalue())
    changed[len(changed) // 2] ^= 0x10
    (tmp_path / "a.tar").write_bytes(changed)
    with pytest.raises(ValueError, match=r"a\.tar is damaged"):
        archives.Members(tmp_path / "a.tar")


def test_what_must_not_be_read_is_not_called_damaged(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    members = archives.Members(publishers.write_folder({"a/b.txt": b"1"}, tmp_path))
    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(Path, "read_bytes", refuse)
    for name, read in (("a/b.txt", members.read), ("a/", members.names), ("a/", members.folders)):
        with pytest.raises(ValueError, match=f"^{tmp_path / name} must not be read; correct its permissions$"):
            read(name)


def test_a_file_that_is_not_there_is_named(tmp_path):
    for path, prefix in forms(tmp_path, {"a/b.txt": b"1"}):
        for name in ("c.txt", "a", "a/"):
            with pytest.raises(ValueError, match=re.escape(f"{path} holds no {prefix}{name}; it is incomplete")):
                archives.Members(path).read(f"{prefix}{name}")


def test_text_is_read_as_utf_8(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"caf\xc3\xa9")
    assert archives.Members(tmp_path).text("a.txt") == "café"


def test_images_of_any_mode_become_rgb(tmp_path):
    colours = np.array([[[255, 0, 0], [0, 128, 0]], [[0, 0, 64], [9, 9, 9]]], dtype=np.uint8)
    palette = Image.new("P", (2, 2))
    palette.putpalette([255, 0, 0, 0, 128, 0, 0, 0, 64, 9, 9, 9])
    palette.putdata([0, 1, 2, 3])
    transparent = Image.fromarray(np.concatenate([colours, np.full((2, 2, 1), 200, np.uint8)], axis=-1))
    grey = np.array([[0, 77], [200, 255]], dtype=np.uint8)
    expected = {
        "rgb": (Image.fromarray(colours), colours),
        "palette": (palette, colours),
        "alpha": (transparent, colours),
        "grey": (Image.fromarray(grey), np.stack([grey] * 3, axis=-1)),
        "bits": (Image.fromarray(grey > 100), np.stack([(grey > 100) * np.uint8(255)] * 3, axis=-1)),
        "dot": (Image.fromarray(colours[:1, :1]), colours[:1, :1]),
    }
    publishers.write_folder({name: png(image) for name, (image, _) in expected.items()}, tmp_path)
    for name, (_, array) in expected.items():
        found = archives.Members(tmp_path).image(name)
        assert found.dtype == np.uint8
        assert np.array_equal(found, array), name


def test_a_file_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(png(Image.new("RGB", (40, 40)))[:-30])
    with pytest.raises(ValueError, match=re.escape(f"{tmp_path}: the image a.png cannot be read")):
        archives.Members(tmp_path).image("a.png")


def test_the_first_candidate_that_exists_is_located(tmp_path):
    assert archives.locate(tmp_path, ["a.zip", "a"]) is None
    (tmp_path / "a").mkdir()
    assert archives.locate(tmp_path, ["a.zip", "a"]) == tmp_path / "a"
    (tmp_path / "a.zip").touch()
    assert archives.locate(tmp_path, ["a.zip", "a"]) == tmp_path / "a.zip"
    assert archives.locate(tmp_path, []) is None


def test_a_missing_dataset_lists_every_place_and_both_remedies():
    message = str(archives.missing("Pictures", Path("/there"), ["p.zip", "p"], "https://example.org"))
    assert "looked for /there/p.zip or /there/p;" in message
    assert "https://example.org" in message
    assert "data_root" in message
    assert "MANYEXITS_DATA_ROOT" in message
