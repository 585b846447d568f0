"""A board opened through the bridge: registers and memory, over PYNQ in a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from drivers.errors import DeviceLost, DriverMissing

BRIDGE = Path(__file__).with_name("bridge.py")
START_SECONDS = 60.0
CALL_SECONDS = 20.0


@dataclass(frozen=True)
class Environment:
    """A Python that has PYNQ, and the variables it needs."""

    python: str
    variables: Mapping[str, str] = field(default_factory=dict)

    def process_variables(self) -> dict[str, str]:
        return {**os.environ, **self.variables}


@dataclass(frozen=True)
class Place:
    """Where the core is to be found."""

    environment: Environment
    index: int
    """Among the environment's boards."""
    bitstream: str = ""
    """Path of the overlay; empty where the design is on the board already."""
    address: int = 0x43C0_0000
    """Of the core's registers, where there is no overlay to tell."""


@dataclass(frozen=True)
class Buffer:
    """Memory of the board that the core reaches."""

    number: int
    address: int
    size: int


class Board:
    """An open board. Every call raises `DeviceLost` when the bridge does not answer in time or
    says that PYNQ failed; the board is closed then."""

    def __init__(self, place: Place) -> None:
        """Starts the bridge. Raises `DriverMissing` if its Python cannot be run."""
        ours, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        python = place.environment.python
        with theirs, os.fdopen(lifeline, "rb"):
            descriptors = (theirs.fileno(), lifeline)
            try:
                self._process = subprocess.Popen(
                    [python, str(BRIDGE), *map(str, descriptors)],
                    stdin=subprocess.DEVNULL,
                    pass_fds=descriptors,
                    env=place.environment.process_variables(),
                )
            except OSError as error:
                ours.close()
                os.close(self._lifeline)
                raise DriverMissing(f"{python} cannot be run: {error.strerror}") from None
        self._channel = Connection(ours.detach())
        self._ask(
            "open",
            START_SECONDS,
            index=place.index,
            bitstream=place.bitstream,
            address=place.address,
        )

    def read(self, register: int) -> int:
        return int(self._ask("read", offset=register)["value"])

    def write(self, register: int, value: int) -> None:
        self._ask("write", offset=register, value=value)

    def wait(self, register: int, mask: int, seconds: float) -> int:
        """The register once a bit of the mask is set, or as it is after that time."""
        patience = seconds + CALL_SECONDS
        answer = self._ask("wait", patience, offset=register, mask=mask, seconds=seconds)
        return int(answer["value"])

    def allocate(self, size: int) -> Buffer:
        answer = self._ask("allocate", size=size)
        return Buffer(answer["buffer"], answer["address"], size)

    def store(self, buffer: Buffer, content: bytes) -> None:
        """Fill the whole buffer; what is left of it becomes zeros."""
        self._ask("store", content=content.ljust(buffer.size, b"\0"), buffer=buffer.number)

    def fetch(self, buffer: Buffer) -> bytes:
        self._ask("fetch", buffer=buffer.number)
        return self._receive("fetch", CALL_SECONDS)

    def free(self, buffer: Buffer) -> None:
        self._ask("free", buffer=buffer.number)

    def close(self) -> None:
        """End the bridge, which gives the board's memory back. Safe to repeat."""
        if self._lifeline < 0:
            return
        self._channel.close()
        try:
            self._process.wait(CALL_SECONDS / 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._lifeline)
        self._lifeline = -1

    def _ask(
        self,
        request: str,
        patience: float = CALL_SECONDS,
        content: bytes | None = None,
        **arguments: object,
    ) -> dict[str, Any]:
        if self._lifeline < 0:
            raise DeviceLost("the board is closed; open a new session")
        try:
            self._channel.send_bytes(json.dumps({"request": request, **arguments}).encode())
            if content is not None:
                self._channel.send_bytes(content)
        except OSError:
            raise self._lost(f"the bridge to the board ended before {request}") from None
        answer: dict[str, Any] = json.loads(self._receive(request, patience))
        if "error" in answer:
            raise self._lost(f"PYNQ failed to {request}: {answer['error']}")
        return answer

    def _receive(self, request: str, seconds: float) -> bytes:
        try:
            if self._channel.poll(seconds):
                return self._channel.recv_bytes()
        except (EOFError, OSError):
            raise self._lost(f"the bridge to the board ended during {request}") from None
        raise self._lost(f"PYNQ did not {request} within {seconds:g} s")

    def _lost(self, reason: str) -> DeviceLost:
        self.close()
        return DeviceLost(reason)
