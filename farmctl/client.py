"""The HTTP API from the command line, as this machine's admin."""

from __future__ import annotations

from typing import Any

import httpx

from farmctl import errors
from farmctl.config import Config
from farmctl.errors import FarmError, Unauthorised, Unavailable

TIMEOUT_SECONDS = 15.0


class ApiClient:
    """Answers of the API as JSON; its problems as the errors they name."""

    def __init__(self, config: Config) -> None:
        headers = {"Authorization": f"Bearer {_read_token(config)}"}
        self._url = config.api_url
        self._client = httpx.Client(
            base_url=config.api_url, headers=headers, timeout=TIMEOUT_SECONDS
        )

    def get(self, path: str, **query: Any) -> Any:
        return self._send("GET", path, params=query)

    def post(self, path: str, body: Any = None) -> Any:
        return self._send("POST", path, json=body)

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

    def _send(self, method: str, path: str, **content: Any) -> Any:
        try:
            answer = self._client.request(method, path, **content)
        except httpx.HTTPError as error:
            text = f"no controller answers at {self._url}; `farmctl up` starts one"
            raise Unavailable(text) from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise _problem(answer)


def _problem(answer: httpx.Response) -> FarmError:
    try:
        body = answer.json()
        kind = getattr(errors, body["error"], FarmError)
        return kind(body["message"])
    except (ValueError, KeyError, TypeError):
        return FarmError(f"the controller answered with status {answer.status_code}")


def _read_token(config: Config) -> str:
    try:
        return config.admin_token.read_text().strip()
    except FileNotFoundError as error:
        raise Unavailable(f"no farm was started in {config.home}; run `farmctl up`") from error
    except OSError as error:
        raise Unauthorised(f"cannot read {config.admin_token}: {error.strerror}") from error
