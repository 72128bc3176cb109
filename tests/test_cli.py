"""Every stage is one rule, one verb and one function of the same name."""

import re
import subprocess
import sys

import pytest

from manyexits import cli
from manyexits.study.plan import VERSIONS

PEOPLES = (cli.doctor, cli.gather, cli.report, cli.schema, cli.settings, cli.unlock)
"""Verbs that no rule calls."""


def test_rules_verbs_and_versions_have_the_same_names(root):
    text = "".join(path.read_text() for path in sorted((root / "workflow/rules").glob("*.smk")))
    rules = set(re.findall(r"^rule (\w+):", text, re.MULTILINE))
    verbs = {function.__name__ for function in cli.VERBS if function not in PEOPLES}
    assert rules == verbs == set(VERSIONS)
    called = re.findall(r'"manyexits (\w+) ', text)
    assert sorted(called) == sorted(rules)


def test_every_rule_has_its_habits(root):
    for path in (root / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            for word in ("output", "params", "log", "benchmark", "threads", "mem_mb", "runtime", "message", "shell"):
                assert word in rule, f"{path.name}: {rule.split(':')[0]} has no {word}"


def test_help_lists_the_verbs():
    done = subprocess.run([sys.executable, "-m", "manyexits", "--help"], capture_output=True, text=True, check=True)
    assert all(function.__name__ in done.stdout for function in cli.VERBS)


def test_an_unknown_run_lists_the_nearest_first(root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    assert cli.main(["settings", "cifar100-resnet34/joint/s9"]) == 2
    assert "valid names: cifar100-resnet34/joint/s" in capsys.readouterr().err


def test_damaged_settings_are_refused():
    with pytest.raises(SystemExit) as caught:
        cli.main(["calibrate", "--settings", "{", "--predictions", "a", "--costs", "b", "--output", "c"])
    assert caught.value.code == 2


def test_a_missing_input_is_one_sentence_with_its_name(tmp_path, capsys):
    settings = '{"protocols": ["shared"], "criteria": ["confidence"], "budgets": [0.5], "task": {"classes": 3}}'
    names = ["--predictions", "nothing.safetensors", "--costs", "nothing.json", "--output", str(tmp_path / "out")]
    assert cli.main(["calibrate", "--settings", settings, *names]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("manyexits calibrate: ")
    assert "nothing" in line


def test_no_message_holds_what_a_terminal_would_act_upon(tmp_path, capsys):
    settings = '{"protocols": ["shared"], "criteria": ["confidence"], "budgets": [0.5], "task": {"classes": 3}}'
    names = ["--predictions", "\x1b[31mgrün\n.safetensors", "--costs", "\x1b[2J", "--output", str(tmp_path / "out")]
    assert cli.main(["calibrate", "--settings", settings, *names]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert r"\x1b[" in line
