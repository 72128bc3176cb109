"""Configuration files are read by one loader, which says by file and line what another would lose or choke on."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import copy_checkout

from manyexits import cli
from manyexits.study import resolve, written
from manyexits.study.refusals import StudyError

DOUBLING = "".join(f"a{n}: &a{n} {{x: *a{n - 1}, y: *a{n - 1}}}\n" for n in range(1, 24))
REFUSED = {
    "twice": (
        b"recipes:\n  digits: {epochs: 3}\nseeds: [1]\nrecipes: {}\n",
        "twice.yaml: recipes stands twice (lines 1 and 4)",
    ),
    "inside": (b"recipes:\n  digits:\n    lr: 1\n    lr: 2\n", "inside.yaml: lr stands twice (lines 3 and 4)"),
    "flow": (b"recipes: {digits: {lr: 1,\n  lr: 2}}\n", "flow.yaml: lr stands twice (lines 1 and 2)"),
    "listed": (b"seeds:\n- {a: 1, a: 2}\n", "listed.yaml: a stands twice (lines 2 and 2)"),
    "quoted": (b'seeds: [1]\n"seeds": [2]\n', "quoted.yaml: seeds stands twice (lines 1 and 2)"),
    "number": (b"after:\n  16: [1]\n  0x10: [2]\n", "number.yaml: 0x10 stands twice (lines 2 and 3)"),
    "truth": (b"yes: 1\ntrue: 2\n", "truth.yaml: true stands twice (lines 1 and 2)"),
    "one": (b"1: a\ntrue: b\n", "one.yaml: true stands twice (lines 1 and 2)"),
    "merged": (b"a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a\n", "merged.yaml: << stands twice (lines 3 and 4)"),
    "latin": ("seeds: [1]\n# na\xefve\n".encode("latin-1"), "latin.yaml is no UTF-8 (line 2)"),
    "utf16": ("seeds: [1]\n".encode("utf-16"), "utf16.yaml is no UTF-8 (line 1)"),
    "deep": (b"x: " + b"{a: " * 2000 + b"1" + b"}" * 2000, "deep.yaml nests its keys more than 30 levels deep"),
    "list-deep": (b"x: " + b"[" * 31 + b"]" * 31, "list-deep.yaml nests its keys more than 30 levels deep"),
    "loop": (b"methods:\n  loop: &l {kind: sdn, more: *l}\n", "loop.yaml nests its keys more than 30 levels deep"),
    "key-loop": (b"&l [1, *l]", "key-loop.yaml must hold a mapping"),
    "doubling": (b"a0: &a0 {x: 1, y: 2}\n" + DOUBLING.encode(), "doubling.yaml holds "),
    "list": (b"- 1\n", "list.yaml must hold a mapping"),
    "empty": (b"", "empty.yaml must hold a mapping"),
    "broken": (b"a: [1,\nb: {", "broken.yaml is no valid YAML: "),
    "tab": (b"a:\n\tb: 1\n", "tab.yaml is no valid YAML: "),
    "two": (b"seeds: [1]\n---\nseeds: [2]\n", "two.yaml is no valid YAML: "),
    "nul": (b"seeds: [1]\0\n", "nul.yaml is no valid YAML: "),
    "tag": (b"seeds: !!python/object:os.system [1]\n", "tag.yaml is no valid YAML: "),
    "anchor": (b"seeds: *nothing\n", "anchor.yaml is no valid YAML: "),
    "date": (b"output: 2020-02-31\n", "date.yaml is no valid YAML: "),
    "key": (b"? [1]\n: 2\n", "key.yaml is no valid YAML: "),
}
TAKEN = {
    "bom": (b"\xef\xbb\xbfseeds: [1]\n", {"seeds": [1]}),
    "crlf": (b"seeds: [1]\r\n", {"seeds": [1]}),
    "anchors": (b"a: &a {x: 1}\nb: *a\nc: {<<: *a, x: 2}\n", {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 2}}),
    "cases": (b"a: 1\nA: 2\n1: 3\n'1': 4\n", {"a": 1, "A": 2, 1: 3, "1": 4}),
    "levels": (b"x: " + b"[" * 29 + b"]" * 29, None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_damaged_file_is_told_by_name_and_line(name, tmp_path, monkeypatch):
    content, told = REFUSED[name]
    monkeypatch.chdir(tmp_path)
    Path(f"{name}.yaml").write_bytes(content)
    with pytest.raises(StudyError) as caught:
        resolve.read([Path(f"{name}.yaml")])
    assert str(caught.value).startswith(told)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", TAKEN)
def test_other_ways_to_write_a_file_are_taken(name, tmp_path):
    content, expected = TAKEN[name]
    (tmp_path / "a.yaml").write_bytes(content)
    found = written.load(tmp_path / "a.yaml")
    assert expected is None or found == expected


@pytest.mark.parametrize("path", ["nothing.yaml", "."])
def test_what_is_no_file_is_named(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError, match="name an existing configuration file"):
        written.load(Path(path))


@pytest.mark.parametrize("name", ["twice", "latin", "deep", "loop"])
def test_verbs_say_so_and_end_with_2(name, root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(root)
    (tmp_path / f"{name}.yaml").write_bytes(REFUSED[name][0])
    for verb in (["settings", "x"], ["doctor"]):
        with pytest.raises(SystemExit) as ended:
            sys.exit(cli.main([*verb, "--configfile", str(tmp_path / f"{name}.yaml")]))
        assert ended.value.code == 2
        assert REFUSED[name][1] in capsys.readouterr().err


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    return copy_checkout(tmp_path_factory.mktemp("checkout"))


def dry_run(checkout, *options):
    """Exit status and all that is said."""
    told = [sys.executable, "-m", "snakemake", "-n", "--nolock", "table1", *options]
    done = subprocess.run(told, cwd=checkout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize("name", ["twice", "inside", "truth"])
def test_snakemake_says_so_of_an_overlay(name, checkout):
    (checkout / f"{name}.yaml").write_bytes(REFUSED[name][0])
    status, said = dry_run(checkout, "--configfile", "workflow/overlays/demo.yaml", f"{name}.yaml")
    assert status != 0
    assert REFUSED[name][1] in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("spoil", "told"),
    [(b"# na\xefve\n", "config.yaml is no UTF-8 (line "), (b"seeds: [1]\n", "config.yaml: seeds stands twice (lines ")],
)
def test_snakemake_says_so_of_config_yaml(spoil, told, checkout):
    whole = (checkout / "config.yaml").read_bytes()
    (checkout / "config.yaml").write_bytes(whole + spoil)
    status, said = dry_run(checkout)
    (checkout / "config.yaml").write_bytes(whole)
    assert status != 0
    assert told in said
    assert "Traceback" not in said
