"""``farmctl bench``: find the best way to mine on the devices of this machine."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from drivers.base import Capability, CuckooJob, Device
from drivers.errors import DriverError
from drivers.kernels.graphs import MAX_EDGE_BITS, MIN_EDGE_BITS, VARIANTS
from drivers.survey import Survey
from farmctl import config as configuration
from farmctl.client import ApiClient
from farmctl.config import Config
from farmctl.errors import BadRequest, FarmError, NotFound, Refused, Unavailable
from farmctl.tuning import chart, sweep
from farmctl.tuning.measuring import FULL, QUICK, Failed, Measured
from farmctl.tuning.records import TuningFile, algorithm_of
from farmctl.tuning.tuner import Outcome, Tuner
from node.chains import find_chain

HEADER_BYTES = 32


def find_devices(names: Sequence[str]) -> list[Device]:
    """The named devices, or all that search graphs. Raises `NotFound` or `Refused`."""
    every = [device for family in Survey().look() for device in family.devices]
    known = {device.info.id: device for device in every}
    for name in names:
        if name not in known:
            raise NotFound(f"no device {name!r} here; there are {', '.join(known) or 'none'}")
        if Capability.CUCKOO not in known[name].info.capabilities:
            raise Refused(f"{name} cannot search Cuckoo graphs; `farmctl doctor` says why")
    able = [d for d in every if Capability.CUCKOO in d.info.capabilities]
    chosen = [known[name] for name in dict.fromkeys(names)] or able
    if not chosen:
        raise NotFound("no device here searches Cuckoo graphs; `farmctl doctor` says why")
    return chosen


def make_job(config: Config, algorithm: str | None, edge_bits: int | None) -> CuckooJob:
    """Of the named algorithm, or as the farm's chain has it. Raises `BadRequest`."""
    header = bytes(HEADER_BYTES)
    if algorithm is None:
        try:
            chain = find_chain(config.node.chain)
        except KeyError as error:
            raise BadRequest(str(error.args[0])) from None
        job = CuckooJob(header, chain.edge_bits, chain.rounds, chain.proof_size)
    elif algorithm in VARIANTS:
        job = CuckooJob.of(VARIANTS[algorithm], header)
    else:
        raise BadRequest(f"no algorithm {algorithm!r}; there are {', '.join(VARIANTS)}")
    if edge_bits is None:
        return job
    if not MIN_EDGE_BITS <= edge_bits <= MAX_EDGE_BITS:
        raise BadRequest(f"edge bits must be {MIN_EDGE_BITS} to {MAX_EDGE_BITS}, not {edge_bits}")
    return dataclasses.replace(job, edge_bits=edge_bits)


def check_idle(config: Config, devices: Sequence[Device]) -> None:
    """Raises `Refused` where the running farm works one of the devices: both would be slow."""
    try:
        client = ApiClient(config)
        views = client.get("/v1/devices")
    except (Unavailable, FarmError):
        return  # No farm runs here.
    ids = {device.info.id for device in devices}
    for view in views:
        if view["rig"] == config.farm.rig and view["id"] in ids and view["workload"] != "idle":
            raise Refused(
                f"{view['id']} is at work ({view['workload']}), which would spoil the figures; "
                f"run `farmctl switch {view['id']} --pause` first, `--resume` afterwards"
            )


def describe(outcome: Outcome) -> dict[str, Any]:
    """As JSON."""
    return {
        "device": outcome.device.info.id,
        "model": outcome.device.info.model,
        "variants": [_describe(one) for one in outcome.variants],
        "power_limits": [dataclasses.asdict(step) for step in outcome.steps],
        "kept": outcome.kept.model_dump(),
    }


def _describe(one: Measured | Failed) -> dict[str, Any]:
    record = dataclasses.asdict(one)
    if isinstance(one, Measured):
        record |= {"spread_ratio": one.spread_ratio, "joules_per_graph": one.joules_per_graph}
    return record


def show(console: Console, job: CuckooJob, outcome: Outcome) -> None:
    info = outcome.device.info
    title = f"{info.id}  {info.model}, {algorithm_of(job)}, {job.edge_bits} edge bits"
    console.print(chart.variants_table(title, outcome.variants, outcome.best))
    working = [one for one in outcome.variants if isinstance(one, Measured)]
    for reason in sorted(chart.reasons(working)):
        console.print(f"power cannot be read: {reason}")
    if outcome.steps:
        best = sweep.best(list(outcome.steps))
        console.print()
        console.print(chart.sweep_table("power limits", outcome.steps, best))
    rate = chart.number(outcome.best.graphs_per_second)
    console.print(f"best: {chart.name_of(outcome.best.options)}, {rate} graphs/s")


def cuckoo(
    device: Annotated[
        list[str] | None, typer.Option(help="family:index, again for more; default: all.")
    ] = None,
    edge_bits: Annotated[int | None, typer.Option(help="Default: the farm's chain's.")] = None,
    algorithm: Annotated[
        str | None, typer.Option(help=f"Of {', '.join(VARIANTS)}; default: the farm's chain's.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Seconds a variant.")] = False,
    power_sweep: Annotated[
        bool, typer.Option("--power-sweep", help="Find the power limit with the best J/graph.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Measure every way to mine on this machine's devices, and keep the best for mining."""
    config = configuration.load()
    job = make_job(config, algorithm, edge_bits)
    devices = find_devices(device or [])
    check_idle(config, devices)
    file = TuningFile(config.home / "rig")
    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    progress = Progress(*columns, console=Console(stderr=True), transient=True)
    task = progress.add_task("", total=None)
    effort = QUICK if quick else FULL
    tuner = Tuner(job, effort, file, lambda what: progress.update(task, description=what))
    console = Console(markup=False, highlight=False)
    outcomes = []
    for one in devices:
        with progress:
            outcome = _tune(tuner, one, power_sweep)
        outcomes.append(outcome)
        if not as_json:
            show(console, job, outcome)
    if as_json:
        typer.echo(json.dumps([describe(one) for one in outcomes], indent=1))
    else:
        console.print(f"kept in {file.path}; mining takes it up when it starts or changes size")


def _tune(tuner: Tuner, device: Device, with_sweep: bool) -> Outcome:
    try:
        return tuner.tune(device, with_sweep)
    except DriverError as error:
        raise Unavailable(f"{device.info.id}: {error}") from error


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Measure this machine's devices.", no_args_is_help=True)
    group.command("cuckoo")(cuckoo)
    app.add_typer(group, name="bench")
