"""The demo, as `make demo` runs it, gives the same numbers wherever it runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from manyexits.files.provenance import sha256

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_two_demos_give_the_same_bits(tmp_path):
    found = []
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.yaml").write_text((ROOT / "config.yaml").read_text())
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile")]
        overlay = ["--configfile", str(ROOT / "workflow/overlays/demo.yaml")]
        done = subprocess.run(
            [*command, "--directory", str(folder), "-c2", "all", *overlay], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        kept = ("*.safetensors", "*.csv", "thresholds.json", "tables/*.*", "figures/*.*")  # the card tells times
        files = {path for pattern in kept for path in (folder / "results").rglob(pattern)}
        found.append({path.relative_to(folder): sha256(path) for path in files})
    assert len(found[0]) > 40
    assert found[0] == found[1]
