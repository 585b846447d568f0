"""Metadata of a model or an input, made from its files for the transaction that publishes it."""

from __future__ import annotations

from node.models.errors import MalformedModel
from node.models.input_file import read_input_shape
from node.models.storage import PARAMETERS, SYMBOL
from node.models.torrent import describe_file, describe_folder
from node.spec.cvm import load
from node.spec.meta import InputMeta, ModelMeta

#: An author may ask at most so much gas for each inference of a model that shall be usable.
AUTHOR_GAS_LIMIT = 20_000


def describe_model(
    symbol: bytes,
    parameters: bytes,
    *,
    author: bytes,
    gas: int = 0,
    comment: str = "",
    extended: bool = False,
) -> ModelMeta:
    """Metadata of a model, whose files are loaded for it.

    Args:
        author: Address (20 bytes) that is paid for each inference.
        gas: What the author asks for each inference, at most `AUTHOR_GAS_LIMIT`.
        extended: The chain allows the extension form.

    Raises:
        CvmLoadError: the files are no valid model.
        MalformedModel: author or gas are out of range.
    """
    if len(author) != 20 or not 0 <= gas <= AUTHOR_GAS_LIMIT:
        raise MalformedModel(f"author must have 20 bytes and gas be 0…{AUTHOR_GAS_LIMIT}")
    graph = load(symbol, parameters, extended=extended)
    return ModelMeta(
        comment=comment.encode(),
        hash=describe_folder({SYMBOL: symbol, PARAMETERS: parameters}).infohash,
        raw_size=len(symbol) + len(parameters),
        input_shape=without_batch(graph.input_shape),
        output_shape=without_batch(graph.output_shapes[0]),
        gas=gas,
        author=author,
        block_num=0,
    )


def describe_input(content: bytes, comment: str = "") -> InputMeta:
    """Metadata of an input file; raises `MalformedModel` where it is none."""
    return InputMeta(
        comment=comment.encode(),
        hash=describe_file(content).infohash,
        raw_size=len(content),
        shape=read_input_shape(content),
        block_num=0,
    )


def without_batch(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape as metadata has it: one item, without the leading 1 of a batch."""
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape
