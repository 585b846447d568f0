"""What is said over the connection of a browser that lends its processor (``/v1/lend``): JSON,
one message a frame. Nothing that a browser says is trusted: answers are verified, figures shown.

========  =============================================================================
browser   `Hello` first; then `Found`, `Searched`, `Inferred`, `Failed`, `Paused`
farm      `Search` (takes the place of the one before), `Infer`, `Rest`; `Standing` to be
          shown; `RefusedBrowser` before it closes
========  =============================================================================
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

#: Of one message either way; browsers compute small models.
MESSAGE_BYTES_LIMIT = 2 * 1024 * 1024
GRAPHS_LIMIT = 4096
#: Of one graph; more cycles than any graph was seen to have.
EDGES_LIMIT = 64
DETAIL_LIMIT = 300

Text = Annotated[str, Field(max_length=DETAIL_LIMIT)]
Number = Annotated[int, Field(ge=0, lt=2**53)]


class Form(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, ser_json_bytes="base64", val_json_bytes="base64"
    )


class Hello(Form):
    kind: Literal["hello"] = "hello"
    hardware_id: str = Field(pattern=r"^[0-9a-f-]{16,64}$")
    """Drawn by the browser once, and kept."""
    model: str = Field(min_length=1, max_length=120)
    cores: int = Field(ge=1, le=1024)
    memory_bytes: Number | None = None


class Found(Form):
    """A cycle in graph ``graph`` of a search."""

    kind: Literal["found"] = "found"
    id: Number
    graph: int = Field(ge=0, lt=GRAPHS_LIMIT)
    edges: tuple[Annotated[int, Field(ge=0, lt=2**32)], ...] = Field(max_length=EDGES_LIMIT)


class Searched(Form):
    """So many further graphs of a search are done."""

    kind: Literal["searched"] = "searched"
    id: Number
    graphs: int = Field(ge=0, le=GRAPHS_LIMIT)


class Inferred(Form):
    kind: Literal["inferred"] = "inferred"
    id: Number
    output: bytes
    """Each head's int32 tensor, little-endian, one after another."""


class Failed(Form):
    """What was asked could not be computed."""

    kind: Literal["failed"] = "failed"
    id: Number
    detail: Text


class Paused(Form):
    """It rests, by its owner's will or battery; an empty reason: it goes on."""

    kind: Literal["paused"] = "paused"
    reason: Text


FromBrowser = Annotated[
    Hello | Found | Searched | Inferred | Failed | Paused, Field(discriminator="kind")
]
READER: TypeAdapter[FromBrowser] = TypeAdapter(FromBrowser)


class Search(Form):
    kind: Literal["search"] = "search"
    id: int
    keys: tuple[str, ...]
    """Of each graph: the 32 bytes of its four siphash keys, hex."""
    edge_bits: int
    rounds: tuple[int, int]
    proof_size: int
    cycle: int


class Infer(Form):
    kind: Literal["infer"] = "infer"
    id: int
    text: str
    """The flat form of a program (drivers/cpu/native/farmcpu.h)."""
    parameters: bytes
    input: bytes


class Rest(Form):
    kind: Literal["rest"] = "rest"


class Standing(Form):
    """How the farm sees the browser."""

    kind: Literal["standing"] = "standing"
    device: str
    workload: str
    detail: str
    proved: bool
    shares_accepted: int
    shares_refused: int
    answers_right: int
    answers_wrong: int


class RefusedBrowser(Form):
    kind: Literal["refused"] = "refused"
    reason: str
