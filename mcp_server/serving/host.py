"""The host: the program that started this server and speaks to it over stdin and stdout.

A server that outlives its host is the most reported fault of MCP servers. This one ends when its
stdin or its stdout closes, at SIGINT, SIGTERM and SIGHUP, and when its host dies while another
process holds its stdin: calls that are under way are cancelled and the services are closed in
order; what is not done after `GRACE_SECONDS` is cut off. Child processes see their pipes close
and end then.
"""

import logging
import os
import select
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

GRACE_SECONDS = 2.0
"""How long closing may take; hosts kill after about as much."""
DRAIN_SECONDS = 0.5
"""How long calls may go on after stdin has closed: `printf … | seekling-mcp` is answered."""

_WATCH_SECONDS = 0.5
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Host:
    """Who started us, and our ends of what connects us."""

    stdin: int
    """File descriptor to read the host's messages from."""
    stdout: int
    """File descriptor that carries nothing but protocol."""
    pid: int


def meet_host() -> Host:
    """Take stdin and stdout for the protocol alone, for the rest of this process.

    From now on file descriptor 0 is empty, and 1 leads to stderr: nothing that a library or a
    child prints reaches the host as a message, also if it stands in a buffer now or at the end.
    """
    host = Host(stdin=os.dup(0), stdout=os.dup(1), pid=os.getppid())
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return host


class HostWatch:
    """Notices in a thread of its own that the server has to end, and sees to it that it does.

    The thread sees signals and closed pipes also while the event loop is kept busy.
    """

    def __init__(self, host: Host, close: Callable[[], None]) -> None:
        """Start to watch; the signals are handled from now on.

        Args:
            host: whom to watch.
            close: asks the server to end in order; called in a thread of its own, at most once.
        """
        self._host = host
        self._close = close
        self._ending = threading.Lock()
        self._is_ending = False
        self.exit_code = 0
        """Of the process: 128 and the number of a signal, as shells say it; 0 without one."""
        self._signals, told = os.pipe()
        os.set_blocking(told, False)
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, _leave_it_to_the_watch)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, name="host-watch", daemon=True).start()

    def end(self, reason: str, *, exit_code: int = 0, after_seconds: float = 0.0) -> None:
        """End the process: in order if that works in time, else at once. The first call counts.

        Args:
            reason: why, for the log.
            exit_code: of the process.
            after_seconds: how long calls may still go on; the server then ends by itself.
        """
        with self._ending:
            if self._is_ending:
                return
            self._is_ending = True
        self.exit_code = exit_code
        _logger.info("ending: %s", reason)
        cut_off = threading.Timer(after_seconds + GRACE_SECONDS, os._exit, (exit_code,))
        cut_off.daemon = True
        cut_off.start()
        if not after_seconds:
            threading.Thread(target=self._close, name="host-close", daemon=True).start()

    def _watch(self) -> None:
        watched = select.poll()
        watched.register(self._signals, select.POLLIN)
        watched.register(self._host.stdin, 0)  # 0: closed ends are always told
        watched.register(self._host.stdout, 0)
        while True:
            for descriptor, _ in watched.poll(_WATCH_SECONDS * 1_000):
                if descriptor == self._signals:
                    self._signalled(os.read(self._signals, 1)[0])
                    continue
                watched.unregister(descriptor)
                if descriptor == self._host.stdout:
                    self.end("stdout was closed")
                else:
                    # What was written before is still to be read and answered.
                    self.end("stdin was closed", after_seconds=DRAIN_SECONDS)
            if os.getppid() != self._host.pid:
                self.end("the host is gone")

    def _signalled(self, number: int) -> None:
        if number not in _SIGNALS:
            return
        if self._is_ending:
            os._exit(128 + number)  # asked for a second time
        self.end(signal.Signals(number).name, exit_code=128 + number)


def _leave_it_to_the_watch(_signal: int, _frame: object) -> None:
    """The kernel's handler has told the watch already."""
