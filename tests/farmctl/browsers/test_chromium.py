"""A browser computes a small model: its answer is the reference's, to the bit."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from farmctl.api import auth, web
from farmctl.config import load
from farmctl.domain import LENT_RIG
from farmctl.farm import Farm
from farmctl.inference.messages import InferRequest
from farmctl.messages import Message, ModelReply, ModelRequest, RigPlan, Work
from node.models.torrent import describe_folder
from tests.farmctl.api.test_stream import serving
from tests.farmctl.farms import running_farm
from tests.support.cvm_models import small_model
from tests.support.ports import free_port

WAIT_MS = 30_000
CHECKS = 5
#: Of the model's input: int8.
INPUT_BYTES = 3


async def lend_model(farm: Farm) -> str:
    """Serve a model in the node's place; its infohash."""
    symbol, parameters = small_model()
    files = {"symbol": symbol, "params": parameters}

    async def give(request: ModelRequest) -> ModelReply:
        content = files[request.file]
        return ModelReply(found=True, total_bytes=len(content), chunk=content)

    async def no_work(_: Message) -> Work:
        empty = bytes(32).hex()
        return Work(
            chain="farmnet",
            seal_hash=empty,
            target=empty,
            height=0,
            edge_bits=18,
            compression_rounds=4,
            finalisation_rounds=8,
            available=False,
            detail="no work in this test",
        )

    await farm.bus.serve("node.model", ModelRequest, give)
    await farm.bus.serve("node.work", Message, no_work)
    return describe_folder(files).infohash.hex()


async def plan_when_proved(farm: Farm) -> None:
    async with asyncio.timeout(WAIT_MS / 1000):
        while True:
            await farm.decide()
            plan = await farm.bus.get("plans", LENT_RIG, RigPlan)
            if plan and any(one.infer_reserve for one in plan.assignments):
                return
            await asyncio.sleep(0.2)


async def test_a_model_is_computed_in_chromium_as_by_the_reference(tmp_path: Path) -> None:
    chromium = shutil.which("chromium")
    if chromium is None or not (web.FOLDER / "farmcpu.wasm").is_file():
        pytest.skip("Chromium or the built dashboard is missing; `make test` gets both")
    config = load({"FARMCTL_HOME": str(tmp_path), "FARMCTL_API_PORT": str(free_port())})
    async with running_farm(config) as farm, serving(farm), async_playwright() as playwright:
        model = await lend_model(farm)
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        secret = config.admin_token.read_text()
        cookie = {"name": auth.COOKIE, "value": secret, "url": config.api_url}
        await page.context.add_cookies([cookie])  # type: ignore[list-item]
        await page.goto(config.api_url + "/lend")
        await page.get_by_role("switch").click()
        await expect(page.locator("[data-lend=working]")).to_be_visible(timeout=WAIT_MS)
        await plan_when_proved(farm)
        [post] = farm.browsers.posts
        async with asyncio.timeout(WAIT_MS / 1000):
            while post.answers_right + post.answers_wrong < CHECKS:
                data = bytes((37 * post.answers_right + n) % 256 for n in range(INPUT_BYTES))
                request = InferRequest(model=model, input=data, seconds=5)
                await farm.bus.publish("infer.run.rig-a.cpu:0", request)
                await asyncio.sleep(0.1)
        assert post.answers_wrong == 0
        await browser.close()
