"""A solver program run on given cores: its time, its memory and the cycles it prints.

It takes ``-n FIRST_NONCE -r GRAPHS -t THREADS -s`` and prints, as J. Tromp's solvers do, what
it looks for (``42-cycle on cuckaroo29(``), then ``nonce N k0 …`` and ``Time: … ms`` for each
graph and, with ``-s``, a ``Solution`` line with the edges of each cycle in hexadecimal. Its
times are read off both clocks as ``Time:`` comes: what it does before its first graph does not
count.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

TITLE = re.compile(r"Looking for (\d+)-cycle on (\w+?)(\d+)\(")
NONCE = re.compile(r"nonce (\d+) k0")
BASELINE = re.compile(r"Baseline (\d+) kB")


@dataclass(frozen=True)
class Mark:
    """A moment of a program: both clocks, in seconds."""

    wall: float
    processor: float


@dataclass(frozen=True)
class Run:
    """What a program did. Graphs that warmed it up are left out of the times."""

    graphs: int
    wall_seconds: float
    processor_seconds: float
    """Of all threads."""
    peak_bytes: int
    """Of the process, less what ours held before it had a solver."""
    cycles: frozenset[tuple[int, tuple[int, ...]]]
    """Each with its nonce, over all graphs."""

    @property
    def wall_seconds_each(self) -> float:
        return self.wall_seconds / self.graphs

    @property
    def processor_seconds_each(self) -> float:
        return self.processor_seconds / self.graphs


@dataclass
class _Reading:
    """Lines of a program as they come."""

    pid: int
    ends: list[Mark]
    cycles: set[tuple[int, tuple[int, ...]]]
    nonce: int = -1
    baseline_bytes: int = 0
    peak_bytes: int = 0

    def take(self, line: str) -> None:
        if line.startswith("nonce "):
            if found := NONCE.match(line):
                self.nonce = int(found[1])
        elif line.startswith("Time: "):
            self.ends.append(self._mark())
            self.peak_bytes = _peak_bytes(self.pid) or self.peak_bytes
        elif line.startswith("Solution "):
            self.cycles.add((self.nonce, tuple(int(e, 16) for e in line.split()[1:])))
        elif found := BASELINE.match(line):
            self.baseline_bytes = int(found[1]) << 10

    def _mark(self) -> Mark:
        return Mark(time.perf_counter(), time.clock_gettime(_processor_clock(self.pid)))


def run(command: Sequence[str], first_nonce: int, graphs: int, threads: int) -> Run:
    """Run a program on the machine's last ``threads`` cores. It does ``threads`` graphs to warm
    up and then at least ``graphs``, a multiple of the threads, so that a program may do several
    at once.

    Raises `RuntimeError` if it fails or prints fewer graphs than it was asked for.
    """
    warm = threads
    graphs += -graphs % threads
    asked = warm + graphs
    options = ["-n", str(first_nonce), "-r", str(asked), "-t", str(threads), "-s"]
    process, terminal = _start([*command, *options], last_cores(threads))
    reading = _Reading(process.pid, [], set())
    for line in _lines(terminal):
        reading.take(line)
    status = process.wait()
    if len(reading.ends) < asked:
        raise RuntimeError(f"{command[0]} did {len(reading.ends)} of {asked} graphs, {status=}")
    began, ended = reading.ends[warm - 1], reading.ends[asked - 1]
    return Run(
        graphs,
        ended.wall - began.wall,
        ended.processor - began.processor,
        max(0, reading.peak_bytes - reading.baseline_bytes),
        frozenset(reading.cycles),
    )


def title(command: Sequence[str]) -> tuple[str, int, int] | None:
    """Algorithm, edge bits and proof size that a program says it looks for, or None; the
    program is ended at once."""
    process, terminal = _start([*command, "-r", "1"], last_cores(1))
    try:
        for _, line in zip(range(8), _lines(terminal), strict=False):
            if found := TITLE.search(line):
                return found[2], int(found[3]), int(found[1])
        return None
    finally:
        process.kill()
        process.wait()


def last_cores(count: int) -> list[int]:
    """Raises `RuntimeError` where the machine has fewer."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < count:
        raise RuntimeError(f"{count} threads need as many cores; this machine has {len(cores)}")
    return cores[-count:]


def _start(command: Sequence[str], cores: Sequence[int]) -> tuple[subprocess.Popen[bytes], int]:
    """On a terminal, so that each line comes when it is printed."""
    ours, theirs = pty.openpty()
    root = str(Path(__file__).resolve().parents[2])
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": root},
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
    except OSError as error:
        os.close(ours)
        raise RuntimeError(f"{command[0]} cannot be run: {error.strerror}") from error
    finally:
        os.close(theirs)
    return process, ours


def _lines(terminal: int) -> Iterator[str]:
    with os.fdopen(terminal, "r", errors="replace") as stream:
        try:
            yield from stream
        except OSError:  # A terminal says so, and not "end of file", when its program is gone.
            return


def _peak_bytes(pid: int) -> int:
    """Of the program itself; what the kernel tells at its end counts this process as well, of
    which it was a copy until it began. 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    peak = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(peak[1]) << 10 if peak else 0


def _processor_clock(pid: int) -> int:
    """Number of a process's clock of processor time (clock_getcpuclockid)."""
    return (~pid << 3) | 2
