"""The HTTP API and the dashboard's files, as one FastAPI app over a `Farm`.

Each file in ``farmctl/api/routes`` holds one resource's ``router``; nothing else is edited.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from farmctl import __version__
from farmctl.api import auth, routes, web
from farmctl.api.schemas import Problem
from farmctl.errors import (
    BadRequest,
    BusError,
    Conflict,
    FarmError,
    NotFound,
    Refused,
    StoreError,
    Unauthorised,
    Unavailable,
)

if TYPE_CHECKING:
    from farmctl.farm import Farm

STATUS: dict[type[FarmError], int] = {
    NotFound: 404,
    Unauthorised: 401,
    Conflict: 409,
    Refused: 403,
    BadRequest: 400,
    BusError: 503,
    Unavailable: 503,
    StoreError: 507,
}
BODY_LIMIT_BYTES = 1024 * 1024
HEADERS = {
    "Content-Security-Policy": (
        # The core that a browser lends its processor to is WebAssembly; no other code is compiled.
        "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
Next = Callable[[Request], Awaitable[Response]]


def build_app(farm: Farm | None, folder: Path = web.FOLDER) -> FastAPI:
    """The app; without a farm it serves to write the OpenAPI document alone."""
    app = FastAPI(
        title="farmctl",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        responses={"4XX": {"model": Problem}, "5XX": {"model": Problem}},
    )
    app.state.farm = farm
    app.middleware("http")(_guard)
    app.add_exception_handler(FarmError, _farm_problem)
    app.add_exception_handler(HTTPException, _http_problem)
    app.add_exception_handler(RequestValidationError, _form_problem)
    for module in sorted(pkgutil.iter_modules(routes.__path__), key=lambda m: m.name):
        app.include_router(importlib.import_module(f"{routes.__name__}.{module.name}").router)
    web.mount(app, folder)
    return app


async def _guard(request: Request, call_next: Next) -> Response:
    """Only known host names, bodies of a sane size, and strict headers on every answer."""
    if not auth.is_known_host(request):
        return _problem(Refused("unknown host; add it to [api] allowed_hosts"), 421)
    length = request.headers.get("content-length", "0")
    chunked = "transfer-encoding" in request.headers
    if chunked or not length.isdigit() or int(length) > BODY_LIMIT_BYTES:
        return _problem(
            BadRequest(f"send at most {BODY_LIMIT_BYTES} bytes, with their length"), 413
        )
    answer = await call_next(request)
    for name, value in HEADERS.items():
        answer.headers.setdefault(name, value)
    return answer


def _problem(error: Exception, status: int) -> JSONResponse:
    body = Problem(error=type(error).__name__, message=str(error))
    return JSONResponse(body.model_dump(), status)


async def _farm_problem(_: Request, error: Exception) -> Response:
    return _problem(error, next(STATUS[k] for k in type(error).__mro__ if k in STATUS))


async def _http_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known = {404: NotFound("there is no such page"), 400: BadRequest(str(error.detail))}
    return _problem(known.get(error.status_code, FarmError(str(error.detail))), error.status_code)


async def _form_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return _problem(BadRequest(f"{where}: {first['msg']}; nothing was changed"), 400)
