"""What the README names exists, and its commands resolve."""

import re
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text()


def blocks(text: str) -> list[str]:
    return re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_every_link_leads_somewhere(readme, root):
    links = re.findall(r"\]\(([^)#]+)\)", readme)
    assert len(links) > 5
    assert not [link for link in links if not (root / link).exists()]


def test_the_tree_is_true(readme, root):
    tree = next(block for block in blocks(readme) if block.startswith("Snakefile"))
    base, named = root, set()
    for line in tree.splitlines():
        if line.startswith("src/manyexits/"):
            base = root / "src/manyexits"
            continue
        base = base if line.startswith("  ") else root
        names = re.match(r" *((?:[\w./]+(?: |$))+)", line).group(1).split()
        for name in names:
            assert (base / name).exists(), f"{name} is in the README's tree, but not there"
            named.add((base / name).resolve())
    package = root / "src/manyexits"
    left_out = {"__init__.py", "__main__.py", "__pycache__"}
    missing = {path.name for path in package.iterdir() if path.resolve() not in named} - left_out
    assert not missing


def test_every_make_target_exists(readme, root):
    wanted = set(re.findall(r"^make ([a-z-]+)$", readme, re.MULTILINE)) | set(re.findall(r"`make ([a-z-]+)`", readme))
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= wanted <= targets


def commands(root) -> list[str]:
    lines = "\n".join(blocks((root / "README.md").read_text())).splitlines()
    return [line for line in lines if line.startswith("snakemake ")]


def test_every_snakemake_command_resolves(root):
    found = commands(root)
    assert len(found) >= 5
    for line in found:
        command = [sys.executable, "-m", "snakemake", "-n", "--forceall", *line.split()[1:]]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def test_the_command_for_settings_prints_what_a_run_is_told(readme):
    (name,) = set(re.findall(r"`manyexits settings (\S+)`", readme))
    done = subprocess.run([sys.executable, "-m", "manyexits", "settings", name], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"pretrain"' in done.stdout


def test_the_size_of_the_study_is_what_it_says(plan, readme):
    trainings = plan.of("pretrain", "train")
    hours = sum(sum(each.minutes for each in job.recipes) / 60 * job.recipes[0].devices for job in trainings)
    said = " ".join(readme.split())
    assert f"is {len(trainings)} trainings, {len(plan.of('pretrain'))} of them of phase 1" in said
    assert f"add up to {hours:,.0f} device hours" in said
