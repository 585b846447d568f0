"""The dashboard in a real browser over a real farm: blocks arrive, a device is switched."""

from __future__ import annotations

import re
from collections import Counter

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import RunningFarm

DEVICE = "/devices/rig-a/cpu:0"
PAGES = ("/", "/rigs", "/rigs/rig-a", "/devices", DEVICE, "/jobs", "/models", "/blocks", "/plans")
PAGES += ("/market", "/events", "/events?view=audit", "/lend")
WAIT_MS = 30_000
#: A block of a few seconds takes long on a machine that is busy with other things.
BLOCK_MS = 60_000
#: PyTorch starts in a sandbox, on a CPU that mines beside it.
JOB_MS = 180_000


def test_a_token_signs_in_and_a_wrong_one_is_refused(browser: Browser, farm: RunningFarm) -> None:
    page = browser.new_page()
    page.goto(farm.url)
    page.get_by_label("Token").fill("not-the-token")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not known", timeout=WAIT_MS)
    page.get_by_label("Token").fill(farm.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("[data-live=live]")).to_be_visible(timeout=WAIT_MS)
    page.close()


def test_a_spent_link_leads_to_a_page_that_says_what_to_do(
    browser: Browser, farm: RunningFarm
) -> None:
    page = browser.new_page()
    page.goto(farm.url + "/login?code=spent")
    expect(page.get_by_role("status")).to_contain_text("used before", timeout=WAIT_MS)
    expect(page.get_by_text("farmctl token login")).to_be_visible()
    page.close()


def test_a_spent_link_does_not_trouble_who_is_signed_in(page: Page, farm: RunningFarm) -> None:
    page.goto(farm.url + "/login?code=spent")
    expect(page.locator("[data-live=live]")).to_be_visible(timeout=WAIT_MS)
    expect(page).to_have_url(farm.url + "/")


@pytest.mark.slow
def test_training_is_sold_done_downloaded_and_paid(page: Page, farm: RunningFarm) -> None:
    page.goto(farm.url + "/market")
    page.get_by_label("Parameters").fill("steps=20\nseed=7")
    page.get_by_role("button", name="Get a quote").click()
    page.get_by_role("button", name="Order").click(timeout=WAIT_MS)
    page.wait_for_url("**/jobs/*", timeout=WAIT_MS)
    job = page.url.rsplit("/", 1)[1]
    with page.expect_download(timeout=JOB_MS) as download:
        page.locator("[data-result='losses.txt']").click(timeout=JOB_MS)
    assert len(download.value.path().read_text("utf-8").splitlines()) >= 2

    page.goto(farm.url + "/market")
    invoice = page.locator(f"[data-invoice='INV-{job}']")
    invoice.get_by_role("button", name="Mark as paid").click(timeout=WAIT_MS)
    expect(page.get_by_role("dialog")).to_contain_text("cannot be taken back")
    page.locator("dialog[open] [data-confirm]").click()
    expect(invoice.locator("[data-paid=true]")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator(f"[data-transaction='payment:INV-{job}']")).to_be_visible(timeout=WAIT_MS)
    expect(page.locator("[data-account=cash]")).to_be_visible(timeout=WAIT_MS)


def test_a_block_arrives_without_a_reload(page: Page, farm: RunningFarm) -> None:
    page.goto(farm.url)
    height = page.locator("[data-height]")
    expect(height).to_be_visible(timeout=WAIT_MS)
    before = int(height.get_attribute("data-height") or "")
    page.wait_for_function(
        "before => Number(document.querySelector('[data-height]').dataset.height) > before",
        arg=before,
        timeout=BLOCK_MS,
    )
    page.get_by_role("link", name="Blocks", exact=True).first.click()
    newest = page.locator("[data-block]").first
    expect(newest).to_be_visible(timeout=WAIT_MS)
    assert int(newest.get_attribute("data-block") or "") > before


def test_a_device_is_switched_locked_and_given_back(page: Page, farm: RunningFarm) -> None:
    page.goto(farm.url + DEVICE)
    expect(page.locator("[data-workload=mine]")).to_be_visible(timeout=WAIT_MS)
    page.locator("[data-switch=idle]").click()
    expect(page.get_by_role("dialog")).to_contain_text("Mining stops")
    page.get_by_role("checkbox").check()
    page.locator("[data-confirm]").click()
    expect(page.locator("[data-change=confirmed]")).to_contain_text(
        re.compile(r"Confirmed in [\d.]+ s"), timeout=WAIT_MS
    )
    expect(page.locator("[data-workload=idle]")).to_be_visible(timeout=WAIT_MS)
    device = farm.get("/v1" + DEVICE)
    assert isinstance(device, dict)
    assert (device["workload"], device["locked"]) == ("idle", True)

    page.get_by_role("button", name="Dismiss finished").click()
    page.get_by_role("button", name="Unlock").click()
    page.locator("[data-confirm]").click()
    expect(page.locator("[data-workload=mine]")).to_be_visible(timeout=WAIT_MS)


def test_pausing_shows_as_paused_until_resumed(page: Page, farm: RunningFarm) -> None:
    page.goto(farm.url + DEVICE)
    page.get_by_role("button", name="Pause").click()
    page.locator("[data-confirm]").click()
    expect(page.locator("[data-change=confirmed]")).to_be_visible(timeout=WAIT_MS)
    page.get_by_role("button", name="Resume").click()
    page.locator("[data-confirm]").click()
    expect(page.locator("[data-change=confirmed]")).to_have_count(2, timeout=WAIT_MS)
    expect(page.locator("[data-workload=mine]")).to_be_visible(timeout=WAIT_MS)


def test_every_page_fits_a_phone_and_asks_for_little(page: Page, farm: RunningFarm) -> None:
    asked: Counter[str] = Counter()
    page.on("request", lambda request: asked.update([request.url.split("?")[0]]))
    page.set_viewport_size({"width": 390, "height": 844})
    for path in PAGES:
        page.goto(farm.url + path)
        expect(page.locator("h1")).to_be_visible(timeout=WAIT_MS)
        page.wait_for_timeout(300)
        excess = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert excess <= 0, f"{path} is {excess} px too wide"
    # A page that fetches in a loop would ask hundreds of times.
    assert max(asked.values()) <= 4 * len(PAGES), asked.most_common(3)


def test_an_unknown_device_is_named(page: Page, farm: RunningFarm) -> None:
    page.goto(farm.url + "/devices/rig-a/cpu:9")
    expect(page.get_by_role("alert")).to_contain_text("rig-a/cpu:9", timeout=WAIT_MS)
