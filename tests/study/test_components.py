"""Components are found by file name, and their options are read without importing them."""

import ast
import inspect
import shutil
from pathlib import Path

import pytest

from manyexits.study import components
from manyexits.study.components import KINDS, nearest
from manyexits.study.plan import load


@pytest.mark.parametrize("kind", KINDS)
def test_options_read_from_the_source_are_those_of_the_function(kind):
    for name in components.names(kind):
        function = getattr(components.module(kind, name), KINDS[kind].entry)
        keywords = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
        fields = components.options(kind, name).model_fields
        assert list(fields) == [parameter.name for parameter in keywords]
        for parameter in keywords:
            required = parameter.default is inspect.Parameter.empty
            assert fields[parameter.name].is_required() == required
            assert required or fields[parameter.name].default == parameter.default


def test_files_that_begin_with_an_underscore_are_no_components():
    assert "_style" not in components.names("figures")
    assert "fig3" in components.names("figures")


def test_constants_are_read_from_the_source():
    assert components.constant("figures", "fig3", "READS", None) == "mode_connectivity"
    assert components.constant("figures", "fig3", "NOTHING", 7) == 7


def test_names_are_listed_nearest_first():
    assert nearest("jont", ["mixed", "joint", "disjoint"]).startswith("joint, ")
    assert nearest("a", []) == "none"
    assert nearest("mixed", ["mixed"]) == "mixed"


@pytest.mark.parametrize("count", [1, 39, 40, 41, 3000])
def test_of_many_names_the_rest_is_counted(count):
    told = nearest("net7", [f"net{number}" for number in range(count)])
    listed = told.split(" and ")[0].split(", ")
    assert len(listed) == min(count, 40)
    assert told.endswith(f" and {count - 40:,} others") == (count > 40)


def test_every_component_of_the_study_exists(plan):
    for entry in plan.study.datasets.values():
        assert entry.source in components.names("readers")
    assert set(plan.study.analyses) <= set(components.names("analysis"))


def test_every_table_and_figure_has_its_entry_in_the_study(plan):
    for kind, entries in (("tables", plan.study.tables), ("figures", plan.study.figures)):
        assert set(components.names(kind)) == {plan.runs.component(kind, name) for name in entries}


