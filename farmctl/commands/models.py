"""``farmctl model``: models on the chain (list, show, score), and what a model says of itself
(describe) or is a copy of (compare)."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from farmctl.client import ApiClient
from farmctl.commands import find_group
from farmctl.config import load as load_config
from farmctl.errors import BadRequest, NotFound, StoreError
from farmctl.model_files import load_model, read_model
from node.chains import find_chain
from node.errors import NodeError
from node.issuance import COIN
from node.key import load_key
from node.models.card import describe_graph, read_card
from node.models.errors import MalformedModel
from node.models.fingerprint import fingerprint
from node.models.likeness import Likeness, compare
from node.models.scores import MICRO, Metric, Statement
from node.models.storage import PARAMETERS, SYMBOL
from node.models.torrent import describe_folder

CARD = "card.json"
Address = Annotated[str, typer.Argument(help="Address of the model on the chain.")]
Folder = Annotated[Path, typer.Argument(help="Folder with symbol and params.")]


def list_models(
    by: Annotated[str, typer.Option(help="newest, calls, accuracy, recall or speed.")] = "calls",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
) -> None:
    """List the models on the chain, the best first."""
    found = ApiClient(load_config()).get("/v1/models", by=by, limit=limit)
    table = Table(
        *(Column(name, overflow="fold") for name in ("model", "field")),
        *(Column(name, justify="right") for name in ("calls", "accuracy", "recall", "speed")),
        Column("address", no_wrap=True),
        *(Column(name, overflow="fold") for name in ("usable", "copy of")),
        box=None,
    )
    for model in found:
        card, copied = model["card"], model["copy_of"]
        table.add_row(
            model["comment"] or "no description",
            card["field"] if card else "",
            str(model["calls"]),
            *(_rating(model, metric) for metric in Metric),
            model["address"],
            "yes" if model["usable"] else model["reason"],
            f"{copied['address']}: {copied['kind']}" if copied else "",
        )
    Console(markup=False).print(table if found else "no model has been published")


def show(address: Address) -> None:
    """Show a model on the chain: its card, scores, price, and what it is a copy of."""
    found = ApiClient(load_config()).get(f"/v1/models/{address}")
    model, cost = found["model"], found["cost"]
    table = Table(show_header=False, box=None)
    for name in ("comment", "infohash", "author", "calls", "created"):
        table.add_row(name, str(model[name]))
    table.add_row("usable", "yes" if model["usable"] else model["reason"])
    for name, value in _card_rows(model["card"]):
        table.add_row(name, value)
    if model["card_problem"]:
        table.add_row("card", model["card_problem"])
    if cost:
        coins = int(cost["infer_fee_wei"]) / COIN
        table.add_row("one INFER", f"{cost['infer_gas']} gas, {coins:g} coins now")
    for score in found["scores"]:
        table.add_row(
            score["metric"],
            f"{score['value']:g} by {score['scorer']} on test set {score['test_set']}",
        )
    for each in found["likenesses"]:
        table.add_row("copy of", f"{each['earlier']}: {each['kind']}, cosine {each['cosine']:.4f}")
    if found["comparison_pending"]:
        table.add_row("copies", found["comparison_pending"])
    Console(markup=False).print(table)


def compare_models(
    earlier: Annotated[str, typer.Argument(help="Folder, or address on the chain.")],
    later: Annotated[str, typer.Argument(help="The same, of the other model.")],
) -> None:
    """Compare two models: equal, renamed, permuted, scaled, fine-tuned, or made apart."""
    left, right = Path(earlier), Path(later)
    if left.is_dir() and right.is_dir():
        found = _plain(compare(fingerprint(load_model(left)), fingerprint(load_model(right))))
    elif earlier.startswith("0x") and later.startswith("0x"):
        found = ApiClient(load_config()).get("/v1/models/compare", earlier=earlier, later=later)
    else:
        raise BadRequest("give two folders with symbol and params, or two addresses")
    table = Table(show_header=False, box=None)
    for name, value in (
        ("found", found["kind"]),
        ("a copy", "yes" if found["is_copy"] else "no"),
        ("cosine, channels matched", f"{found['cosine']:.4f}"),
        ("cosine as they stand", f"{found['plain_cosine']:.4f}"),
        ("weights compared", f"{found['covered']:.1%} of the earlier model's"),
        ("tensors identical", f"{found['identical_tensors']} of {found['tensors']}"),
        ("architecture", "the same" if found["same_architecture"] else "another"),
    ):
        table.add_row(name, value)
    Console(markup=False).print(table)


def describe(
    folder: Folder,
    field: Annotated[str, typer.Option(help="What it is for, e.g. image classification.")],
    method: Annotated[str, typer.Option(help="E.g. convolutional network.")],
    loss: Annotated[str, typer.Option(help="What was minimised, and the value reached.")],
    dataset: Annotated[str, typer.Option(help="What it was trained on.")],
    prediction: Annotated[str, typer.Option(help="What its outputs mean.")],
    training: Annotated[bool, typer.Option(help="It is still being trained.")] = False,
) -> None:
    """Write card.json beside a model: what buyers want to know, with its shapes and ranges."""
    try:
        card = describe_graph(
            load_model(folder),
            _infohash(folder),
            field=field,
            method=method,
            loss=loss,
            dataset=dataset,
            prediction=prediction,
            training=training,
        )
    except MalformedModel as error:
        raise BadRequest(str(error)) from error
    path = folder / CARD
    try:
        path.write_bytes(card.encode() + b"\n")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from error
    typer.echo(f"{path}: {len(card.encode())} bytes")


def score(
    address: Address,
    metric: Annotated[Metric, typer.Option(help="What was measured.")],
    value: Annotated[str, typer.Option(help="0 … 1, or inferences a second.")],
    test_set: Annotated[str, typer.Option(help="Infohash of the test set.")],
    key: Annotated[
        Path | None, typer.Option(help="File of the scorer's key; else the node's own.")
    ] = None,
) -> None:
    """Sign a score of a model as a third party, and give it to the node."""
    config = load_config()
    client = ApiClient(config)
    if key is not None and not key.is_file():
        raise NotFound(f"there is no key at {key}")
    try:
        secret = load_key(key or config.home / "node" / "key")
        stated = Statement(
            find_chain(config.node.chain).chain_id,
            parse_hex(address, 20),
            metric,
            _parse_value(value),
            parse_hex(test_set, 20),
            _next_issue(client, address),
        )
    except NodeError as error:
        raise BadRequest(str(error)) from error
    body = {
        "metric": str(metric),
        "value": f"{stated.value:.6f}",
        "test_set": test_set,
        "issue": stated.issue,
        "signature": "0x" + stated.sign(secret).hex(),
    }
    found = client.post(f"/v1/models/{address}/scores", body)
    typer.echo(f"kept: {found['metric']} {found['value']:g} by {found['scorer']}")


def read_folder_card(folder: Path) -> list[tuple[str, str]]:
    """Rows of the card beside a model; none where there is no card."""
    path = folder / CARD
    if not path.exists():
        return []
    try:
        return _card_rows(read_card(path.read_bytes()).model_dump(mode="json"))
    except MalformedModel as error:
        return [("card", str(error))]


def _next_issue(client: ApiClient, address: str) -> int:
    scores = client.get(f"/v1/models/{address}")["scores"]
    return max((each["issue"] for each in scores), default=-1) + 1


def _card_rows(card: dict[str, Any] | None) -> list[tuple[str, str]]:
    if card is None:
        return []
    inputs, outputs = card["input"], card["output"]
    shapes = ("×".join(map(str, each["shape"])) or "one value" for each in (inputs, outputs))
    low, high = outputs["range"]
    return [
        ("field", card["field"]),
        ("method", card["method"]),
        ("loss", card["loss"]),
        ("training", "goes on" if card["training"] else "finished"),
        ("trained on", inputs["dataset"]),
        ("input", f"{next(shapes)}, {inputs['size']} elements"),
        ("output", f"{next(shapes)} of {outputs['dtype']} in {low} … {high}"),
        ("prediction", outputs["prediction"]),
    ]


def _rating(model: dict[str, Any], metric: Metric) -> str:
    rating = model["ratings"].get(metric)
    return f"{rating['median']:g} ({rating['scorers']})" if rating else "—"


def _plain(found: Likeness) -> dict[str, Any]:
    return {**vars(found), "kind": str(found.kind), "is_copy": found.is_copy}


def _infohash(folder: Path) -> bytes:
    symbol, parameters = read_model(folder)
    return describe_folder({SYMBOL: symbol, PARAMETERS: parameters}).infohash


def parse_hex(text: str, size: int) -> bytes:
    """``size`` bytes, with or without ``0x``. Raises `BadRequest`."""
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != size:
        raise BadRequest(f"{text!r}: expected {2 * size} hex digits")
    return found


def _parse_value(text: str) -> int:
    try:
        micro = Decimal(text) * MICRO
        whole = int(micro)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise BadRequest(f"--value {text!r} is no number") from error
    if whole != micro:
        raise BadRequest("--value has at most six places after the point")
    return whole


def register(app: typer.Typer) -> None:
    model = find_group(app, "model")
    model.command("list")(list_models)
    model.command("show")(show)
    model.command("compare")(compare_models)
    model.command("describe")(describe)
    model.command("score")(score)
