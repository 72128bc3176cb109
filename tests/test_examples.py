"""The quickstart runs as the README says."""

import re
import subprocess
import sys


def test_the_quickstart_trains_and_answers_early(root):
    done = subprocess.run([sys.executable, root / "examples/quickstart.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    accuracy = float(re.search(r"accuracy (0\.\d+) on 450 test images", done.stdout).group(1))
    assert accuracy > 0.9
    shares = [int(n) for n in re.search(r"\[(.*)\]", done.stdout).group(1).split(",")]
    assert sum(shares) == 450
    assert shares[0] > 100
