"""Lead the process group of an engine: `python group_leader.py --parent PID COMMAND…`.

An engine starts processes of its own that can outlive it and keep the GPU's memory. So it runs
under this one, which is started in a session of its own, by its path, and imports nothing of this
project. It ends with the engine's exit code. When it is told to stop, or when the process that
started it is gone, even killed, it ends the engine politely and after 5 seconds the whole group.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

GRACE_SECONDS = 5.0
_CHECK_SECONDS = 0.2


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line: `parent`, and `command` with its arguments."""
    parser = argparse.ArgumentParser(prog="group_leader")
    parser.add_argument("--parent", type=int, required=True, help="end when this process ends")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command until it ends, SIGTERM, or the end of the parent process."""
    args = parse_args(argv)
    is_told_to_stop = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal is_told_to_stop
        is_told_to_stop = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        engine = subprocess.Popen(args.command, stdin=subprocess.DEVNULL)  # noqa: S603 - ours
    except OSError as exc:
        sys.exit(f"{args.command[:1]}: {exc}")
    while engine.poll() is None:
        if is_told_to_stop or os.getppid() != args.parent:
            _end(engine)
        time.sleep(_CHECK_SECONDS)
    # A negative code is the signal that ended it; shells say it so.
    sys.exit(engine.returncode if engine.returncode >= 0 else 128 - engine.returncode)


def _end(engine: "subprocess.Popen[bytes]") -> None:
    """End the engine, and with the group this process, too, when processes are left over."""
    # As Ctrl-C would: at a SIGTERM, SGLang 0.5.23 looks every 5 seconds only.
    engine.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        engine.wait(GRACE_SECONDS)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
