"""Fixtures shared by the tests."""

from pathlib import Path

import pytest

from manyexits import study

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def plan():
    """The paper's study."""
    return study.load(study.read([ROOT / "config.yaml"]))
