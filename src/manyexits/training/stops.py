"""What asks a training to save itself and end."""

import signal

SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,  # both from the keyboard
    signal.SIGHUP,  # its terminal has gone
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGXCPU,  # the three by which batch systems warn of a limit
)


def heeded() -> list[signal.Signals]:
    """Those that are not ignored here, as nohup has it of a terminal's end."""
    return [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
