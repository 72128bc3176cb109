"""Small datasets in the publishers' exact layouts: every file as its bytes, by its name in the archive."""

import gzip
import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from manyexits.data.readers import newsgroups

CIFAR = "cifar-100-binary"
TINY = "tiny-imagenet-200"
WNIDS = ["n02124075", "n01443537", "n04067472"]
"""Not sorted, as in the publisher's list."""
WORDS = {"n01443537": "goldfish, Carassius auratus", "n02124075": "Egyptian cat", "n04067472": "reel"}


MESSAGE = """From: someone@somewhere
Subject: about {0}

another@nowhere writes:
> is it so?
The {0} is a thing of beauty, caf\xe9.

--
Someone
"""
PAIRS = {
    "train": [("A plane is taking off.", 'An "air" plane, is taking off.', 5.0), ("a", "b", 0.0), ("c d", "e", 2.4)],
    "dev": [("A man with a hard hat.", "A man.", 3.25)],
    "test": [("A girl.", "A boy; and more.", 1.0), ("Ünï", "ö", 4.2)],
}
"""Part -> pairs of sentences with their scores."""


def cifar_images(seed, labels):
    """Random images (N, 32, 32, 3) with their labels."""
    labels = np.array(labels, dtype=np.int64)
    return np.random.default_rng(seed).integers(0, 256, (len(labels), 32, 32, 3), dtype=np.uint8), labels


