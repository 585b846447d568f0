"""A whole farm of real processes, and a browser that looks at it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 80.0
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class RunningFarm:
    url: str
    token: str

    def get(self, path: str) -> object:
        return self._ask("GET", path).json()

    @property
    def cookies(self) -> list[tuple[str, str]]:
        """Of a new session: what a browser holds after signing in."""
        return list(self._ask("POST", "/v1/session").cookies.items())

    def _ask(self, method: str, path: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = httpx.request(method, self.url + path, headers=headers, timeout=10)
        return answer.raise_for_status()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is not installed; tests/system_packages.sh says how")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])


@pytest.fixture(scope="session")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFarm]:
    """`farmctl up` in a home of its own, stopped by Ctrl-C at the end."""
    if not (ROOT / "farmctl/web_dist/index.html").is_file():
        pytest.skip("the dashboard is not built; `make test` builds it")
    home = tmp_path_factory.mktemp("farm")
    port = free_port()
    environment = {
        **os.environ,
        "FARMCTL_HOME": str(home),
        "FARMCTL_FARM_RIG": "rig-a",
        "FARMCTL_API_PORT": str(port),
        "FARMCTL_BUS_PORT": str(free_port()),
        "FARMCTL_NODE_PORT": str(free_port()),
    }
    command = [sys.executable, "-m", "farmctl", "up"]
    with (home / "up.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield _wait_for_device(f"http://127.0.0.1:{port}", home, process)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@pytest.fixture
def page(browser: Browser, farm: RunningFarm) -> Iterator[Page]:
    """A signed-in page on which no script may fail."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_cookies(
        [{"name": name, "value": value, "url": farm.url} for name, value in farm.cookies]
    )
    page = context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    yield page
    context.close()
    assert failures == []


def _wait_for_device(url: str, home: Path, process: subprocess.Popen[bytes]) -> RunningFarm:
    token = home / "secrets" / "api.token"
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            farm = RunningFarm(url, token.read_text().strip())
            if farm.get("/v1/devices"):
                return farm
        except (OSError, httpx.HTTPError):
            pass  # Not up yet.
        time.sleep(0.2)
    raise AssertionError("farmctl up did not show a device:\n" + (home / "up.log").read_text())
