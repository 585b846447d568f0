"""A browser lends its processor to a whole farm: it finds shares that the farm's node takes."""

from __future__ import annotations

import time

from playwright.sync_api import Page, expect

from .conftest import RunningFarm

WAIT_MS = 30_000
#: The farm's own processor mines beside it.
SHARE_MS = 120_000


def browsers(farm: RunningFarm) -> list[dict[str, object]]:
    devices = farm.get("/v1/devices")
    assert isinstance(devices, list)
    return [device for device in devices if device["family"] == "browser"]


def test_a_browser_is_tested_mines_a_share_and_leaves(page: Page, farm: RunningFarm) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(farm.url + "/lend")
    expect(page.locator("[data-lend=off]")).to_be_visible(timeout=WAIT_MS)
    assert browsers(farm) == []
    page.get_by_role("button", name="100 %").click()
    page.get_by_role("switch").click()
    expect(page.locator("[data-lend=working]")).to_be_visible(timeout=WAIT_MS)

    taken = page.locator("dl .figure-box", has_text="Shares taken").locator(".value")
    expect(taken).not_to_have_text("0", timeout=SHARE_MS)
    [device] = browsers(farm)
    assert (device["rig"], device["workload"]) == ("browsers", "mine")

    # It goes on while other pages are looked at, and ends when it is taken back.
    page.evaluate(
        "history.pushState({}, '', '/devices'); dispatchEvent(new PopStateEvent('popstate'))"
    )
    assert len(browsers(farm)) == 1
    page.evaluate(
        "history.pushState({}, '', '/lend'); dispatchEvent(new PopStateEvent('popstate'))"
    )
    page.get_by_role("switch").click()
    expect(page.locator("[data-lend=off]")).to_be_visible(timeout=WAIT_MS)
    deadline = time.monotonic() + WAIT_MS / 1000
    while browsers(farm):
        assert time.monotonic() < deadline, "the browser is still a device"
        time.sleep(0.2)