def cifar_records(images, labels):
    """Records of coarse label, fine label, and the red, green and blue plane, row by row."""
    records = bytearray()
    for image, label in zip(images, labels, strict=True):
        records += bytes([label // 2, label])
        for channel in range(3):
            records += bytes(int(image[row, column, channel]) for row in range(32) for column in range(32))
    return bytes(records)


def cifar_files(train, test, names=("apple", "aquarium_fish", "baby", "bear")):
    """The four files of the binary version; train and test are images and labels."""
    return {
        "coarse_label_names.txt": b"fruit_and_vegetables\nfish\n\n",
        "fine_label_names.txt": ("\n".join(names) + "\n\n").encode(),
        "test.bin": cifar_records(*test),
        "train.bin": cifar_records(*train),
    }


def tiny_image(class_, index, grey=False, size=(64, 64)):
    """A smooth image (H, W, 3) that differs from all others, so that JPEG hardly changes it."""
    rows, columns = np.mgrid[: size[1], : size[0]]
    image = np.stack([rows + 40 * class_, columns + 8 * index, (rows + columns) // 2 + 60], axis=-1)
    return np.repeat(image[..., :1], 3, axis=-1).astype(np.uint8) if grey else image.astype(np.uint8)


def jpeg(image):
    """An image as JPEG; a grey one is stored with one channel."""
    grey = (image == image[..., :1]).all()
    file = io.BytesIO()
    Image.fromarray(image[..., 0] if grey else image).save(file, "JPEG", quality=95, subsampling=0)
    return file.getvalue()


def tiny_files(per_class=4, held_out=3):
    """The tree, and what it holds: {"train": [(image, wnid)], "val": [(image, wnid)]}, the first of each class grey."""
    files = {"wnids.txt": "\n".join(WNIDS).encode() + b"\n"}
    words = WORDS | {"n00001740": "entity", "n09999999": "a word that no image has"}
    files["words.txt"] = "".join(f"{wnid}\t{word}\n" for wnid, word in words.items()).encode()
    held = {"train": [], "val": []}
    for class_, wnid in enumerate(sorted(WNIDS)):
        boxes = ""
        for index in range(per_class):
            image = tiny_image(class_, index, grey=index == 0)
            files[f"train/{wnid}/images/{wnid}_{index}.JPEG"] = jpeg(image)
            boxes += f"{wnid}_{index}.JPEG\t0\t10\t63\t58\n"
            held["train"].append((image, wnid))
        files[f"train/{wnid}/{wnid}_boxes.txt"] = boxes.encode()
    annotations = ""
    for index in range(held_out):
        wnid = WNIDS[index % len(WNIDS)]
        image = tiny_image(sorted(WNIDS).index(wnid), 10 + index)
        files[f"val/images/val_{index}.JPEG"] = jpeg(image)
        annotations += f"val_{index}.JPEG\t{wnid}\t0\t32\t44\t62\n"
        held["val"].append((image, wnid))
    files["val/val_annotations.txt"] = annotations.encode()
    files["test/images/test_0.JPEG"] = jpeg(tiny_image(0, 20))
    return files, held


def photograph(seed, size=(40, 30)):
    """A smooth random RGB image of (width, height)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encoded(image, form="JPEG"):
    """An image as the bytes of a file."""
    file = io.BytesIO()
    image.save(file, form, **({"quality": 95, "subsampling": 0} if form == "JPEG" else {}))
    return file.getvalue()


def imagenette_files(classes, train=2, val=1, size=(40, 30)):
    """Class folders of photographs in a training and a validation part, named as ImageNet names them."""
    files = {}
    for number, wnid in enumerate(classes):
        for index in range(train):
            files[f"train/{wnid}/{wnid}_{index}.JPEG"] = encoded(photograph(100 * number + index, size))
        for index in range(val):
            name = f"val/{wnid}/ILSVRC2012_val_{number:04d}{index:04d}.JPEG"
            files[name] = encoded(photograph(10_000 + 100 * number + index, size))
    return files


IMAGENET = {3: ("n01440764", "tench, Tinca tinca"), 1: ("n02119789", "kit fox"), 2: ("n02100735", "English setter")}
"""Number in the devkit -> WordNet id and words; the numbers do not follow the ids."""


def devkit_files(truth):
    """The two files of the devkit that matter: meta.mat with the hierarchy's inner nodes behind its leaves, and the
    numbers of the validation images."""
    from scipy.io import savemat

    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    leaves = [(float(number), wnid, words, "a gloss", 0.0) for number, (wnid, words) in sorted(IMAGENET.items())]
    synsets = np.array([[node] for node in [*leaves, (4.0, "n00001740", "entity", "a gloss", 3.0)]], dtype=kinds)
    meta = io.BytesIO()
    savemat(meta, {"synsets": synsets})
    lines = "".join(f"{number}\n" for number in truth).encode()
    return {"data/meta.mat": meta.getvalue(), "data/ILSVRC2012_validation_ground_truth.txt": lines}


def imagenet_files(truth=(2, 3, 1, 1)):
    """Folders of training images, one folder of validation images, and the devkit's."""
    files = {}
    for number, (wnid, _) in IMAGENET.items():
        for index in range(2):
            files[f"train/{wnid}/{wnid}_{index}.JPEG"] = encoded(photograph(10 * number + index))
    for index in range(len(truth)):
        files[f"val/ILSVRC2012_val_{index + 1:08d}.JPEG"] = encoded(photograph(100 + index))
    kit = {f"ILSVRC2012_devkit_t12/{name}": content for name, content in devkit_files(truth).items()}
    return files | kit


def newsgroups_files(per_group=6, held_out=3):
    """Messages of all groups, in Latin-1."""
    return {
        f"{part}/{group}/{1000 * place + number}": MESSAGE.format(f"{group}{number}").encode("latin-1")
        for part, count in zip(newsgroups.PARTS, (per_group, held_out), strict=True)
        for place, group in enumerate(newsgroups.GROUPS)
        for number in range(count)
    }


def sts_csv(pairs):
    """Two sentences and a score in a row."""

    def quoted(text):
        return '"' + text.replace('"', '""') + '"' if '"' in text or "," in text else text

    return "".join(f"{quoted(a)},{quoted(b)},{score}\n" for a, b, score in pairs).encode()


def sts_tsv(pairs):
    """As the publishers have it: nothing is quoted."""
    told = "main-captions\tMSRvid\t2012test"
    return "".join(f"{told}\t{number}\t{c:.3f}\t{a}\t{b}\n" for number, (a, b, c) in enumerate(pairs)).encode()


def stsb_files(pairs=PAIRS):
    """The three files."""
    return {f"stsb-en-{part}.csv": sts_csv(found) for part, found in pairs.items()}


def write_folder(files, folder):
    """Write files below a folder."""
    for name, content in files.items():
        path = Path(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Path(folder)


def tar_gz(files, prefix, level=9):
    """The bytes of a gzipped tar with all files below one folder."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        folder = tarfile.TarInfo(prefix)
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in files.items():
            member = tarfile.TarInfo(f"{prefix}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(archive.getvalue(), level)


def zipped(files, prefix):
    """The bytes of a zip with all files below one folder, and entries of the folders themselves."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        folders = {f"{prefix}/"} | {f"{prefix}/{parent}/" for name in files for parent in Path(name).parents[:-1]}
        for folder in sorted(folders):
            file.writestr(folder, b"")
        for name, content in files.items():
            file.writestr(f"{prefix}/{name}", content)
    return archive.getvalue()


def write_hub(folder, splits, image, label, names):
    """Write parquet files in the hub's layout; splits is {name: [(array, label)]}."""
    import datasets

    features = datasets.Features({image: datasets.Image(), label: datasets.ClassLabel(names=list(names))})
    for split, rows in splits.items():
        arrays, numbers = zip(*rows, strict=True)
        columns = {image: [Image.fromarray(array) for array in arrays], label: [int(number) for number in numbers]}
        path = Path(folder) / "data" / f"{split}-00000-of-00001.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        datasets.Dataset.from_dict(columns, features=features).to_parquet(path)
    return Path(folder)
