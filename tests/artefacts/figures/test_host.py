"""A user's machine changes no byte of a figure or table: a notebook's backend, a matplotlibrc, a locale."""

import itertools
import json
import os
import subprocess
import sys

import pytest

from manyexits.study import resolve
from manyexits.study.plan import load

RCS = {
    "text through LaTeX": "text.usetex: True\n",
    "a dark face": "figure.facecolor: black\naxes.facecolor: black\ntext.color: white\nimage.cmap: jet\n",
    "another font and size": "font.family: serif\nfont.size: 20\nsavefig.dpi: 30\naxes.formatter.use_locale: True\n",
    "a style that is broken": "axes.grid: perhaps\nno.such.key: 1\n",
    "no UTF-8": "font.family: Büro\n",
}
HOSTS = {
    "a notebook": {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    "a backend that is not there": {"MPLBACKEND": "no_such_backend"},
    "a German locale": {"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8", "LC_NUMERIC": "de_DE.UTF-8"},
    "no locale": {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0"},
    "another time zone": {"TZ": "Asia/Kolkata"},
}


TOGETHER = list(itertools.zip_longest(HOSTS, RCS, fillvalue=""))
"""A host and a matplotlibrc at a time, each once."""


@pytest.fixture(scope="module")
def drawn(root, tmp_path_factory):
    """A function that draws a figure and a table of the committed records in a process with such an environment."""
    folder = tmp_path_factory.mktemp("host")
    plan = load(resolve.read([root / "config.yaml", root / "workflow/overlays/workstation.yaml"]))

    def files(job, kind: str) -> list[str]:
        return [str(root / "docs/workstation" / plan.below(file)) for file in job.reads.get(kind, [])]

    def draw(host: str = "", rc: str = "") -> dict[str, bytes]:
        place = folder / f"{host}+{rc}".replace(" ", "_")
        place.mkdir()
        (place / "matplotlibrc").write_text(RCS.get(rc, ""), "latin-1")
        changed = HOSTS.get(host, {}) | ({"MATPLOTLIBRC": str(place)} if rc else {})
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("MPL", "MATPLOTLIB", "LC_"))
        }
        for verb, what, suffix in (("figure", "budget_curves", "pdf"), ("table", "table1", "csv")):
            job = plan.job(verb, name=what)
            command = [sys.executable, "-m", "manyexits", verb, "--settings", json.dumps(job.settings)]
            command += ["--inputs", *files(job, "rows")]
            command += ["--comparisons", *files(job, "comparisons")] if verb == "table" else []
            done = subprocess.run(
                [*command, "--output", str(place / f"{what}.{suffix}")],
                env=environment | changed,
                cwd=place,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
        (place / "matplotlibrc").unlink()
        return {path.name: path.read_bytes() for path in place.iterdir()}

    return draw


@pytest.fixture(scope="module")
def plain(drawn):
    return drawn()


@pytest.mark.parametrize(("host", "rc"), TOGETHER)
def test_the_host_changes_no_byte(plain, drawn, host, rc):
    found = drawn(host, rc)
    assert len(found) == 3 + 4
    assert [name for name in plain if found[name] != plain[name]] == []
