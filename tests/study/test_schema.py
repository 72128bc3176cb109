"""The committed JSON schema is the one that the models make, and it knows the configurations as valid."""

import json
import re

import jsonschema
import pytest
import yaml

from manyexits.study.schema import schema


@pytest.fixture(scope="module")
def committed(root):
    return json.loads((root / "workflow/config.schema.json").read_text())


def test_the_committed_schema_is_up_to_date(committed):
    assert committed == schema(), "run: manyexits schema > workflow/config.schema.json"


@pytest.mark.parametrize("path", ["config.yaml", "workflow/overlays/demo.yaml"])
def test_configurations_are_valid_under_the_schema(committed, root, path):
    # editors read 5e-4 as a number (YAML 1.2), PyYAML as text unless it has a point (YAML 1.1)
    text = re.sub(r"(\d)e-", r"\1.0e-", (root / path).read_text())
    jsonschema.validate(yaml.safe_load(text), committed)


@pytest.mark.parametrize(
    "change", [{"sedes": [1]}, {"recipes": {"a": {"lr": "fast"}}}, {"recipes": {"a": {"rate": 1}}}]
)
def test_mistakes_are_seen_by_the_schema(committed, change):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(change, committed)


def test_null_removes_a_key_under_the_schema(committed):
    jsonschema.validate({"recipes": {"a": None}, "tables": {"table1": None}}, committed)
