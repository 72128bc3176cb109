"""Text from the configuration reaches the shell of a rule quoted, whatever it holds."""

import re

import pytest

SHELL = re.compile(r"^    shell:\n((?:        .*\n?)+)", re.MULTILINE)
FIELD = re.compile(r"(?<!\{)\{([^{}]+)\}(?!\})")


def shells(root):
    """Rule -> text of its shell command."""
    found = {}
    for path in sorted((root / "workflow/rules").glob("*.smk")):
        for rule in re.split(r"^rule ", path.read_text(), flags=re.MULTILINE)[1:]:
            found[rule.partition(":")[0]] = SHELL.search(rule).group(1)
    return found


def test_every_value_in_every_shell_command_is_quoted(root):
    fields = [(rule, field) for rule, shell in shells(root).items() for field in FIELD.findall(shell)]
    assert len(fields) > 50
    assert [(rule, field) for rule, field in fields if not field.endswith(":q")] == []


def test_no_command_is_made_elsewhere(root):
    text = "".join(path.read_text() for path in [root / "Snakefile", *(root / "workflow/rules").glob("*.smk")])
    assert not re.search(r"^\s*(run|script|notebook|wrapper):|\bshell\(|\bos\.system|subprocess", text, re.MULTILINE)


@pytest.mark.parametrize("unquoted", ["{params.settings}", "{input.rows} {log:q}", "{resources.tracker}"])
def test_the_search_finds_what_is_not_quoted(unquoted):
    assert not FIELD.findall(unquoted)[0].endswith(":q")