# -- files that are not what files of their kind are ------------------------------------------------------------------


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A function that writes one component into a copy of the folders and returns its name in sentences."""

    def forget() -> None:
        components._parse.cache_clear()
        components.options.cache_clear()

    for kind in KINDS.values():
        from_ = components._PACKAGE / kind.folder
        shutil.copytree(from_, tmp_path / kind.folder, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    monkeypatch.setattr(components, "_PACKAGE", tmp_path)
    forget()

    def write(kind: str, name: str, source: str | bytes) -> str:
        path = tmp_path / KINDS[kind].folder / f"{name}.py"
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        forget()
        return f"src/manyexits/{KINDS[kind].folder}/{name}.py"

    yield write
    forget()


def refused(call, *arguments) -> str:
    """The one sentence of a refusal."""
    with pytest.raises(ValueError, match=r"^.+$") as caught:
        call(*arguments)
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)
    return str(caught.value)


def without(kind: str, name: str, lost: str) -> str:
    """The source of a component without one function or constant."""
    tree = ast.parse((components._PACKAGE / KINDS[kind].folder / f"{name}.py").read_text())

    def is_it(node: ast.stmt) -> bool:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        return getattr(node, "name", None) == lost or any(getattr(each, "id", None) == lost for each in targets)

    rest = [node for node in tree.body if not is_it(node)]
    assert len(rest) == len(tree.body) - 1
    tree.body = rest
    return ast.unparse(tree)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copied_component_is_found_under_its_new_name(file, kind):
    first = components.names(kind)[0]
    expected = components.options(kind, first).model_fields
    file(kind, "another", (components._PACKAGE / KINDS[kind].folder / f"{first}.py").read_bytes())
    assert "another" in components.names(kind)
    assert components.options(kind, "another").model_fields.keys() == expected.keys()


def plain(kind: str) -> str:
    """A component without an option or constant that makes another unnecessary."""
    instead = {each for other in KINDS[kind].instead.values() for each in other}
    return next(
        name
        for name in components.names(kind)
        if not instead & {*components.options(kind, name).model_fields}
        and all(components.constant(kind, name, each, None) is None for each in instead)
    )


LACKS = [(kind, lost) for kind, about in KINDS.items() for lost in (about.entry, *about.functions, *about.constants)]


@pytest.mark.parametrize(("kind", "lost"), LACKS)
def test_a_file_that_lacks_something_is_refused_with_its_name(file, kind, lost):
    name = plain(kind)
    where = file(kind, name, without(kind, name, lost))
    about = KINDS[kind]
    what = f"assign the constant {lost}" if lost in about.constants else f"define the function {lost}"
    for call in (components.options, components.module):
        assert refused(call, kind, name) == f"{where} must {what}"
    assert refused(components.constant, kind, name, "NOTHING", None) == f"{where} must {what}"


def test_what_is_asked_for_of_each_kind():
    asked = {kind: {lost for each, lost in LACKS if each == kind} for kind in KINDS}
    assert {"load", "places", "TITLE"} <= asked["readers"]
    assert asked["analysis"] == {"analyse", "COLUMNS"}
    assert asked["criteria"] == {"scans", "TASKS"}
    assert asked["tables"] == {"table", "READS"}
    assert asked["figures"] == {"figure", "READS"}


def test_a_reader_states_its_side_or_has_the_option_pixels(file):
    texts = "".join(f"{key} = 'some'\n" for key in ("TITLE", "HOME", "LICENCE", "SIZE"))
    constants = f"{texts}SAMPLES = 1\n"
    source = constants + "def places(): ...\ndef load(root, hub, workers, *, pixels: int = 8): ...\n"
    where = file("readers", "mine", source)
    assert list(components.options("readers", "mine").model_fields) == ["pixels"]
    file("readers", "mine", source.replace("pixels", "points"))
    assert refused(components.options, "readers", "mine") == f"{where} must assign the constant SIDE"
    file("readers", "mine", "SIDE = 8\n" + source.replace("pixels", "points"))
    assert list(components.options("readers", "mine").model_fields) == ["points"]


@pytest.mark.parametrize(
    "source",
    [
        "",
        "build = 3\n",
        "class build:\n    pass\n",
        "async def build(outputs): ...\n",
        "if True:\n    def build(outputs): ...\n",
        "from manyexits.models.methods.sdn import build\n",
    ],
)
def test_an_entry_is_a_function_at_the_top_of_the_file(file, source):
    where = file("methods", "mine", source)
    assert refused(components.options, "methods", "mine") == f"{where} must define the function build"


def test_a_file_that_is_no_python_is_refused_with_the_line(file):
    where = file("methods", "mine", "TASKS = ()\n\ndef build(:\n    pass\n")
    for call in (components.options, components.module):
        assert refused(call, "methods", "mine") == f"{where} is no valid Python (line 3: invalid syntax); correct it"


def test_a_file_in_another_encoding_is_refused(file):
    where = file("methods", "mine", "# Wójcik\ndef build(outputs): ...\n".encode("latin-1"))
    assert refused(components.options, "methods", "mine") == f"{where} is no valid Python (it is no UTF-8); correct it"


def test_an_option_without_a_type_is_refused(file):
    where = file("methods", "mine", "def build(outputs, *, depth: int = 0, width=3): ...\n")
    assert (
        refused(components.options, "methods", "mine") == f"{where}: the option width of build has no type; annotate it"
    )


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("depth: np.ndarray", "name 'np' is not defined"),
        ("depth: int[0]", "type 'int' is not subscriptable"),
        ("depth: Annotated[int]", "at least two arguments"),
        ("depth: int = DEPTH", "malformed node"),
        ("depth: list = list()", "malformed node"),
        ("depth: dict = {[]: 1}", "unhashable type"),
    ],
)
def test_an_option_that_cannot_be_read_is_refused_with_the_remedy(file, option, reason):
    where = file("methods", "mine", f"DEPTH = 3\ndef build(outputs, *, {option}): ...\n")
    said = refused(components.options, "methods", "mine")
    assert said.startswith(f"{where}: the option depth of build cannot be read without importing the file (")
    assert reason in said
    assert "; use built-in types, Literal and Annotated[…, Field(…)], literal defaults" in said


@pytest.mark.parametrize("annotation", ["str.nothing", "3", "len", "'torch.Tensor'", "Literal[1 / 0]"])
def test_an_option_with_what_is_no_type_is_refused_with_the_name_of_the_file(file, annotation):
    where = file("methods", "mine", f"def build(outputs, *, depth: {annotation} = 1): ...\n")
    assert where in refused(lambda: components.options("methods", "mine")(depth=1))


def test_a_component_without_options_takes_none(file):
    file("methods", "mine", "def build(outputs): ...\n")
    model = components.options("methods", "mine")
    assert model.model_fields == {}
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        model(depth=3)


@pytest.mark.parametrize("arguments", ["depth=3", "depth: int = 3, *, width: int = 4", "**options"])
def test_an_option_that_does_not_stand_behind_the_star_is_refused(file, arguments):
    where = file("methods", "mine", f"def build(outputs, {arguments}): ...\n")
    said = refused(components.options, "methods", "mine")
    assert said == f"{where}: build takes outputs, then options behind a *, each by its name"


def test_options_have_their_defaults_and_their_bounds(file):
    options = "depth: Annotated[int, Field(ge=1)], kind: Literal['a'] = 'a'"
    file("methods", "mine", f"def build(outputs, *, {options}): ...\n")
    model = components.options("methods", "mine")
    assert model(depth=1).model_dump() == {"depth": 1, "kind": "a"}
    for wrong in ({}, {"depth": 0}, {"depth": 1, "kind": "b"}):
        with pytest.raises(ValueError, match="1 validation error"):
            model(**wrong)


def test_constants_are_literals_with_or_without_a_type(file):
    source = "A = B = (1, 'x')\nC: dict = {'k': [None]}\nD: int\nE = len('x')\ndef build(outputs): F = 1\n"
    where = file("methods", "mine", source)
    found = {key: components.constant("methods", "mine", key, "default") for key in "ABCDF"}
    assert found == {"A": (1, "x"), "B": (1, "x"), "C": {"k": [None]}, "D": "default", "F": "default"}
    said = refused(components.constant, "methods", "mine", "E", None)
    assert said == f"{where}: E must be a literal, since it is read without importing"


def test_a_constant_that_is_no_value_is_refused(file):
    where = file("methods", "mine", "PHASES = {[]: 1}\ndef build(outputs): ...\n")
    assert where in refused(components.constant, "methods", "mine", "PHASES", ())


# -- what a component says of itself ----------------------------------------------------------------------------------


def test_a_method_without_a_loss_of_its_own_has_the_description_of_the_plain_one(file):
    plain = "The phase's loss from the losses of the exits that can learn: their plain mean [C]."
    assert components.docstring("methods", "sdn", "loss") == plain
    assert components.docstring("methods", "pbee", "loss") != plain
    file("methods", "mine", 'def build(outputs): ...\ndef loss():\n    """Mine.\n\n    More.\n    """\n')
    assert components.docstring("methods", "mine", "loss") == "Mine."


CONSTANTS = [(kind, key) for kind, about in KINDS.items() for key in (*about.constants, *about.further, "VERSION")]
WRONG = [None, "", " ", 0, -1, 1.5, "text", True, (), [], ("x",), ("x", "x"), (1,), {}, {"a": 1}, ["classification"]]
RIGHT = {
    "SIDE": [8],
    "TEXTS": [1, 2],
    "TOKENS": [1, 512],
    "LEAST": [1, 3],
    "MOST": [1, 3],
    "VERSION": [1, 2],
    "SAMPLES": [None, 5],
    "OWN": [True, False],
    "PAIRS": [True, False],
    "TEACHES": [True, False],
    "SCHEDULED": [True, False],
    "COLUMNS": [("x",), ("x", "y")],
    "TEXT": [("x",), ("x", "y")],
    "RELEASES": [("x",), ("x", "y")],
    "LEFT_OUT": [("x",), ("x", "y")],
    "BESIDE": [("x",), ("x", "y")],
    "TASKS": [("classification",), ("regression", "classification")],
}


@pytest.mark.parametrize(("kind", "key"), CONSTANTS)
def test_a_constant_of_another_type_is_refused_without_importing_the_file(file, kind, key):
    name = plain(kind)
    path = components._PACKAGE / KINDS[kind].folder / f"{name}.py"
    source, right = path.read_text(), RIGHT.get(key, ["text"])
    for value in right:
        file(kind, name, f"{source}\n{key} = {value!r}\n")
        assert components.constant(kind, name, key, "default") == value
    for value in WRONG:
        if not any(type(value) is type(each) and value == each for each in right):
            where = file(kind, name, f"{source}\n{key} = {value!r}\n")
            for call in (components.options, components.module):
                said = refused(call, kind, name)
                assert said == f"{where}: {key} must be {components.CONSTANTS[key][0]}, not {value!r}"
    where = file(kind, name, f"{source}\n{key} = len('x')\n")
    assert refused(components.options, kind, name).startswith(f"{where}: {key} must be a literal")


SIGNATURES = {
    "too few": "",
    "too many": "{given}, another",
    "as many as come": "*{first}",
    "by name alone": "*, {named}",
    "all by name": "{given}, **{first}",
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", SIGNATURES)
def test_the_entry_takes_what_its_kind_is_given(file, kind, how):
    about, name = KINDS[kind], components.names(kind)[0]
    tree = ast.parse((components._PACKAGE / about.folder / f"{name}.py").read_text())
    given = ", ".join(about.given)
    new = SIGNATURES[how].format(given=given, first="more", named=", ".join(f"{each}: int" for each in about.given))
    (entry,) = [node for node in tree.body if getattr(node, "name", None) == about.entry]
    entry.args = ast.parse(f"def f({new}): ...").body[0].args
    where = file(kind, name, ast.unparse(tree))
    expected = f"{where}: {about.entry} takes {given}, then options behind a *, each by its name"
    assert refused(components.options, kind, name) == expected


@pytest.mark.parametrize("kind", KINDS)
def test_the_names_of_what_the_entry_is_given_are_its_own(file, kind):
    about, name = KINDS[kind], components.names(kind)[0]
    source = (components._PACKAGE / about.folder / f"{name}.py").read_text()
    tree = ast.parse(source)
    (entry,) = [node for node in tree.body if getattr(node, "name", None) == about.entry]
    for index, argument in enumerate(entry.args.args):
        argument.arg = f"other{index}"
    before = list(components.options(kind, name).model_fields)
    file(kind, name, ast.unparse(tree))
    assert list(components.options(kind, name).model_fields) == before


@pytest.mark.parametrize(
    ("places", "told"),
    [
        ("def places(): ...", "the option path"),
        ("def places(path, more): ...", "the option path"),
        ("def places(*path): ...", "the option path"),
        ("def places(*, path): ...", "the option path"),
        ("def places(path, *, more): ...", "the option path"),
        ("def places(path): ...", None),
        ("def places(folder='x'): ...", None),
    ],
)
def test_places_takes_the_path_that_the_reader_has(file, places, told):
    source = (components._PACKAGE / "data/readers/tinyimagenet.py").read_text()
    where = file("readers", "mine", f"{source}\n{places}\n")
    if told is None:
        assert components.options("readers", "mine")
    else:
        assert refused(components.options, "readers", "mine") == f"{where}: places takes {told}"


@pytest.mark.parametrize(("places", "fits"), [("places()", True), ("places(path='')", True), ("places(path)", False)])
def test_places_of_a_reader_without_a_path_can_be_called_without_one(file, places, fits):
    source = (components._PACKAGE / "data/readers/digits.py").read_text()
    where = file("readers", "mine", f"{source}\ndef {places}: ...\n")
    if fits:
        assert components.options("readers", "mine")
    else:
        assert refused(components.options, "readers", "mine") == f"{where}: places takes nothing"


@pytest.mark.parametrize(
    ("section", "kind", "taken"),
    [("datasets", "readers", "licence"), ("backbones", "backbones", "weights"), ("methods", "methods", "kind")],
)
def test_an_option_does_not_take_the_name_of_its_entrys_keys(file, raw, section, kind, taken):
    entry = {"datasets": "digits", "backbones": "tiny", "methods": "sdn"}[section]
    name = next(iter(components.names(kind))) if kind != "readers" else "digits"
    about = KINDS[kind]
    source = (components._PACKAGE / about.folder / f"{name}.py").read_text()
    tree = ast.parse(source)
    (function,) = [node for node in tree.body if getattr(node, "name", None) == about.entry]
    function.args.kwonlyargs.append(ast.arg(taken, ast.Name("str")))
    function.args.kw_defaults.append(ast.Constant("x"))
    where = file(kind, "mine", ast.unparse(tree))
    raw[section][entry] = {{"datasets": "source", "backbones": "family", "methods": "kind"}[section]: "mine"}
    raw["datasets"]["digits"]["classes"] = 10
    with pytest.raises(ValueError, match=f"{where}: the option {taken} has the name of a key that every entry"):
        load(raw)


@pytest.mark.parametrize("name", ["json", "copy", "model_fields"])
def test_an_option_whose_name_pydantic_needs_is_refused_without_a_warning(file, name):
    where = file("methods", "mine", f"def build(outputs, *, {name}: int = 1): ...\n")
    said = refused(components.options, "methods", "mine")
    assert said.startswith(f"{where}: the options of build cannot be read without importing the file (")


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_no_option_is_infinite_whatever_its_file_says_of_its_range(file, value):
    file("methods", "mine", "def build(outputs, *, rate: float = 1.0, rates: list[float] = []): ...\n")
    for stated in ({"rate": value}, {"rates": [value]}):
        with pytest.raises(ValueError, match="finite"):
            components.options("methods", "mine")(**stated)


@pytest.mark.parametrize("source", ["", "def nothing(): ...\n"])
def test_a_description_that_nobody_gives_is_refused(file, source):
    where = file("methods", "mine", "def build(outputs): ...\n" + source)
    said = refused(components.docstring, "methods", "mine", "nothing")
    assert said == f"{where} must define the function nothing with a docstring"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", [components.module, components.options])
@pytest.mark.parametrize("name", ["nonsense", "__init__", "", "../__init__"])
def test_an_unknown_name_is_refused_with_those_that_there_are(call, kind, name):
    said = refused(call, kind, name)
    assert said.startswith(f"there is no {name!r} among the {kind}; valid names: ")
    assert sorted(said.split("valid names: ")[1].split(", ")) == components.names(kind)


def test_a_name_is_known_only_while_its_file_is_there(file):
    where = Path(file("methods", "mine", "def build(outputs): ...\n")).name
    assert components.options("methods", "mine").model_fields == {}
    (components._PACKAGE / "models/methods" / where).unlink()
    assert "mine" not in components.names("methods")
