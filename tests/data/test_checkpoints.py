"""Files of pretrained weights are found where people keep them: folder, archive, installed package, hub."""

import zipfile

import pytest

from manyexits.data.checkpoints import opened

WHERE = {"folder": None, "package": None, "hub": None, "home": "https://there"}


def found(root, fetched=False, file="some.json", identifier=None, **where):
    """Content and source of a file."""
    with opened(WHERE | where | {"hub": identifier}, file, "the file", root, fetched) as (path, source):
        return path.read_text(), source


def pack(path, **files):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "/") + ".json", content)
    return path


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package that holds an archive, and fails if anybody imports it."""
    pack(tmp_path / "site/somebody_s/model.zip", some="of the package")
    (tmp_path / "site/somebody_s/__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path / "site")
    return "somebody_s/model.zip"


def test_below_the_data_root(tmp_path):
    (tmp_path / "some.json").write_text("plain")
    assert found(tmp_path) == ("plain", "some.json")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/some.json").write_text("in a folder")
    assert found(tmp_path, folder="kept") == ("in a folder", "kept/some.json")
    assert found(tmp_path, folder=str(tmp_path / "kept"))[0] == "in a folder"
    assert found(tmp_path / "elsewhere", file=str(tmp_path / "some.json"))[0] == "plain"


def test_in_an_archive_packed_with_its_own_folder_or_without(tmp_path):
    pack(tmp_path / "flat.zip", some="flat")
    pack(tmp_path / "deep.zip", model__some="deep", other="another")
    assert found(tmp_path, folder="flat.zip") == ("flat", "flat.zip/some.json")
    assert found(tmp_path, folder="deep.zip") == ("deep", "deep.zip/some.json")


def test_in_an_installed_package_unless_the_data_root_has_it(tmp_path, package):
    assert found(tmp_path, folder="kept", package=package) == ("of the package", "somebody_s/model.zip/some.json")
    (tmp_path / "kept").mkdir()
    assert found(tmp_path, folder="kept", package=package)[0] == "of the package"
    (tmp_path / "kept/some.json").write_text("mine")
    assert found(tmp_path, folder="kept", package=package) == ("mine", "kept/some.json")


def test_absent_files_say_where_they_were_looked_for(tmp_path, package):
    with pytest.raises(
        ValueError, match=r"^the file is missing: looked for \S+/kept/some\.json; get it from https://there"
    ):
        found(tmp_path, folder="kept", package="nobody_has_this/model.zip")
    with pytest.raises(ValueError, match=r"model\.zip holds no other\.json; it is incomplete, get it again"):
        found(tmp_path, file="other.json", package=package)


def test_the_hub_comes_last(tmp_path, monkeypatch):
    (tmp_path / "cached.json").write_text("of the hub")
    asked = []
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *told: asked.append(told) or tmp_path / "cached.json")
    with pytest.raises(ValueError, match="is missing"):
        found(tmp_path, folder="kept", identifier="a/b")
    assert found(tmp_path, fetched=True, folder="kept", identifier="a/b") == ("of the hub", "hub: a/b/some.json")
    assert asked == [("a/b", "some.json")]


def test_what_the_block_refuses_names_the_archive_and_leaves_nothing(tmp_path):
    archive = pack(tmp_path / "flat.zip", some="flat")
    with (
        pytest.raises(ValueError, match=rf"^{archive}/some\.json is bad$"),
        opened(WHERE | {"folder": "flat.zip"}, "some.json", "the file", tmp_path, False) as (path, _),
    ):
        raise ValueError(f"{path} is bad")
    assert not path.exists()


@pytest.mark.parametrize("cut", [0, 1, 60])
def test_a_damaged_archive_is_refused(tmp_path, cut):
    archive = pack(tmp_path / "flat.zip", some="flat" * 50)
    archive.write_bytes(archive.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"flat\.zip is (damaged|neither)"):
        found(tmp_path, folder="flat.zip")
