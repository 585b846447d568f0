"""A child process that ends with its owner, whatever either is doing.

The kernel signals the child when the last writer of the lifeline pipe is gone.
(PR_SET_PDEATHSIG would follow the *thread* that started it, which may end earlier.)
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
import sys
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Child:
    """A running child and the channel to it."""

    def __init__(self, module: str) -> None:
        ours, theirs = socket.socketpair()
        lifeline_read, self._lifeline = os.pipe()
        paths = [str(ROOT), *sys.path]
        descriptors = (theirs.fileno(), lifeline_read)
        with theirs, os.fdopen(lifeline_read, "rb"):
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, descriptors)],
                stdin=subprocess.DEVNULL,
                pass_fds=descriptors,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            )
        self.channel = Connection(ours.detach())

    @property
    def pid(self) -> int:
        return self._process.pid

    def end(self) -> int:
        """End it; return its exit status. Call it once."""
        self._process.kill()
        status = self._process.wait()
        self.channel.close()
        os.close(self._lifeline)
        return status


def join_owner(arguments: list[str]) -> Connection:
    """In the child: the channel to the owner, once bound to live no longer than it."""
    channel, lifeline = map(int, arguments)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the owner's to deal with
    return Connection(channel)
