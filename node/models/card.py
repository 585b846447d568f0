"""A model's card: the metadata of the whitepaper's table 2, beyond what consensus knows.

The chain has one free text for a model, its comment. The first line is the title. The second, if
there is one, is the card as JSON, or ``card:`` and the infohash of a file in the storage layer
that holds it; so the author's transaction commits to every word of it either way.
"""

from __future__ import annotations

from math import prod
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from node.models.errors import MalformedModel, ModelNotFound
from node.models.storage import DATA, Storage
from node.models.torrent import INFOHASH_BYTES, describe_file
from node.spec.cvm import Graph
from node.spec.cvm.operators.operator import limit_of
from node.spec.meta import ModelMeta

#: A comment costs 36 gas a byte; a longer card goes to the storage layer.
COMMENT_BYTES_LIMIT = 768
CARD_BYTES_LIMIT = 16 * 1024
REFERENCE = "card:"

Text = Annotated[str, Field(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f]+$")]
Shape = Annotated[tuple[Annotated[int, Field(ge=1, le=1 << 24)], ...], Field(max_length=6)]
Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class InputCard(_Record):
    rank: Annotated[int, Field(ge=0, le=6)]
    """Dimensions of one input."""
    size: Annotated[int, Field(ge=1, le=1 << 30)]
    """Elements of one input."""
    dataset: Text
    """What it was trained on."""
    shape: Shape

    @model_validator(mode="after")
    def _is_consistent(self) -> InputCard:
        if self.rank != len(self.shape) or self.size != prod(self.shape):
            raise ValueError(f"rank {self.rank} and size {self.size} do not fit {self.shape}")
        return self


class OutputCard(_Record):
    dtype: Literal["int8", "int32"]
    range: tuple[Int32, Int32]
    """Least and greatest value of an element."""
    prediction: Text
    """What the values mean, such as ``class scores``."""
    shape: Shape

    @model_validator(mode="after")
    def _is_consistent(self) -> OutputCard:
        if self.range[0] > self.range[1]:
            raise ValueError("range: the least value comes first")
        return self


class ModelCard(_Record):
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    """The model's infohash."""
    field: Text
    """What it is for, such as ``image classification``."""
    method: Text
    """Such as ``convolutional network``."""
    training: bool
    """Whether it is still being trained, so that a better one may follow."""
    loss: Text
    """The loss that was minimised, and the value reached if that is known."""
    input: InputCard
    output: OutputCard

    def encode(self) -> bytes:
        """The one JSON form."""
        return self.model_dump_json().encode()


def read_card(content: bytes) -> ModelCard:
    """Raises `MalformedModel`, saying which field is at fault."""
    if len(content) > CARD_BYTES_LIMIT:
        raise MalformedModel(f"a card has at most {CARD_BYTES_LIMIT} bytes, not {len(content)}")
    try:
        return ModelCard.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedModel(f"the card's {where or 'JSON'}: {first['msg']}") from error


def describe_graph(
    graph: Graph,
    digest: bytes,
    *,
    field: str,
    method: str,
    loss: str,
    dataset: str,
    prediction: str,
    training: bool = False,
) -> ModelCard:
    """A card whose shapes, type and range are those of the graph. Raises `MalformedModel`."""
    inputs = _one_item(graph.input_shape)
    bits = 8 * graph.output_type_bytes
    limit = min(max(limit_of(graph.precisions[head]) for head in graph.heads), 2**31 - 1)
    least = 0 if graph.postprocess == "argmax" else -limit
    values = {
        "digest": digest.hex(),
        "field": field,
        "method": method,
        "training": training,
        "loss": loss,
        "input": {
            "rank": len(inputs),
            "size": prod(inputs),
            "dataset": dataset,
            "shape": inputs,
        },
        "output": {
            "dtype": f"int{bits}",
            "range": (least, limit),
            "prediction": prediction,
            "shape": _one_item(graph.output_shapes[0]),
        },
    }
    try:
        return ModelCard.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        raise MalformedModel(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _one_item(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without the leading 1 of a batch, as the chain's metadata has it."""
    return shape[1:] if len(shape) > 1 and shape[0] == 1 else shape


def attach_card(title: str, card: ModelCard) -> tuple[str, bytes | None]:
    """The comment for the chain; and the file for the storage layer, where the card is too long
    to stand in the comment itself."""
    if "\n" in title:
        raise MalformedModel("a title is one line")
    content = card.encode()
    inline = f"{title}\n{content.decode()}"
    if len(inline.encode()) <= COMMENT_BYTES_LIMIT:
        return inline, None
    return f"{title}\n{REFERENCE}{describe_file(content).infohash.hex()}", content


def find_title(meta: ModelMeta) -> str:
    """The first line of the comment, at most 120 characters."""
    return meta.comment.decode(errors="replace").partition("\n")[0][:120]


def find_card(meta: ModelMeta, storage: Storage) -> ModelCard | None:
    """The card that the comment holds or names; None where it does neither.

    Raises:
        MalformedModel: there is one, and it is wrong or another model's.
        ModelNotFound, ModelCorrupt: the storage does not hold it, or not whole.
    """
    content = _find_content(meta, storage)
    if content is None:
        return None
    card = read_card(content)
    for what, stated, known in (
        ("digest", card.digest, meta.hash.hex()),
        ("input shape", card.input.shape, meta.input_shape),
        ("output shape", card.output.shape, meta.output_shape),
    ):
        if stated != known:
            raise MalformedModel(f"the card's {what} is {stated}, the model's {known}")
    return card


def find_reference(comment: bytes) -> bytes | None:
    """Infohash of the file that a comment names as its card; None where it names none."""
    rest = comment.partition(b"\n")[2]
    if not rest.startswith(REFERENCE.encode()):
        return None
    try:
        found = bytes.fromhex(rest[len(REFERENCE) :].decode())
    except ValueError:
        return None
    return found if len(found) == INFOHASH_BYTES else None


def _find_content(meta: ModelMeta, storage: Storage) -> bytes | None:
    _, _, rest = meta.comment.partition(b"\n")
    if rest.startswith(b"{"):
        return rest
    infohash = find_reference(meta.comment)
    if infohash is None:
        return None
    if not storage.contains(infohash):
        raise ModelNotFound(f"the card {infohash.hex()} is not stored here yet")
    return storage.read(infohash, DATA)
