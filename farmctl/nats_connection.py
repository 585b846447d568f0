"""The connection to the NATS server: who we are, staying joined, its errors as ours."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import nats
import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.js.errors import Error as JetStreamError
from pydantic import ValidationError

from farmctl.bus import M
from farmctl.bus_server import inbox, public_key
from farmctl.errors import BusError
from farmctl.fleet import authority

log = logging.getLogger(__name__)
FAILURES = (nats.errors.Error, JetStreamError, OSError, TimeoutError)


@dataclass(eq=False)
class Listening:
    subscription: NatsSubscription

    async def stop(self) -> None:
        with contextlib.suppress(*FAILURES):
            await self.subscription.unsubscribe()


class Connection:
    """A client that stays joined. ``bells`` are rung when it is back after a break."""

    def __init__(self, client: Client, bells: set[asyncio.Event]) -> None:
        self._client = client
        self._bells = bells
        self.malformed = 0

    @property
    def connected(self) -> bool:
        return bool(self._client.is_connected)

    async def close(self) -> None:
        with contextlib.suppress(*FAILURES):
            await self._client.close()

    def _check_connected(self) -> None:
        if not self._client.is_connected:
            raise BusError("not connected to the message bus at the moment; trying to reconnect")

    def _parse(self, form: type[M], raw: Msg) -> M | None:
        return self._validate(form, raw.subject, raw.data)

    def _validate(self, form: type[M], subject: str, payload: bytes) -> M | None:
        try:
            return form.model_validate_json(payload)
        except ValidationError as error:
            self.malformed += 1
            log.warning("malformed message on %s dropped: %s", subject, error.errors()[0]["msg"])
            return None


class bus_errors:
    """Turns the client's errors into `BusError`."""

    def __init__(self, subject: str) -> None:
        self._subject = subject

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, FAILURES) and not isinstance(error, BusError):
            raise BusError(f"{self._subject}: {error or type(error).__name__}") from error


def _credentials(url: str, seed: Path | None) -> dict[str, Any]:
    """Options of the client by which both sides prove who they are."""
    if seed is None:
        return {}
    options: dict[str, Any] = {"nkeys_seed": str(seed), "inbox_prefix": inbox(public_key(seed))}
    if urlsplit(url).scheme == "tls" and (seed.parent / authority.CA_CERTIFICATE).exists():
        context = authority.client_context(seed.parent)
        options |= {"tls": context, "tls_hostname": authority.BUS_NAME, "tls_handshake_first": True}
    return options


async def join(
    url: str, seed: Path | None, name: str, timeout_seconds: float, bells: set[asyncio.Event]
) -> Client:
    """A client that reconnects without end and rings the bells when it has. Raises `BusError` if
    the first connection fails within the time."""

    async def reconnected() -> None:
        log.info("the bus is back")
        for bell in bells:
            bell.set()

    async def disconnected() -> None:
        log.warning("lost the bus; reconnecting")

    async def failed(error: Exception) -> None:
        log.warning("bus: %s", error or type(error).__name__)

    try:
        return await asyncio.wait_for(
            nats.connect(
                url,
                name=name,
                **_credentials(url, seed),
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,
                connect_timeout=2,
                ping_interval=3,
                max_outstanding_pings=2,
                pending_size=0,
                reconnected_cb=reconnected,
                disconnected_cb=disconnected,
                error_cb=failed,
            ),
            timeout_seconds,
        )
    except (*FAILURES, ValueError) as error:
        raise BusError(f"cannot join the bus at {url}: {error or 'timed out'}") from error
