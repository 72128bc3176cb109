"""Tables and figures of one kind stand side by side, under names of their own."""

import pytest

from manyexits.artefacts import captions
from manyexits.study import components
from manyexits.study.plan import load
from manyexits.study.refusals import StudyError

KINDS = [(kind, name) for kind in ("tables", "figures") for name in components.names(kind)]


@pytest.fixture
def two(raw):
    """A function: tables or figures, and a name -> a plan with an entry of that name, and `second` of its kind."""

    def make(of, name, **options):
        raw[of] = {name: {"experiments": ["small"]}, "second": {"kind": name, "experiments": ["small"]} | options}
        raw["tables" if of == "figures" else "figures"] = {}
        # which all kinds are defined for
        raw["experiments"]["small"] |= {"regimes": ["disjoint", "joint"], "snapshots": [0, 1]}
        return load(raw)

    return make


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_the_settings_are_those_of_the_kind(two, kind, name):
    plan = two(kind, name)
    first, second = (plan.job(kind.removesuffix("s"), name=each) for each in (name, "second"))
    assert first.settings == second.settings
    assert first.settings["name"] == name  # as in a study that knows no kinds
    assert first.reads == second.reads
    assert not set(first.writes) & set(second.writes)
    assert all(f"/{kind}/second." in file for file in second.writes)


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_its_caption_is_its_own_or_that_of_its_kind(two, kind, name, root, tmp_path):
    plan, place = two(kind, name), tmp_path / captions.CAPTIONS / kind
    place.mkdir(parents=True)
    told = captions.caption(root, plan, kind, "second")
    assert told == captions.caption(root, plan, kind, name)
    assert told.startswith(f"**{captions.title(root, plan, kind, 'second')}**")
    (place / "second.rst").write_text("**Mine**\n")
    assert captions.title(tmp_path, plan, kind, "second") == "Mine"
    assert captions.title(tmp_path, plan, kind, name) == components.about(kind, name).splitlines()[0]


def test_its_options_are_those_of_the_kind(two):
    plan = two("tables", "table1", protocols=["paper"])
    assert plan.job("table", name="second").settings["options"] == {"protocols": ["paper"], "best": True}
    assert plan.job("table", name="table1").settings["options"] == {"best": True}


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"kind": "tabel1"}, "tables.second: there is no 'tabel1' among the tables; valid names: table1"),
        ({"kind": "fig3"}, "tables.second: there is no 'fig3' among the tables; valid names: "),
        ({"protocol": ["paper"]}, "tables.second: unknown key 'protocol'; valid keys: protocols"),
        (
            {"protocols": ["own"]},
            "tables.second.protocols.0: Input should be 'shared', 'paper', 'geometric' or 'temperature'",
        ),
    ],
)
def test_what_its_kind_does_not_know_is_refused(two, stated, said):
    with pytest.raises(StudyError) as refused:
        two("tables", "table1", **stated)
    assert str(refused.value).startswith(said)
