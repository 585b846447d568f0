"""The HTTP API from the command line, as this machine's admin."""

from __future__ import annotations

import hashlib
from typing import Any

import httpx

from farmctl import errors
from farmctl.config import Config
from farmctl.errors import FarmError, Unauthorised, Unavailable
from farmctl.messages import CHUNK_BYTES

TIMEOUT_SECONDS = 15.0


class ApiClient:
    """Answers of the API as JSON; its problems as the errors they name."""

    def __init__(self, config: Config) -> None:
        headers = {"Authorization": f"Bearer {_read_token(config)}"}
        self._url = config.api_url
        self._client = httpx.Client(
            base_url=config.api_url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False
        )

    def get(self, path: str, **query: Any) -> Any:
        return self._send("GET", path, params=query)

    def post(self, path: str, body: Any = None) -> Any:
        return self._send("POST", path, json=body)

    def delete(self, path: str) -> None:
        self._send("DELETE", path)

    def fetch_file(self, path: str) -> bytes:
        return self._request("GET", path).content

    def put_file(self, content: bytes) -> str:
        """Store a file as an artifact, chunk by chunk; its id. Sent again, it changes nothing."""
        artifact = hashlib.sha256(content).hexdigest()
        stored = 0
        while True:
            reply = self._send(
                "PUT",
                f"/v1/artifacts/{artifact}",
                params={"offset": stored, "total_bytes": len(content)},
                content=content[stored : stored + CHUNK_BYTES],
            )
            if reply["complete"]:
                return artifact
            if not stored < reply["stored_bytes"] < len(content):
                raise Unavailable(f"the controller does not store the file: {reply['detail']}")
            stored = reply["stored_bytes"]

    def _send(self, method: str, path: str, **content: Any) -> Any:
        answer = self._request(method, path, **content)
        return answer.json() if answer.content else None

    def _request(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **content)
        except httpx.HTTPError as error:
            text = f"no controller answers at {self._url}; `farmctl up` starts one"
            raise Unavailable(text) from error
        if answer.is_success:
            return answer
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
