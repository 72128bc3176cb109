"""Where all labels are there, a dataset is read in every layout that people have; and what cannot be read says what to
do, never to throw whole data away."""

import errno
import gzip
import os
import struct
import tarfile
import tracemalloc
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import publishers
import pytest
from PIL import Image

from manyexits.data import archives, photographs, prepare, prepared, splits
from manyexits.data.archives import Members, locate
from manyexits.data.readers import cifar100, folder, imagenet, imagenette, tinyimagenet

TINY, _ = publishers.tiny_files()
TRUTH = dict(line.split("\t")[:2] for line in TINY["val/val_annotations.txt"].decode().splitlines())
CIFAR = publishers.cifar_files(publishers.cifar_images(0, [0, 1, 2, 3]), publishers.cifar_images(1, [3, 2, 1, 0]))
IMAGENET = publishers.imagenet_files()
CLASSES = sorted({name.split("/")[1] for name in IMAGENET if name.startswith("train/")})


def below(files, *folders):
    return {"/".join([*folders, name]): content for name, content in files.items()}


def without(files, *parts):
    return {name: content for name, content in files.items() if not any(part in name for part in parts)}


SORTED = without(TINY, "val/images/") | {
    f"val/{wnid}/images/{name}": TINY[f"val/images/{name}"] for name, wnid in TRUTH.items()
}
FLAT = {name.replace("/images/", "/"): content for name, content in SORTED.items() if name.endswith(".JPEG")}
TINY_LAYOUTS = {
    "as published": TINY,
    "in a folder of its own name": below(TINY, "tiny-imagenet-200"),
    "two folders deep": below(TINY, "data", "tiny-imagenet-200"),
    "validation sorted, list kept": SORTED,
    "validation sorted, list gone": without(SORTED, "val_annotations"),
    "class folders alone": FLAT,
    "without words": without(TINY, "words.txt"),
    "without the list of classes": without(TINY, "wnids.txt"),
}


@pytest.mark.parametrize("layout", TINY_LAYOUTS)
@pytest.mark.parametrize("packed", [False, True])
def test_tiny_imagenet_is_read_in_every_layout(tmp_path, layout, packed):
    expected = read_tiny(tmp_path / "published", TINY, packed=False)
    found = read_tiny(tmp_path / "other", TINY_LAYOUTS[layout], packed)
    for one, other in ((found.train, expected.train), (found.test, expected.test)):
        assert pairs(one) == pairs(other)


def read_tiny(root: Path, files, packed: bool):
    root.mkdir()
    if packed:
        (root / "tiny-imagenet-200.zip").write_bytes(publishers.zipped(files, "tiny-imagenet-200"))
    else:
        publishers.write_folder(files, root / "tiny-imagenet-200")
    return tinyimagenet.load(root, False)


def pairs(part):
    return sorted((image.tobytes(), int(label)) for image, label in zip(part.images, part.labels, strict=True))


@pytest.mark.parametrize("folders", [(), ("cifar-100-binary",), ("a", "b")])
def test_cifar_is_read_however_deep_it_lies(tmp_path, folders):
    publishers.write_folder(below(CIFAR, *folders), tmp_path / "cifar-100-binary")
    assert cifar100.load(tmp_path, False).train.labels.tolist() == [0, 1, 2, 3]


def test_cifar_for_python_is_told_from_the_version_that_is_meant(tmp_path):
    publishers.write_folder(dict.fromkeys(("meta", "train", "test"), b"pickled"), tmp_path / "cifar-100-python")
    with pytest.raises(ValueError, match=r"is the Python version of CIFAR-100, .*; get https.*\(binary version\)"):
        cifar100.load(tmp_path, False, path="cifar-100-python")


TRUE = [CLASSES.index(publishers.IMAGENET[number][0]) for number in (2, 3, 1, 1)]
"""Classes of the validation images, which the stand-in's devkit tells by these numbers."""
IMAGENET_LAYOUTS = {
    "as published": IMAGENET,
    "validation one folder deeper": {k.replace("val/", "val/ILSVRC2012_img_val/"): v for k, v in IMAGENET.items()},
    "in a folder of its own name": below(IMAGENET, "imagenet"),
}


@pytest.mark.parametrize("layout", IMAGENET_LAYOUTS)
def test_imagenet_is_read_in_every_layout(tmp_path, layout):
    publishers.write_folder(IMAGENET_LAYOUTS[layout], tmp_path / "imagenet")
    assert imagenet.load(tmp_path, False, pixels=8).test.labels.tolist() == TRUE


