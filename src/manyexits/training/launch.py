"""Start the ranks of one training: one process for each device, all on this machine.

Their number is the recipe's; nothing that a scheduler puts into the environment has a say in it.
"""

import logging
import os
import tempfile

from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, get_error_handler

from manyexits.training import stops

SAVING_S = 30
"""Time that ranks have to save themselves after a signal; Slurm gives as much (KillWait)."""
NO_HEARTBEAT = f"--rdzv-conf=keep_alive_interval={10**9}"
"""Seconds between signs of life, which only machines need that find one another; the thread of torch that gives them
leaves a traceback where a signal ends the launcher meanwhile."""
ENVIRONMENT = "PET_"
"""By variables of this prefix a cluster's operator answers torch's launcher for us."""


def launch(ranks: int, arguments: list[str]) -> int:
    """Run `manyexits` with these arguments in several ranks.

    Signals that ask to stop are handed on; ranks whose sibling has failed are ended.

    Returns:
        0, what the first rank to fail returned, or 128 + n after signal n, as a shell does.

    Raises:
        ValueError: with the sentence that a rank has left by `tell`.
    """
    for name in [name for name in os.environ if name.startswith(ENVIRONMENT)]:
        del os.environ[name]
    signals = ",".join(number.name for number in stops.heeded())
    logging.disable()  # torch's log says again, in thirty lines, what the ranks say themselves
    with tempfile.TemporaryDirectory() as log:
        options = ["--standalone", f"--nproc-per-node={ranks}", f"--shutdown-timeout={SAVING_S}", f"--log-dir={log}"]
        options += [f"--signals-to-handle={signals}", NO_HEARTBEAT]
        try:
            run.run(run.parse_args([*options, "-m", "manyexits", *arguments]))
        except ChildFailedError as error:
            _, failure = error.get_first_failure()
            told = failure.error_file_data["message"]
            if isinstance(told, dict):
                raise ValueError(told["message"].partition(": ")[2]) from None
            return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
        except SignalException as signal:
            return 128 + signal.sigval
    return 0


def tell(error: Exception) -> None:
    """From a rank: leave an error for `launch`, which says it once for all ranks."""
    get_error_handler().record_exception(error)
