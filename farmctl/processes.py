"""What every long-running process of the farm does alike: logging, and dying with its parent."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys

#: ``prctl`` option: the signal to get when the parent dies.
PR_SET_PDEATHSIG = 1


def start_logging(verbose: bool = False) -> None:
    """To stderr, which the supervisor keeps in a file."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
        force=True,
    )
    for chatty in ("apscheduler", "alembic", "httpx", "httpcore", "asyncio", "sse_starlette"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def die_with_parent(parent: int) -> None:
    """Have the kernel end this process when process ``parent`` is gone; Linux alone."""
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:  # it went before the kernel was told
        os.kill(os.getpid(), signal.SIGTERM)