def test_imagenet_in_class_folders_needs_no_devkit_and_a_flat_one_does(tmp_path):
    truth = [CLASSES[label] for label in TRUE]
    names = sorted(name for name in IMAGENET if name.startswith("val/"))
    sorted_ = {
        f"val/{wnid}/{name.removeprefix('val/')}": IMAGENET[name] for name, wnid in zip(names, truth, strict=True)
    }
    train = {name: content for name, content in IMAGENET.items() if name.startswith("train/")}
    publishers.write_folder(train | sorted_, tmp_path / "imagenet")
    found = imagenet.load(tmp_path, False, pixels=8)
    assert found.class_names == CLASSES
    assert sorted(found.test.labels.tolist()) == sorted(CLASSES.index(wnid) for wnid in truth)
    publishers.write_folder(without(IMAGENET, "devkit"), tmp_path / "flat/imagenet")
    with pytest.raises(
        ValueError, match=r"only it tells the classes of the images in .*, unless they lie in class folders"
    ):
        imagenet.load(tmp_path / "flat", False, pixels=8)


# -- archives ---------------------------------------------------------------------------------------------------------

PETS = {
    f"{part}/{class_}/{number}.png": publishers.encoded(publishers.photograph(10 * seed + number), "PNG")
    for seed, (part, class_) in enumerate([("train", "cat"), ("train", "dog"), ("val", "cat"), ("val", "dog")])
    for number in range(3)
}


def pets(root: Path, path: str, **options):
    return folder.load(root, False, path=path, pixels=8, **options)


@pytest.mark.parametrize("name", ["pets.zip", "pets", "download", "pets.tgz", "pets.bin"])
@pytest.mark.parametrize("form", ["zip", "tar", "gz", "xz", "bz2"])
def test_an_archive_is_told_by_its_content_whatever_its_name(tmp_path, name, form):
    publishers.write_folder(PETS, tmp_path / "open")
    if form == "zip":
        (tmp_path / name).write_bytes(publishers.zipped(PETS, "pets"))
    else:
        with tarfile.open(tmp_path / name, "w" if form == "tar" else f"w:{form}") as archive:
            archive.add(tmp_path / "open", "pets")
    assert pairs(pets(tmp_path, name).train) == pairs(pets(tmp_path, "open").train)


def marked(content: bytes, method: int = 0, flag: int = 0) -> bytes:
    """A zip archive whose members say that they are packed otherwise, or encrypted."""
    raw = bytearray(content)
    for sign, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = 0
        while (place := raw.find(sign, place)) >= 0:
            if method:
                raw[place + at + 2 : place + at + 4] = struct.pack("<H", method)
            raw[place + at] |= flag
            place += 4
    return bytes(raw)


ZIP = publishers.zipped(PETS, "pets")
UNREADABLE = {
    "packed by Deflate64": marked(ZIP, method=9),
    "packed by method 97": marked(ZIP, method=97),
    "encrypted": marked(ZIP, flag=1),
    "packed by 7z": b"7z\xbc\xaf\x27\x1c" + bytes(100),
    "packed by RAR": b"Rar!\x1a\7\0" + bytes(100),
    "packed by Zstandard": b"\x28\xb5\x2f\xfd" + bytes(100),
}


@pytest.mark.parametrize("how", UNREADABLE)
def test_a_whole_archive_that_cannot_be_read_here_is_to_be_unpacked(tmp_path, how):
    (tmp_path / "pets.zip").write_bytes(UNREADABLE[how])
    with pytest.raises(
        ValueError, match=f"pets.zip is {how}, which cannot be read here: unpack it and name the folder$"
    ):
        pets(tmp_path, "pets.zip")


@pytest.mark.parametrize("form", ["zip", "tar", "folder"])
def test_a_file_that_would_fill_the_memory_is_not_read(tmp_path, monkeypatch, form):
    monkeypatch.setattr(archives, "MOST_BYTES", 10_000)
    files = PETS | {"train/cat/bomb.png": bytes(20_000)}
    publishers.write_folder(files, tmp_path / "open")
    if form == "zip":
        (tmp_path / "pets").write_bytes(publishers.zipped(files, "pets"))
    if form == "tar":
        (tmp_path / "pets").write_bytes(publishers.tar_gz(files, "pets"))
    path = "open" if form == "folder" else "pets"
    with pytest.raises(ValueError, match=r"bomb.png has 20,000 bytes, and no file of a dataset more than 10,000"):
        pets(tmp_path, path)
    assert len(pets(tmp_path, path, damaged="skip").train.labels) == 6


WHOLE = {
    "a page of the web": b"<!DOCTYPE html><html>Sign in</html>",
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
    "a program that unpacks itself": b"MZ" + bytes(1000) + ZIP,
    "one compressed file": gzip.compress(b"hello" * 1000),
    "a photograph": PETS["train/cat/0.png"],
    "a cabinet": b"MSCF" + bytes(600),
    "LZ4": b"\x04\x22\x4d\x18" + bytes(600),
    "Parquet": b"PAR1" + bytes(600),
}


