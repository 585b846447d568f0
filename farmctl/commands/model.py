"""``farmctl model``: convert a network to an integer model, look at it, run it, verify it.

A model is a folder with the files ``symbol`` and ``params``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress, track
from rich.table import Table

from drivers import worker
from drivers.base import Capability
from drivers.errors import DriverError, NotSupported
from farmctl.commands import find_group
from farmctl.commands.models import read_folder_card, read_model
from farmctl.errors import BadRequest, NotFound, StoreError
from farmctl.files import read_file
from node.lowering import encode_heads, lower
from node.models.storage import PARAMETERS, SYMBOL
from node.models.torrent import describe_folder
from node.mrt.errors import MrtError
from node.spec.cvm import CvmError, Graph, load, run
from node.spec.cvm.execution import decode_input

if TYPE_CHECKING:
    from node.mrt.conversion import Conversion

#: Operations that one unit of gas pays (cortex-protocol §4).
OPERATIONS_PER_GAS = 20_000
DEADLINE_SECONDS = 60.0

Choice = TypeVar("Choice", bound=StrEnum)
ModelFolder = Annotated[Path, typer.Argument(help="Folder with symbol and params.")]


def convert(
    onnx: Annotated[Path, typer.Argument(help="ONNX file.")],
    output: Annotated[Path, typer.Argument(help="Folder to write symbol and params to.")],
    samples: Annotated[Path, typer.Option(help=".npy of real inputs to calibrate on.")],
    labels: Annotated[Path | None, typer.Option(help=".npy of the class of each input.")] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help=".npy of other inputs to judge by.")
    ] = None,
    input_scale: Annotated[
        float | None, typer.Option(help="Worth of one step of the int8 input; else fitted.")
    ] = None,
    scaling: Annotated[str, typer.Option(help="shift, or multiplier (more exact).")] = "shift",
    method: Annotated[str, typer.Option(help="min-max or percentile.")] = "min-max",
) -> None:
    """Convert an ONNX network to an integer model and report what it costs."""
    with _explained():
        from node.mrt import conversion
        from node.mrt.calibration import Method
        from node.mrt.quantisation import Scaling

        settings = conversion.Settings(
            input_scale, _choose(Scaling, scaling), _choose(Method, method)
        )
        with Progress(console=Console(stderr=True), transient=True) as bar:
            tasks = {name: bar.add_task(name, total=None) for name in ("calibrate", "evaluate")}
            found = conversion.convert(
                read_file(onnx),
                _read_array(samples).astype(np.float32),
                settings=settings,
                evaluation=_read_array(evaluation).astype(np.float32) if evaluation else None,
                labels=_read_array(labels).astype(np.int64) if labels else None,
                progress=lambda stage, done, total: bar.update(
                    tasks[stage], completed=done, total=total
                ),
            )
    _write_model(output, found.symbol, found.parameters)
    _print_report(found)


def inspect(folder: ModelFolder) -> None:
    """Show what a model is: shapes, operators, gas, size, infohash."""
    symbol, parameters = read_model(folder)
    with _explained():
        graph = load(symbol, parameters, extended=True)
        operations = graph.operations()
    table = Table(show_header=False, box=None)
    files = {SYMBOL: symbol, PARAMETERS: parameters}
    for name, value in (
        ("infohash", describe_folder(files).infohash.hex()),
        ("bytes", f"{len(symbol)} symbol + {len(parameters)} params"),
        ("input", f"{graph.input_shape} of {graph.input_type_bytes} bytes each"),
        ("output", f"{graph.output_shapes} of {graph.output_type_bytes} bytes each"),
        ("postprocess", graph.postprocess or "none"),
        ("operations", str(operations)),
        ("gas of one INFER", str(operations // OPERATIONS_PER_GAS)),
        ("memory", f"{graph.storage_bytes()} bytes"),
        ("operators", _count_operators(graph)),
        ("on devices", _explain_devices(graph)),
        *read_folder_card(folder),
    ):
        table.add_row(name, value)
    Console(markup=False).print(table)


def run_input(
    folder: ModelFolder,
    data: Annotated[Path, typer.Argument(help=".npy of one input, in the model's integers.")],
) -> None:
    """Run one input on the reference and print its outputs."""
    with _explained():
        graph = load(*read_model(folder), extended=True)
        answer = run(graph, _encode(graph, _read_array(data)))
    kind = "<i4" if graph.output_type_bytes == 4 else "<i1"
    typer.echo(" ".join(map(str, np.frombuffer(answer, kind).tolist())))


def verify(
    folder: ModelFolder,
    device: Annotated[str, typer.Option(help="Device to compare, e.g. cpu:0.")] = "cpu:0",
    inputs: Annotated[int, typer.Option(min=1, max=10_000, help="Random inputs to try.")] = 20,
) -> None:
    """Run random inputs on a device and on the reference; they must be equal to the bit."""
    with _explained():
        graph = load(*read_model(folder), extended=True)
        wrong = _count_differences(graph, device, inputs)
    typer.echo(f"{device}: {inputs - wrong} of {inputs} equal to the reference")
    if wrong:
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    model = find_group(app, "model")
    model.command("convert")(convert)
    model.command("inspect")(inspect)
    model.command("run")(run_input)
    model.command("verify")(verify)


@contextmanager
def _explained() -> Iterator[None]:
    """Errors of models, devices and missing extras as errors for a user."""
    try:
        yield
    except ImportError as error:
        raise NotFound(f"{error.name} is not installed; install farmctl[mrt]") from error
    except (CvmError, DriverError, MrtError) as error:
        raise BadRequest(str(error)) from error


def _read_array(path: Path) -> NDArray[np.generic]:
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error}") from error
    except (ValueError, EOFError) as error:
        raise BadRequest(f"{path} is no .npy file: {error}") from error
    if not isinstance(array, np.ndarray):
        raise BadRequest(f"{path} holds several arrays; give a .npy file of one")
    return array


def _write_model(folder: Path, symbol: bytes, parameters: bytes) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SYMBOL).write_bytes(symbol)
        (folder / PARAMETERS).write_bytes(parameters)
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {error.strerror}") from error


def _choose(kind: type[Choice], text: str) -> Choice:
    try:
        return kind(text)
    except ValueError as error:
        raise BadRequest(f"{text!r} is none of {', '.join(kind)}") from error


def _encode(graph: Graph, values: NDArray[np.generic]) -> bytes:
    """The kernel form of integers that have the input's shape, with or without the batch."""
    shape = graph.input_shape
    if values.dtype.kind not in "iu" or values.shape not in (shape, shape[1:]):
        raise BadRequest(
            f"the input must be integers of {shape}, not {values.dtype} {values.shape}"
        )
    return values.astype("<i4" if graph.input_type_bytes == 4 else "<i1").tobytes()


