"""Who may do what: bearer tokens for programs, a cookie for browsers.

The cookie is HttpOnly and SameSite=Strict, and a request that changes something by cookie needs
the header ``X-Farmctl: 1``, which no foreign page can send.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends, Request, Response
from starlette.requests import HTTPConnection

from farmctl.domain import Event
from farmctl.errors import Refused, Unauthorised
from farmctl.store import events, tokens

if TYPE_CHECKING:
    from farmctl.farm import Farm

COOKIE = "farmctl_session"
SESSION_SECONDS = 30 * 86_400.0
CODE_SECONDS = 15 * 60.0
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Failed attempts within a window before every further one is refused.
FAILURES_ALLOWED = 50
FAILURE_WINDOW_SECONDS = 60.0


class Failures:
    """Counts wrong codes in a window, so that guessing is slow. Tokens need none of it: they
    are too long to guess, and a stranger must not lock their holders out."""

    def __init__(self) -> None:
        self._window, self._count = 0.0, 0

    def note(self, now: float) -> None:
        if now - self._window > FAILURE_WINDOW_SECONDS:
            self._window, self._count = now, 0
        self._count += 1

    def too_many(self, now: float) -> bool:
        return now - self._window <= FAILURE_WINDOW_SECONDS and self._count >= FAILURES_ALLOWED


def find_farm(request: HTTPConnection) -> Farm:
    farm: Farm = request.app.state.farm
    return farm


def is_known_host(request: HTTPConnection) -> bool:
    """Loopback names, addresses of ours and configured names: DNS rebinding ends here."""
    farm = request.app.state.farm
    host = request.url.hostname or ""
    if host == "localhost" or (farm and host in farm.config.api.allowed_hosts):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or (farm is not None and host == farm.config.api.host)


def find_caller(request: Request) -> tokens.Token:
    """The token behind a request. Raises `Unauthorised`, or `Refused` for a forged request."""
    by_cookie = _bearer(request) is None
    if by_cookie and request.method not in SAFE_METHODS and request.headers.get("x-farmctl") != "1":
        raise Refused("a change from a browser needs the header X-Farmctl: 1")
    return find_token(request)


def find_token(request: HTTPConnection) -> tokens.Token:
    """The token in the header or the cookie, wherever a page came from. Raises `Unauthorised`."""
    farm = find_farm(request)
    now = farm.clock()
    secret = _bearer(request)
    if secret is None:
        secret = request.cookies.get(COOKIE)
    if not secret:
        raise Unauthorised()
    with farm.store.begin() as tx:
        token = tokens.find(tx, secret, now)
    if token is None:
        raise Unauthorised("this token is not known or has run out; `farmctl token` makes one")
    return token


def _bearer(request: HTTPConnection) -> str | None:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if scheme.lower() == "bearer" else None


def require(scope: str) -> Callable[[Request], Awaitable[tokens.Token]]:
    """A dependency: the caller, who must have this scope."""

    async def check(request: Request) -> tokens.Token:
        caller = find_caller(request)
        if scope not in caller.scopes and "admin" not in caller.scopes:
            raise Refused(f"token {caller.name!r} lacks the scope `{scope}`")
        return caller

    return check


Reader = Annotated[tokens.Token, Depends(require("read"))]
Operator = Annotated[tokens.Token, Depends(require("operate"))]
Seller = Annotated[tokens.Token, Depends(require("sell"))]
Admin = Annotated[tokens.Token, Depends(require("admin"))]


def open_session(farm: Farm, response: Response, name: str, scopes: frozenset[str]) -> None:
    """Sign a browser in: a token of its own in a cookie that scripts cannot read."""
    now = farm.clock()
    with farm.store.begin() as tx:
        _, secret = tokens.create(tx, name, scopes, now, now + SESSION_SECONDS)
        events.add(tx, Event(now, "session", name, f"{name} signed in"))
    response.set_cookie(
        COOKIE,
        secret,
        max_age=int(SESSION_SECONDS),
        httponly=True,
        samesite="strict",
        secure=False,  # loopback is plain HTTP; a TLS proxy sets its own flag
    )
