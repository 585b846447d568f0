"""``farmctl model convert``: a float network becomes an integer model, with a report."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from farmctl.commands import find_group
from farmctl.errors import BadRequest
from farmctl.files import read_file
from farmctl.model_files import describe_identity, explained, read_array, write_model
from farmctl.model_sessions import REFERENCE, run_on
from node.spec.cvm import load
from node.spec.vm.schedule import INFER_OPERATIONS_PER_GAS

if TYPE_CHECKING:
    from node.mrt.conversion import Conversion
    from node.mrt.evaluation import Report

TORCH_SUFFIX = ".pt2"

Choice = TypeVar("Choice", bound=StrEnum)


def convert(
    model: Annotated[Path, typer.Argument(help="ONNX file, or .pt2 of torch.export.")],
    output: Annotated[Path, typer.Argument(help="Folder to write symbol and params to.")],
    samples: Annotated[Path, typer.Option(help=".npy of real inputs to calibrate on.")],
    labels: Annotated[Path | None, typer.Option(help=".npy of the class of each input.")] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help=".npy of other inputs to judge by.")
    ] = None,
    form: Annotated[
        str, typer.Option(help="cvm (runs on Cortex) or extension (farmnet; more exact).")
    ] = "cvm",
    input_scale: Annotated[
        float | None, typer.Option(help="Worth of one step of the int8 input; else fitted.")
    ] = None,
    scaling: Annotated[
        str, typer.Option(help="Of cvm: shift, or multiplier (more exact).")
    ] = "shift",
    method: Annotated[str, typer.Option(help="min-max, entropy or percentile.")] = "min-max",
    percentile: Annotated[
        float, typer.Option(min=50, max=100, help="Share of values that must fit, in percent.")
    ] = 99.99,
    weight_bits: Annotated[int, typer.Option(min=2, max=8, help="8, or 6 for INT6.")] = 8,
    equalise: Annotated[bool, typer.Option(help="Even out channels between layers.")] = False,
    correct_bias: Annotated[bool, typer.Option(help="Take mean errors out of biases.")] = True,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Inputs of one inference, where it is open.")
    ] = None,
    judge: Annotated[bool, typer.Option(help="Report accuracy and noise.")] = True,
    engine: Annotated[
        str, typer.Option(help="What runs the report: reference, or a device as cpu:0.")
    ] = REFERENCE,
) -> None:
    """Convert a network to an integer model and report what it costs."""
    with explained():
        from node.mrt import conversion
        from node.mrt.calibration import Method
        from node.mrt.evaluation import run_reference
        from node.mrt.forms.cvm_arithmetic import Scaling

        settings = conversion.Settings(
            _choose(conversion.Form, form), input_scale, _choose(Scaling, scaling),
            _choose(Method, method), percentile, weight_bits, equalise, correct_bias, batch,
        )  # fmt: skip
        with Progress(console=Console(stderr=True), transient=True) as bar:
            tasks = {name: bar.add_task(name, total=None) for name in ("calibrate", "evaluate")}
            found = conversion.convert(
                _read_onnx(model),
                _read_samples(samples),
                settings=settings,
                evaluation=_read_samples(evaluation) if evaluation else None,
                labels=read_array(labels).astype(np.int64) if labels else None,
                progress=lambda stage, done, total: bar.update(
                    tasks[stage], completed=done, total=total
                ),
                judge=judge,
                run_model=run_reference if engine == REFERENCE else run_on(engine),
            )
    write_model(output, found.symbol, found.parameters)
    _print_report(found)


def register(app: typer.Typer) -> None:
    find_group(app, "model").command("convert")(convert)


def _read_onnx(path: Path) -> bytes:
    content = read_file(path)
    if path.suffix != TORCH_SUFFIX:
        return content
    from node.mrt.frontend.torch_model import read_exported

    return read_exported(path)


def _read_samples(path: Path) -> Any:
    """Real inputs, or integers (tokens of a text, say), as float32."""
    array = read_array(path)
    if array.dtype.kind not in "fiub":
        raise BadRequest(f"{path} holds {array.dtype}; give numbers")
    return array.astype(np.float32)


def _choose(kind: type[Choice], text: str) -> Choice:
    try:
        return kind(text)
    except ValueError as error:
        raise BadRequest(f"{text!r} is none of {', '.join(kind)}") from error


def _print_report(found: Conversion) -> None:
    console = Console(markup=False)
    summary = Table("", Column(overflow="fold"), show_header=False, box=None)
    if found.report is not None:
        console.print(_list_layers(found.report))
        for row in _describe_report(found.report):
            summary.add_row(*row)
    summary.add_row("input scale", f"{found.input_scale:.6g}")
    summary.add_row("output scale", f"{found.output_scale:.6g}")
    for row in describe_identity(load(found.symbol, found.parameters, extended=True)):
        summary.add_row(*row)
    console.print(summary)


def _list_layers(report: Report) -> Table:
    layers = Table("layer", "kind", "SQNR dB", box=None)
    for layer in report.layers:
        layers.add_row(layer.name, layer.kind, _show(layer.sqnr_db, ".1f"))
    return layers


def _describe_report(report: Report) -> list[tuple[str, str]]:
    integer_bytes = report.symbol_bytes + report.parameter_bytes
    return [
        ("inputs judged", str(report.samples)),
        ("accuracy before", _show(report.accuracy_before, ".2%")),
        ("accuracy after", _show(report.accuracy_after, ".2%")),
        ("same answer", f"{report.agreement:.2%}"),
        ("output SQNR dB", _show(report.sqnr_db, ".1f")),
        ("operations", str(report.operations)),
        ("gas of one INFER", str(report.operations // INFER_OPERATIONS_PER_GAS)),
        ("bytes", f"{integer_bytes} from {report.onnx_bytes}"),
    ]


def _show(value: float | None, form: str) -> str:
    return "unknown" if value is None else format(value, form)
