"""Every kind of file is read by one function, which names the file and what is wrong with it."""

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from safetensors.numpy import save

from manyexits.files import reading


class Shape(BaseModel):
    cost: int
    exits: list[dict[str, int]]


def npy(values):
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


WHOLE = {
    "text": "Größe\n".encode(),
    "json": json.dumps({"cost": 7, "exits": [{"cost": 1}]}).encode(),
    "csv": b'a,b\n1,"two\nlines"\n,\n',
    "npy": npy(np.arange(6).reshape(2, 3)),
    "mapped": npy(np.arange(6).reshape(2, 3)),
    "numpy": save({"x": np.arange(3), "y": np.zeros((0, 2))}, {"settings": "0f"}),
    "pt": save({"x": np.arange(3, dtype=np.float32)}, {"settings": "0f"}),
}
READ = {
    "text": reading.text,
    "json": lambda path: reading.json_as(path, Shape),
    "csv": lambda path: reading.rows(path, ("a", "b")),
    "npy": reading.array,
    "mapped": lambda path: reading.array(path, mapped=True),
    "numpy": lambda path: reading.tensors(path, "numpy"),
    "pt": lambda path: reading.tensors(path, "pt"),
}


def test_whole_files_are_read(tmp_path):
    found = {}
    for kind, content in WHOLE.items():
        (tmp_path / kind).write_bytes(content)
        found[kind] = READ[kind](tmp_path / kind)
    assert found["text"] == "Größe\n"
    assert found["json"] == Shape(cost=7, exits=[{"cost": 1}])
    assert found["csv"] == [{"a": "1", "b": "two\nlines"}, {"a": "", "b": ""}]
    assert found["npy"].tolist() == found["mapped"].tolist() == [[0, 1, 2], [3, 4, 5]]
    tensors, about = found["numpy"]
    assert (tensors["x"].tolist(), tensors["y"].shape, about) == ([0, 1, 2], (0, 2), {"settings": "0f"})
    assert found["pt"][0]["x"].tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("line", ["", "1", "1,2,3"])
def test_a_row_that_is_longer_or_shorter_is_refused(tmp_path, line):
    (tmp_path / "a.csv").write_text(f"a,b\n{line}\n1,2\n")
    with pytest.raises(ValueError, match=r"a.csv is no valid CSV \(a row has \d values, not 2\); make it again"):
        reading.rows(tmp_path / "a.csv", ("a", "b"))


@pytest.mark.parametrize("kind", READ)
def test_a_file_that_is_not_there_a_folder_and_an_empty_file_are_named(kind, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty").touch()
    for name in ("nothing", "folder") if kind == "text" else ("nothing", "folder", "empty"):
        with pytest.raises(ValueError, match=f"{name} .*; make it again$"):
            READ[kind](tmp_path / name)


@pytest.mark.parametrize("kind", READ)
@given(data=st.data())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_bytes_are_read_or_refused_in_one_line_with_the_files_name(kind, tmp_path, data):
    content = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(content)))
        content[start : start + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=8))
    path = tmp_path / "damaged"
    path.write_bytes(content)
    said = ""
    try:
        READ[kind](path)
    except ValueError as error:
        said = str(error)
    assert said == "" or (said.startswith(str(path)) and said.endswith("; make it again") and said.isprintable())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "Input should be a valid dictionary or instance of Shape"),
        ("{}", "cost: is missing"),
        ('{"cost": "x", "exits": []}', "cost: Input should be a valid integer"),
        ('{"cost": 1, "exits": [{"cost": null}]}', "exits.0.cost: Input should be a valid integer"),
        ("[" * 100_000, "valid JSON"),
        ("{", "valid JSON"),
    ],
)
def test_json_of_another_shape_is_told_by_its_key(content, said, tmp_path):
    path = tmp_path / "costs.json"
    path.write_text(content)
    with pytest.raises(ValueError, match="costs.json is no .*" + said):
        reading.json_as(path, Shape)


@pytest.mark.parametrize(
    ("content", "said"), [("b,a\n", "its columns are b, a, not a, b"), ("a,b\n1\n", "a row has 1 values, not 2")]
)
def test_a_table_with_other_columns_or_a_short_row_is_refused(content, said, tmp_path):
    (tmp_path / "rows.csv").write_text(content)
    with pytest.raises(ValueError, match=said):
        reading.rows(tmp_path / "rows.csv", ("a", "b"))


@given(st.lists(st.tuples(st.text(), st.text())))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_in_a_table_comes_back(tmp_path, values):
    path = tmp_path / "any.csv"
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("a", "b"), *values])
    except UnicodeEncodeError:
        return
    assert [tuple(row.values()) for row in reading.rows(path, ("a", "b"))] == values
