"""A real Slurm on this machine: one node with eight A100 that are plain files. Read top to bottom it is a recipe.

Slurm counts and limits such GPUs, but no process sees one: trainings run on the CPU, their ranks talk through gloo.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol")
PATH = "/usr/sbin:/usr/bin"
SYSTEM = Path("/etc/slurm")
"""Where Slurm's commands look for their files: Snakemake's executor strips SLURM_CONF from the environment of jobs."""

SLURM_CONF = """\
ClusterName=manyexits
SlurmctldHost={host}
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
MinJobAge=3600
NodeName={host} CPUs=32 RealMemory=20000 Gres=gpu:a100:8
PartitionName=all Nodes={host} Default=YES
"""


@contextlib.contextmanager
def running(folder: Path) -> Iterator[None]:
    """Slurm while the block runs; all of its files lie in the folder, only two links outside of it.

    Fails where Slurm is not installed, and where this machine has a Slurm of its own.
    """
    if missing := [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]:
        pytest.fail(f"{missing[0]} is missing; as root: apt-get install slurm-wlm munge", pytrace=False)
    links = [SYSTEM / name for name in ("slurm.conf", "gres.conf")]
    if taken := [link for link in links if link.exists() or link.is_symlink()]:
        pytest.fail(f"{taken[0]} is there already; a Slurm of this machine's own is left alone", pytrace=False)

    host = socket.gethostname().split(".")[0]
    folder.chmod(0o755)  # munged insists on a socket that all users can reach
    for name in ("state", "spool"):
        (folder / name).mkdir()
    for number in range(8):
        (folder / f"gpu{number}").touch()
    (folder / "slurm.conf").write_text(SLURM_CONF.format(host=host, folder=folder))
    (folder / "gres.conf").write_text(f"Name=gpu Type=a100 File={folder}/gpu[0-7]\n")
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    own = {name: f"{folder}/munge.{name}" for name in ("socket", "key", "log", "pid", "seed")}

    with contextlib.ExitStack() as undo:
        for link in links:
            link.symlink_to(folder / link.name)
            undo.callback(link.unlink)
        told = [f"--socket={own.pop('socket')}", *(f"--{name}-file={path}" for name, path in own.items())]
        _start(undo, folder, "munged", "--foreground", *told)
        _wait(lambda: (folder / "munge.socket").exists(), "munged")
        _start(undo, folder, "slurmctld", "-D")
        _start(undo, folder, "slurmd", "-D")
        _wait(lambda: "idle" in _said("sinfo", "--noheader", "--format=%T"), "slurmd")
        undo.callback(_wait, lambda: not _said("squeue", "--noheader"), "scancel")
        undo.callback(_said, "scancel", "--user=root")
        yield


def _start(undo: contextlib.ExitStack, folder: Path, name: str, *options: str) -> None:
    """A daemon in a session of its own, ended by its id when the block ends; what it says is in `<name>.out`."""
    with (folder / f"{name}.out").open("wb") as out:
        command = [shutil.which(name, path=PATH), *options]
        daemon = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    undo.callback(daemon.wait, timeout=30)
    undo.callback(daemon.terminate)


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout


def _wait(ready: Callable[[], bool], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            pytest.fail(f"{what} was not ready within {seconds:.0f} s")
        time.sleep(0.2)
