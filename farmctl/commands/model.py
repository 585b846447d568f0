"""``farmctl model``: look at an integer model, run it, verify it.

A model is a folder with the files ``symbol`` and ``params``.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

from drivers import registry
from drivers.errors import NotSupported
from farmctl.commands import find_group
from farmctl.commands.models import read_folder_card
from farmctl.errors import BadRequest, NotFound, Unavailable
from farmctl.model_files import (
    describe_identity,
    explained,
    load_model,
    read_array,
    read_model,
)
from farmctl.model_sessions import REFERENCE, find_device, loaded, open_device, run_encoded
from node.lowering import lower
from node.models.sizes import measure_parameters
from node.models.storage import PARAMETERS, SYMBOL
from node.models.torrent import describe_folder
from node.spec.cvm import Graph, load, run
from node.spec.cvm.operators.operator import limit_of
from node.spec.vm.schedule import INFER_OPERATIONS_PER_GAS

ModelFolder = Annotated[Path, typer.Argument(help="Folder with symbol and params.")]


def inspect(
    folder: ModelFolder,
    layers: Annotated[bool, typer.Option(help="List every step with shape and bits.")] = False,
) -> None:
    """Show what a model is: shapes, operators, gas, size, hashes that names do not change."""
    symbol, parameters = read_model(folder)
    with explained():
        graph = load(symbol, parameters, extended=True)
        operations = graph.operations()
    table = Table("", Column(overflow="fold"), show_header=False, box=None)
    files = {SYMBOL: symbol, PARAMETERS: parameters}
    for name, value in (
        ("infohash", describe_folder(files).infohash.hex()),
        ("bytes", f"{len(symbol)} symbol + {len(parameters)} params"),
        ("input", f"{graph.input_shape} of {graph.input_type_bytes} bytes each"),
        ("output", f"{graph.output_shapes} of {graph.output_type_bytes} bytes each"),
        ("postprocess", graph.postprocess or "none"),
        ("operations", str(operations)),
        ("gas of one INFER", str(operations // INFER_OPERATIONS_PER_GAS)),
        ("parameters", str(measure_parameters(graph))),
        ("memory", f"{graph.storage_bytes()} bytes"),
        ("operators", _count_operators(graph)),
        ("on devices", _explain_devices(graph)),
        *describe_identity(graph),
        *read_folder_card(folder),
    ):
        table.add_row(name, value)
    console = Console(markup=False)
    console.print(table)
    if layers:
        console.print(_list_steps(graph))


def run_input(
    folder: ModelFolder,
    data: Annotated[Path, typer.Argument(help=".npy of one input, in the model's integers.")],
) -> None:
    """Run one input on the reference and print its outputs."""
    graph = load_model(folder)
    with explained():
        answer = run(graph, _encode(graph, read_array(data)))
    typer.echo(" ".join(map(str, np.frombuffer(answer, graph.output_type).tolist())))


def verify(
    folder: ModelFolder,
    device: Annotated[
        list[str] | None, typer.Option(help="Devices, e.g. cpu:0; else one of every family.")
    ] = None,
    inputs: Annotated[int, typer.Option(min=1, max=10_000, help="Random inputs to try.")] = 20,
) -> None:
    """Run random inputs on every engine present; each must equal the reference to the bit."""
    graph = load_model(folder)
    with explained():
        expected = _list_answers(graph, inputs)
        found = [_verify_device(graph, each, expected) for each in device or _find_devices()]
    if all(each is None for each in found):
        raise NotFound("no device here can run this model; see farmctl doctor")
    if False in found:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    model = find_group(app, "model")
    model.command("inspect")(inspect)
    model.command("run")(run_input)
    model.command("verify")(verify)


def _encode(graph: Graph, values: NDArray[np.generic]) -> bytes:
    """The kernel form of integers that have the input's shape, with or without the batch."""
    shape = graph.input_shape
    if values.dtype.kind not in "iu" or values.shape not in (shape, shape[1:]):
        raise BadRequest(
            f"the input must be integers of {shape}, not {values.dtype} {values.shape}"
        )
    return values.astype(graph.input_type).tobytes()


def _count_operators(graph: Graph) -> str:
    counts = Counter(step.operator.name for step in graph.steps)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _list_steps(graph: Graph) -> Table:
    table = Table("step", "operator", "shape", "bits", "operations", box=None)
    for step in graph.steps:
        entry = step.outputs[0]
        table.add_row(
            step.name,
            step.operator.name,
            " × ".join(map(str, graph.shapes[entry])),
            str(graph.precisions[entry]),
            str(graph.step_operations(step)),
        )
    return table


def _explain_devices(graph: Graph) -> str:
    try:
        program = lower(graph)
    except NotSupported as error:
        return f"no: {error}"
    return f"yes, {len(program.steps)} steps"


def _list_answers(graph: Graph, inputs: int) -> list[tuple[bytes, bytes]]:
    """Inputs in kernel form with the reference's answers; every other has extremes alone."""
    generator = np.random.default_rng(0)
    limit = limit_of(graph.precisions[graph.input_entry])
    answers = []
    for index in track(range(inputs), REFERENCE, console=Console(stderr=True), transient=True):
        values = generator.integers(-limit, limit + 1, graph.input_shape)
        if index % 2:
            values = np.where(values < 0, -limit, limit)
        data = _encode(graph, values)
        answers.append((data, run(graph, data)))
    return answers


def _find_devices() -> list[str]:
    """The first device of each family that can infer; says which families have none."""
    chosen = []
    for name in registry.families():
        try:
            chosen.append(find_device(name))
        except Unavailable as error:
            typer.echo(str(error))
    return chosen


def _verify_device(graph: Graph, device: str, expected: list[tuple[bytes, bytes]]) -> bool | None:
    """Whether all answers are equal; None where the device cannot run the model."""
    try:
        with open_device(device) as session, loaded(session, graph) as compute:
            equal = sum(run_encoded(graph, compute, data) == wanted for data, wanted in expected)
    except NotSupported as error:
        typer.echo(f"{device}: cannot run this model ({error})")
        return None
    typer.echo(f"{device}: {equal} of {len(expected)} equal to the reference")
    return equal == len(expected)