@pytest.mark.parametrize("what", WHOLE)
@pytest.mark.parametrize("name", ["pets.zip", "pets.tar.gz"])
def test_whole_bytes_that_are_no_archive_are_not_called_damaged(tmp_path, what, name):
    (tmp_path / name).write_bytes(WHOLE[what])
    with pytest.raises(ValueError, match=f"{name} is neither a zip nor a tar archive; get it again, or unpack it and"):
        pets(tmp_path, name)


@pytest.mark.parametrize("number", [errno.EIO, errno.EMFILE, errno.ESTALE])
@pytest.mark.parametrize("form", ["zip", "tar", "folder"])
def test_a_disk_that_does_not_answer_is_not_called_damaged(tmp_path, monkeypatch, form, number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    path = publishers.write_folder(PETS, tmp_path / "open")
    if form != "folder":
        path = tmp_path / "pets"
        path.write_bytes(ZIP if form == "zip" else publishers.tar_gz(PETS, "pets"))
    members = Members(path)
    for place in (zipfile.ZipFile, "open"), (tarfile.TarFile, "extractfile"), (Path, "read_bytes"):
        monkeypatch.setattr(*place, fail)
    with pytest.raises(ValueError, match=rf"cannot be read now \({os.strerror(number)}\); try again$"):
        members.read(members.names()[0])


def test_a_member_that_is_larger_than_the_archive_says_takes_no_memory(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(20 * 2**20))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    size = content.rfind(b"PK\1\2") + 24
    content[size : size + 4] = struct.pack("<I", 100)
    (tmp_path / "a.zip").write_bytes(content)
    assert refused_in_memory(lambda: Members(tmp_path / "a.zip").read("a"), "a.zip is damaged") < 5 * 2**20


@pytest.mark.parametrize("kind", archives.HEADERS)
def test_a_header_that_would_fill_the_memory_is_not_read(tmp_path, kind):
    header = tarfile.TarInfo("header")
    header.type, header.size = kind, 20 * 2**20
    (tmp_path / "a.tgz").write_bytes(gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + bytes(header.size + 1024), 1))
    assert refused_in_memory(lambda: Members(tmp_path / "a.tgz"), "a header has 20,971,520 bytes") < 5 * 2**20


