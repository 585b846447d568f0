"""``farmctl model``: publish, update, withdraw, test sets, and where the files lie."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from farmctl.client import ApiClient
from farmctl.commands import find_group
from farmctl.commands.models import CARD, parse_hex
from farmctl.config import Config, load
from farmctl.errors import BadRequest, NotFound, Refused, Unavailable
from farmctl.files import read_file
from farmctl.model_files import read_model
from farmctl.node_home import need_chain
from farmctl.publishing.author import Author
from farmctl.publishing.journal import open_journal
from farmctl.publishing.notices import give_notice
from farmctl.publishing.publication import Publication, Published
from node.chains import find_chain
from node.errors import NodeError
from node.issuance import COIN
from node.key import load_key
from node.models.card import attach_card, read_card
from node.models.errors import StorageError
from node.models.metadata import describe_input, describe_model
from node.models.notices import (
    ADDRESS_BYTES,
    LabelledSet,
    Located,
    Notice,
    Offered,
    Replaces,
    Withdrawn,
)
from node.models.storage import DATA, PARAMETERS, SYMBOL
from node.spec.cvm import CvmError
from node.spec.meta import InputMeta, ModelMeta

POLL_SECONDS = 0.5

Folder = Annotated[Path, typer.Argument(help="Folder with symbol and params.")]
Address = Annotated[str, typer.Argument(help="The model's address, 0x….")]
Key = Annotated[
    Path | None, typer.Option(help="File of the author's key (hex); else the farm's own.")
]
Comment = Annotated[str, typer.Option(help="What it is, in a few words.")]
Gas = Annotated[int, typer.Option(min=0, max=20_000, help="The author's share of each call.")]


def quote(folder: Folder, comment: Comment = "", gas: Gas = 0, key: Key = None) -> None:
    """Show what publishing a model costs, and how long it takes at least."""
    with _author(load(), key) as author:
        meta, _, _ = _read_model(folder, author, gas, comment)
        _print_quote(author, meta)


def publish(
    folder: Folder,
    comment: Comment = "",
    gas: Gas = 0,
    key: Key = None,
    replaces: Annotated[str, typer.Option(help="Address of its earlier version.")] = "",
) -> None:
    """Publish a model: files to the storage, metadata and uploads to the chain.

    Broken off, the same command goes on and pays for nothing twice.
    """
    config = load()
    replaced = _address(replaces) if replaces else None
    with _author(config, key) as author:
        meta, files, card = _read_model(folder, author, gas, comment)
        _print_quote(author, meta)
        if card is not None:
            _keep(config, {DATA: card})
        published = _publish(config, author, meta, files)
        if replaced is not None:
            successor = _address(published.address)
            give_notice(author, successor, Replaces(replaced))
            give_notice(author, replaced, Withdrawn(successor))
    typer.echo(f"{published.address} is published, infohash {published.infohash}")


def withdraw(
    address: Address,
    successor: Annotated[str, typer.Option(help="Model to use instead.")] = "",
    key: Key = None,
) -> None:
    """Offer a model no longer; contracts that call it are served as before."""
    _say(address, Withdrawn(_address(successor) if successor else b""), key)


def offer(address: Address, key: Key = None) -> None:
    """Offer a withdrawn model again."""
    _say(address, Offered(), key)


def locate(
    address: Address,
    cid: Annotated[str, typer.Argument(help="CID of the folder with its files on IPFS.")],
    key: Key = None,
) -> None:
    """Tell the network where on IPFS a model's files lie."""
    _say(address, Located(cid), key)


def add_tests(
    address: Address,
    inputs: Annotated[Path, typer.Argument(help=".npy of shape (items, *input), integers.")],
    labels: Annotated[Path, typer.Argument(help=".npy of the class of each.")],
    comment: Comment = "",
    key: Key = None,
) -> None:
    """Publish a test set for a model of yours: inputs and the labels expected."""
    config = load()
    model = _address(address)
    with _author(config, key) as author:
        contents = [read_file(path) for path in (inputs, labels)]
        metas = [_describe_input(content, comment) for content in contents]
        for meta, content in zip(metas, contents, strict=True):
            _publish(config, author, meta, {DATA: content})
        give_notice(author, model, LabelledSet(metas[0].hash, metas[1].hash, comment))
    typer.echo(f"published; `farmctl model evaluate {address}` runs it")


def evaluate(
    address: Address,
    number: Annotated[int, typer.Option(help="Which test set; -1 is the newest.")] = -1,
) -> None:
    """Run a model's published test set on the farm's INFER workers and show its accuracy."""
    client = ApiClient(load())
    path = f"/v1/models/{address}/evaluation?number={number}"
    found = client.post(f"{path}&again=true")
    with _bar() as bar:
        task = bar.add_task("evaluate", total=None)
        while found["state"] == "running":
            time.sleep(POLL_SECONDS)
            found = client.post(path)
            bar.update(task, completed=found["done"], total=found["items"] or None)
    if found["state"] == "failed":
        raise Unavailable(f"after {found['done']} of {found['items']}: {found['detail']}")
    typer.echo(
        f"{found['right']} of {found['items']} right: accuracy {found['accuracy']:.2%}, "
        f"{found['seconds'] / max(1, found['items']) * 1000:.1f} ms an item"
    )


