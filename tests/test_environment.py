"""The lock, the conda environment, the container and the licence agree, and nothing names an index."""

import re
import tomllib

import yaml


def locked(root) -> dict[str, str]:
    lines = (root / "envs/requirements.txt").read_text().splitlines()
    pins = [line for line in lines if re.match(r"[a-z0-9]", line)]
    return dict(re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", line).groups() for line in pins)


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_locked_with_its_hash(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    pins = locked(root)
    for requirement in wanted:
        name, rest = re.match(r"([A-Za-z0-9._-]+)(.*)", requirement).groups()
        assert canonical(name) in pins, f"{name} is not in envs/requirements.txt"
        if rest.startswith("=="):
            assert pins[canonical(name)] == rest[2:]
    text = (root / "envs/requirements.txt").read_text()
    assert text.count("--hash=sha256:") >= len(pins) > 50
    assert not re.search(r"index-url|find-links|https?://|file:", text)


def test_the_conda_environment_and_the_container_install_the_lock(root):
    environment = yaml.safe_load((root / "envs/environment.yaml").read_text())
    python, tools = environment["dependencies"][0], environment["dependencies"][-1]
    assert python == "python=3.11"
    assert tools == {"pip": ["--require-hashes -r requirements.txt"]}
    container = (root / "envs/manyexits.def").read_text()
    assert "--require-hashes -r /opt/requirements.txt" in container
    assert "From: python:3.11" in container
    others = [d for d in environment["dependencies"] if isinstance(d, str)]
    assert {re.split("[=<>]", d)[0] for d in others} <= {"python", "pip", "git", "make"}


def test_the_installed_packages_are_those_of_the_lock(root):
    from importlib import metadata

    pins = locked(root)
    for name in ("torch", "torchvision", "snakemake", "pydantic", "accelerate", "pandas"):
        assert metadata.version(name) == pins[name]


def test_versions_agree(root):
    import manyexits

    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    assert project["version"] == manyexits.__version__ == citation["version"]
    assert citation["license"] == project["license"] == "MIT"
