"""Progress: a bar on a terminal, plain lines elsewhere."""

import os
import pty
import subprocess
import sys

CODE = """
from manyexits.training.console import Console
console = Console()
console.step("heads", 3, 5, 10)
console.line("epoch 3 [done]")
console.close()
"""


def test_elsewhere_there_are_plain_lines():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stderr == "epoch 3 [done]\n"
    assert done.stdout == ""


def test_on_a_terminal_there_is_a_bar():
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", CODE], stderr=theirs, check=True, env=os.environ | {"TERM": "xterm"})
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 4096):
            shown += part
    except OSError:  # the terminal has been closed and is read to its end
        pass
    finally:
        os.close(ours)
    assert b"epoch 3 [done]" in shown
    assert b"\x1b[" in shown
    assert "━".encode() in shown