def where(address: Address) -> None:
    """Show where a model's files lie, how many copies are known, and what its author says."""
    found = ApiClient(load()).get(f"/v1/models/{address}")["model"]
    fetched = found["fetched_ratio"]
    here = "yes" if found["here"] else "no" if fetched is None else f"{fetched:.0%} of it, coming"
    table = Table(show_header=False, box=None)
    for name, value in (
        ("infohash", found["infohash"]),
        ("here", here),
        ("copies", f"{found['copies']} known, {found['copies_required']} wanted"),
        ("problem", found["storage_problem"] or "none"),
        ("usable", "yes" if found["usable"] else found["reason"]),
        ("offered", "no, withdrawn" if found["withdrawn"] else "yes"),
        ("successor", found["successor"] or "none"),
        ("replaces", found["replaces"] or "none"),
        ("on IPFS", found["cid"] or "not said"),
        ("test sets", str(len(found["test_sets"]))),
    ):
        table.add_row(name, value)
    Console(markup=False).print(table)


def register(app: typer.Typer) -> None:
    group = find_group(app, "model")
    for name, command in (
        ("quote", quote),
        ("publish", publish),
        ("withdraw", withdraw),
        ("offer", offer),
        ("locate", locate),
        ("add-tests", add_tests),
        ("evaluate", evaluate),
        ("where", where),
    ):
        group.command(name)(command)


@contextmanager
def _author(config: Config, key: Path | None) -> Iterator[Author]:
    try:
        if key is not None and not key.exists():
            raise NotFound(f"there is no key in {key}")
        author = Author(config.node_url, load_key(key or config.home / "node" / "key"))
    except (NodeError, OSError) as error:
        raise BadRequest(str(error)) from error
    try:
        yield author
    finally:
        author.close()


def _publish(
    config: Config, author: Author, meta: ModelMeta | InputMeta, files: dict[str, bytes]
) -> Published:
    kept = _keep(config, files)
    if kept != meta.hash.hex():
        raise Refused(f"the storage names the files {kept}, the metadata {meta.hash.hex()}")
    name = f"{author.address.hex()}-{meta.hash.hex()}.json"
    journal = open_journal(config.home / "publishing" / name)
    with _bar() as bar:
        task = bar.add_task("metadata", total=None)

        def show(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total)

        return Publication(author, find_chain(config.node.chain), meta, journal, show).run()


def _keep(config: Config, files: dict[str, bytes]) -> str:
    """Put files into the node's storage; their infohash."""
    client = ApiClient(config)
    artifacts = {name: client.put_file(content) for name, content in files.items()}
    infohash: str = client.post("/v1/storage", {"files": artifacts})["infohash"]
    return infohash


def _say(address: str, notice: Notice, key: Path | None) -> None:
    with _author(load(), key) as author:
        standing = give_notice(author, _address(address), notice)
    state = "withdrawn" if standing["withdrawn"] else "offered"
    typer.echo(f"{address} is {state}; said on the chain by 0x{author.address.hex()}")


def _print_quote(author: Author, meta: ModelMeta | InputMeta) -> None:
    found = author.call("ctxc_quotePublication", "0x" + meta.encode().hex())
    number = {name: int(value, 16) for name, value in found.items()}
    table = Table(show_header=False, box=None)
    for name, value in (
        ("size", f"{number['rawSize']} bytes"),
        ("metadata", f"{number['creationGas']} gas"),
        ("uploads", f"{number['uploads']} × {number['uploadGas']} gas"),
        ("price", f"{Decimal(number['price']) / COIN:f} coins at {number['gasPrice']} wei a gas"),
        ("time", f"at least {number['blocks']} blocks until contracts may use it"),
        ("paid by", f"0x{author.address.hex()}, which has {_coins(author.balance())} coins"),
    ):
        table.add_row(name, value)
    Console(markup=False).print(table)


def _coins(wei: int) -> str:
    return f"{Decimal(wei) / COIN:.6f}"


def _read_model(
    folder: Path, author: Author, gas: int, comment: str
) -> tuple[ModelMeta, dict[str, bytes], bytes | None]:
    """Metadata and files; and the card, where it is too long to stand in the metadata."""
    symbol, parameters = read_model(folder)
    card = None
    try:
        if (folder / CARD).exists():
            comment, card = attach_card(comment, read_card(read_file(folder / CARD)))
        meta = describe_model(
            symbol,
            parameters,
            author=author.address,
            gas=gas,
            comment=comment,
            extended=need_chain(load().node.chain).vm.extended_models,
        )
    except (CvmError, StorageError) as error:
        raise BadRequest(f"{folder}: {error}") from error
    return meta, {SYMBOL: symbol, PARAMETERS: parameters}, card


def _describe_input(content: bytes, comment: str) -> InputMeta:
    try:
        return describe_input(content, comment)
    except StorageError as error:
        raise BadRequest(str(error)) from error


def _address(text: str) -> bytes:
    return parse_hex(text, ADDRESS_BYTES)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(30), MofNCompleteColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
