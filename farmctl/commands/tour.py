"""``farmctl tour``: the whole business, walked on the running farm."""

from __future__ import annotations

import time
from typing import Annotated

import typer
from rich.console import Console

from farmctl import config as configuration
from farmctl.client import ApiClient
from farmctl.errors import NotFound

EXTRAS = "farmctl[train,mrt,tour]"


def walk(
    device: Annotated[str, typer.Option(help="Device of this machine to use.")] = "cpu:0",
) -> None:
    """Walk the whole business on the running farm: sell, train, publish, infer, switch."""
    try:
        from farmctl.tour import convert, infer, preempt, publish, sell, switch
        from farmctl.tour.chain import ChainClient
        from farmctl.tour.guide import Guide
    except ImportError as error:
        raise NotFound(f"{error.name} is not installed; install {EXTRAS}") from error

    config = configuration.load()
    guide = Guide(config, ApiClient(config), ChainClient(config.node_url), Console(), device)
    began = time.monotonic()
    guide.head("1/6 A customer orders a training job")
    job = sell.sell_job(guide)
    guide.head("2/6 A person takes the device half-way; the job resumes")
    done = preempt.preempt_job(guide, job)
    guide.head("3/6 The trained network becomes an integer model")
    model = convert.convert_model(guide, done)
    guide.head("4/6 The model is published")
    published = publish.publish_model(guide, model)
    guide.head("5/6 A contract asks the model")
    infer.call_contract(guide, model, published)
    guide.head("6/6 The device is switched, locked and unlocked")
    switch.switch_device(guide)
    guide.head(f"The tour took {time.monotonic() - began:.0f} s")
    guide.show_figures()
    guide.say(f"all of it is in the dashboard: {config.api_url}")


def register(app: typer.Typer) -> None:
    app.command("tour")(walk)
