"""Signing in and out, and tokens."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from farmctl.api import auth, schemas
from farmctl.api.auth import Admin, Reader, find_farm
from farmctl.errors import BadRequest, NotFound
from farmctl.store import audit, tokens

router = APIRouter(tags=["session"])


class CodeView(schemas.Body):
    """A way to sign in once."""

    code: str
    path: str


class TokenRequest(schemas.Body):
    name: str = Field(min_length=1, max_length=80)
    scopes: list[str] = Field(min_length=1, max_length=4)
    days: float | None = Field(default=None, gt=0)


class TokenView(schemas.Body):
    id: str
    name: str
    scopes: list[str]
    created: float
    expires: float | None
    secret: str | None = None
    """Only in the answer that made it."""


@router.get("/v1/session")
async def show_session(caller: Reader) -> schemas.SessionView:
    return schemas.SessionView(name=caller.name, scopes=sorted(caller.scopes))


@router.post("/v1/session")
async def sign_in(request: Request, response: Response, caller: Reader) -> schemas.SessionView:
    """Exchange the bearer token of this request for a cookie."""
    auth.open_session(find_farm(request), response, caller.name, caller.scopes)
    return schemas.SessionView(name=caller.name, scopes=sorted(caller.scopes))


@router.delete("/v1/session", status_code=204)
async def sign_out(request: Request, response: Response, caller: Reader) -> None:
    if auth.COOKIE in request.cookies:
        with find_farm(request).store.begin() as tx:
            tokens.revoke(tx, caller.id)
    response.delete_cookie(auth.COOKIE)


@router.post("/v1/session/codes")
async def create_login_code(request: Request, caller: Admin) -> CodeView:
    """A code that signs a browser in once, as an admin."""
    farm = find_farm(request)
    with farm.store.begin() as tx:
        expires = farm.clock() + auth.CODE_SECONDS
        code = tokens.create_code(tx, "login", " ".join(sorted(caller.scopes)), expires)
    return CodeView(code=code, path=f"/login?code={code}")


@router.get("/login", include_in_schema=False)
async def use_login_code(request: Request, code: str = "") -> RedirectResponse:
    """The one-time link: signs in and goes to the dashboard, which also says so where the link
    is no good any more."""
    farm = find_farm(request)
    with farm.store.begin() as tx:
        scopes = tokens.use_code(tx, "login", code, farm.clock())
    if scopes is None:
        return RedirectResponse("/?link=spent", 303)
    answer = RedirectResponse("/", 303)
    auth.open_session(farm, answer, "dashboard", frozenset(scopes.split()))
    return answer


@router.get("/v1/tokens")
async def list_tokens(request: Request, caller: Admin) -> list[TokenView]:
    with find_farm(request).store.begin() as tx:
        return [_view(token) for token in tokens.every(tx)]


@router.post("/v1/tokens")
async def create_token(request: Request, caller: Admin, body: TokenRequest) -> TokenView:
    farm = find_farm(request)
    if unknown := set(body.scopes) - set(tokens.SCOPES):
        raise BadRequest(f"unknown scopes {sorted(unknown)}; there are {', '.join(tokens.SCOPES)}")
    now = farm.clock()
    expires = None if body.days is None else now + body.days * 86_400
    with farm.store.begin() as tx:
        token, secret = tokens.create(tx, body.name, frozenset(body.scopes), now, expires)
        audit.append(tx, now, caller.name, "create token", body.name, " ".join(body.scopes))
    return _view(token, secret)


@router.delete("/v1/tokens/{token}", status_code=204)
async def revoke_token(request: Request, caller: Admin, token: str) -> None:
    farm = find_farm(request)
    with farm.store.begin() as tx:
        if not tokens.revoke(tx, token):
            raise NotFound(f"there is no token {token}; `farmctl token list` lists them")
        audit.append(tx, farm.clock(), caller.name, "revoke token", token)


def _view(token: tokens.Token, secret: str | None = None) -> TokenView:
    return TokenView(
        id=token.id,
        name=token.name,
        scopes=sorted(token.scopes),
        created=token.created,
        expires=token.expires,
        secret=secret,
    )