def _count_operators(graph: Graph) -> str:
    counts = Counter(step.operator.name for step in graph.steps)
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _explain_devices(graph: Graph) -> str:
    try:
        program = lower(graph)
    except NotSupported as error:
        return f"no: {error}"
    return f"yes, {len(program.steps)} steps"


def _count_differences(graph: Graph, device: str, inputs: int) -> int:
    generator = np.random.default_rng(0)
    limit = (1 << (graph.precisions[graph.input_entry] - 1)) - 1
    wrong = 0
    with _open_device(graph, device) as answer:
        for _ in track(range(inputs), "verify", console=Console(stderr=True), transient=True):
            values = generator.integers(-limit, limit + 1, graph.input_shape)
            data = _encode(graph, values)
            wrong += answer(data) != run(graph, data)
    return wrong


@contextmanager
def _open_device(graph: Graph, device: str) -> Iterator[Callable[[bytes], bytes]]:
    """A function that runs kernel-form inputs on a device."""
    family = device.partition(":")[0]
    with worker.open_session(family, device, Capability.INFER, DEADLINE_SECONDS) as session:
        session.load("model", lower(graph))

        def answer(data: bytes) -> bytes:
            tensor = decode_input(graph, data).astype("<i4").tobytes()
            return encode_heads(graph, session.run("model", tensor))

        yield answer


def _print_report(found: Conversion) -> None:
    report = found.report
    layers = Table("layer", "kind", "SQNR dB", box=None)
    for layer in report.layers:
        layers.add_row(layer.name, layer.kind, _show(layer.sqnr_db, ".1f"))
    console = Console(markup=False)
    console.print(layers)
    summary = Table(show_header=False, box=None)
    for name, value in (
        ("inputs judged", str(report.samples)),
        ("accuracy before", _show(report.accuracy_before, ".2%")),
        ("accuracy after", _show(report.accuracy_after, ".2%")),
        ("same answer", f"{report.agreement:.2%}"),
        ("output SQNR dB", _show(report.sqnr_db, ".1f")),
        ("input scale", f"{found.input_scale:.6g}"),
        ("output scale", f"{found.output_scale:.6g}"),
        ("operations", str(report.operations)),
        ("bytes", f"{report.symbol_bytes + report.parameter_bytes} from {report.onnx_bytes}"),
    ):
        summary.add_row(name, value)
    console.print(summary)


def _show(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)