def refused_in_memory(call, told: str) -> int:
    """The most bytes that Python held at a time during a call that is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=told):
            call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# -- photographs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "pixels"), [((20_000, 4_000), 8), ((100_000, 1), 900)])
def test_photographs_and_scaled_forms_that_would_fill_the_memory_are_refused(size, pixels):
    content = publishers.encoded(Image.new("L", size), "PNG")
    with pytest.raises(ValueError, match="more than 67,108,864"):
        photographs.view(photographs.opened(content), pixels)
    assert Image.MAX_IMAGE_PIXELS > photographs.MOST_PIXELS


@pytest.mark.parametrize("suffix", photographs.SUFFIXES)
def test_every_suffix_is_read(tmp_path, suffix):
    form = next(form for form, suffixes in photographs.FORMATS.items() if suffix in suffixes)
    named = {name.replace(".png", suffix.upper()): content for name, content in PETS.items()}
    for name in named:
        named[name] = publishers.encoded(publishers.photograph(hash(name) % 1000), form)
    publishers.write_folder(named, tmp_path / "pets")
    assert len(pets(tmp_path, "pets").train.labels) == 6


def test_formats_that_are_not_on_the_list_are_not_tried(tmp_path):
    content = publishers.encoded(publishers.photograph(1), "ICO")
    with pytest.raises(photographs.UNREADABLE):
        photographs.opened(content)


def test_what_is_passed_over_is_counted_by_suffix(tmp_path):
    more = {"train/cat/a.heic": b"", "train/cat/b.HEIC": b"", "val/dog/notes.txt": b"", "train/list": b""}
    publishers.write_folder(PETS | more, tmp_path / "pets")
    assert pets(tmp_path, "pets").passed_over == {".heic": 2, ".txt": 1, "no suffix": 1}


@pytest.mark.parametrize("name", ["@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found", "__MACOSX", ".Trash"])
def test_folders_of_systems_are_no_classes_and_hold_no_photographs(tmp_path, name):
    first = next(iter(PETS.values()))
    more = {f"train/{name}/x.png": first, f"train/cat/{name}/x.png": first}
    publishers.write_folder(PETS | more, tmp_path / "pets")
    found = pets(tmp_path, "pets")
    assert (found.class_names, len(found.train.labels)) == (["cat", "dog"], 6)


def test_names_are_compared_in_one_form_of_unicode(tmp_path):
    apart, together = (unicodedata.normalize(form, "écureuil") for form in ("NFD", "NFC"))
    files = {name.replace("cat", apart if name.startswith("train") else together): v for name, v in PETS.items()}
    publishers.write_folder(files, tmp_path / "pets")
    found = pets(tmp_path, "pets")
    assert found.class_names == ["dog", together]
    assert found.test.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    publishers.write_folder(PETS, tmp_path / "pets")
    assert locate(Path("elsewhere"), ["~/pets"]) == tmp_path / "pets"


def test_a_folder_of_class_folders_alone_is_told_how_to_name_it(tmp_path):
    publishers.write_folder(
        {n.removeprefix("train/"): v for n, v in PETS.items() if n.startswith("train/")}, tmp_path / "p"
    )
    with pytest.raises(
        ValueError, match=r'it holds cat, dog: if these are the class folders, set train: "" and a test_share'
    ):
        pets(tmp_path, "p")
    assert len(pets(tmp_path, "p", train="", test_share=0.5).test.labels) == 3


def test_training_and_test_part_are_not_one_folder(tmp_path):
    publishers.write_folder(PETS, tmp_path / "pets")
    with pytest.raises(ValueError, match="train and test are both train; name two folders, or set test_share"):
        pets(tmp_path, "pets", test="./train")


def test_imagenette_lies_where_it_was_unpacked(tmp_path):
    files = publishers.imagenette_files(list(imagenette.CLASSES))
    publishers.write_folder(below(files, "imagenette2"), tmp_path / "imagenette2")
    assert len(imagenette.load(tmp_path, False, pixels=8).train.labels) == 20


def test_a_member_that_is_asked_for_by_a_folder_is_found(tmp_path):
    publishers.write_folder(PETS, tmp_path / "deep/er/pets")
    assert Members(tmp_path).inside("train/", "val/") == "deep/er/pets/"
    assert Members(tmp_path).inside("nothing/") == ""


# -- one photograph, two splits ---------------------------------------------------------------------------------------


def prepared_pets(tmp_path, files, **entry):
    """What `prepare` says of a folder of pets, and the splits that it draws."""
    publishers.write_folder(files, tmp_path / "pets")
    told = {"dataset": "pets", "source": "folder", "path": "pets", "pixels": 8, "classes": 2}
    settings = told | {"validation": 0.34, "split_seed": 42, "mean": None, "std": None} | entry
    remarks = prepare.prepare(settings, tmp_path, False, tmp_path / "out")
    return remarks, prepared.read(tmp_path / "out")


COPY = {"val/dog/copy.png": PETS["train/cat/1.png"]}
LIKENESS = {"val/dog/copy.bmp": publishers.encoded(publishers.photograph(1), "BMP")}
"""Other bytes, and the same image."""


@pytest.mark.parametrize("copy", [COPY, LIKENESS], ids=["equal bytes", "equal views"])
@pytest.mark.parametrize("store", ["arrays", "index"])
def test_a_photograph_in_training_and_test_part_is_refused_unless_it_is_to_be_kept(tmp_path, copy, store):
    with pytest.raises(
        ValueError, match=r"1 photographs lie in two splits, the first: train/cat/1.png .* shared: keep"
    ):
        prepared_pets(tmp_path, PETS | copy, store=store)
    assert not (tmp_path / "out/manifest.json").exists()
    (remark,), _ = prepared_pets(tmp_path, PETS | copy, store=store, shared="keep")
    assert remark.startswith("1 photographs lie in two splits")
    assert "in_two_splits" in (tmp_path / "out/manifest.json").read_text()


def test_copies_within_the_training_part_are_kept_together(tmp_path):
    copies = {name.replace(".png", " (1).png"): content for name, content in PETS.items() if name.startswith("train/")}
    remarks, data = prepared_pets(tmp_path, PETS | copies)
    seen = [{data.train.images[index].tobytes() for index in part.indices} for part in (data.train, data.validation)]
    assert len(data.train) + len(data.validation) == 12
    assert not seen[0] & seen[1]
    left = 5 - len(data.validation)  # of those that a share of 0.34 of twelve draws
    assert remarks == [f"{left} copies of training photographs were left out of the validation split"]


def test_without_copies_the_split_is_the_authors(tmp_path):
    remarks, data = prepared_pets(tmp_path, PETS)
    train, validation = splits.split(data.train.labels, 0.34, 42)
    assert (remarks, data.train.indices.tolist(), data.validation.indices.tolist()) == (
        [],
        train.tolist(),
        validation.tolist(),
    )


def test_a_name_with_a_carriage_return_is_held_by_the_index(tmp_path):
    files = {name.replace("train/cat/0", "train/cat/x\ry"): content for name, content in PETS.items()}
    _, data = prepared_pets(tmp_path, files, store="index")
    assert b"train/cat/x\ry.png" in data.train.images.names.tolist()
    images, _ = data.train.take(np.arange(len(data.train)))
    assert images.shape == (len(data.train), 8, 8, 3)
