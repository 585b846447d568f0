"""What a model's author says of it after publishing, on the chain and outside consensus.

A notice is the data of a plain transaction from the author to the model's account: that account's
code stops at once, so the network charges for the bytes and does nothing else. The transaction's
signature is the author's. Each node that follows the chain reads the same notices in the same
order; nothing that they say keeps a contract from calling the model.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from node.models.errors import MalformedModel
from node.models.torrent import INFOHASH_BYTES
from node.spec import rlp
from node.spec.crypto import keccak

MAGIC = keccak(b"model notice 1")[:8]
ADDRESS_BYTES = 20
MAX_TEXT_BYTES = 256
#: Test sets of one model that are shown, the newest.
MAX_TEST_SETS = 16


@dataclass(frozen=True)
class Withdrawn:
    """It is offered no longer; ``successor`` is the model to use instead, empty if none."""

    successor: bytes = b""


@dataclass(frozen=True)
class Offered:
    """It is offered again."""


@dataclass(frozen=True)
class Replaces:
    """This model is the new version of another (the address of that)."""

    predecessor: bytes


@dataclass(frozen=True)
class Located:
    """The folder of this CID on IPFS holds the model's files."""

    cid: str


@dataclass(frozen=True)
class LabelledSet:
    """Inputs and the labels expected for them: two contents, each a published input."""

    inputs: bytes
    """Infohash of an ``.npy`` of shape (items, *input shape)."""
    labels: bytes
    """Infohash of an ``.npy`` of shape (items,): the class of each."""
    comment: str = ""


Notice = Withdrawn | Offered | Replaces | Located | LabelledSet


@dataclass(frozen=True)
class Standing:
    """What holds of a model by all notices of its author."""

    is_withdrawn: bool = False
    successor: bytes = b""
    predecessor: bytes = b""
    cid: str = ""
    test_sets: tuple[LabelledSet, ...] = ()
    """The newest last."""


def encode_notice(notice: Notice) -> bytes:
    """Data of the transaction that gives it."""
    match notice:
        case Withdrawn():
            fields = [b"withdrawn", notice.successor]
        case Offered():
            fields = [b"offered"]
        case Replaces():
            fields = [b"replaces", notice.predecessor]
        case Located():
            fields = [b"located", notice.cid.encode()]
        case LabelledSet():
            fields = [b"tests", notice.inputs, notice.labels, notice.comment.encode()]
    encoded = MAGIC + rlp.encode([*fields])
    decode_notice(encoded)
    return encoded


def decode_notice(data: bytes) -> Notice:
    """Raises `MalformedModel` where the data is no notice."""
    try:
        kind, *fields = (
            rlp.decode_bytes(item) for item in rlp.decode_list(rlp.decode(data.removeprefix(MAGIC)))
        )
        if data.startswith(MAGIC):
            return _read(kind, fields)
    except (rlp.RlpError, UnicodeDecodeError, ValueError) as error:
        raise MalformedModel(f"the notice cannot be read: {error}") from error
    raise MalformedModel("the data is no notice")


def summarise(notices: Iterable[bytes]) -> Standing:
    """What an author's transactions to a model say, oldest first; what is no notice is passed
    over."""
    standing = Standing()
    for data in notices:
        try:
            standing = _apply(standing, decode_notice(data))
        except MalformedModel:
            continue
    return standing


def _apply(standing: Standing, notice: Notice) -> Standing:
    match notice:
        case Withdrawn():
            return replace(standing, is_withdrawn=True, successor=notice.successor)
        case Offered():
            return replace(standing, is_withdrawn=False, successor=b"")
        case Replaces():
            return replace(standing, predecessor=notice.predecessor)
        case Located():
            return replace(standing, cid=notice.cid)
        case LabelledSet():
            others = [each for each in standing.test_sets if each != notice]
            return replace(standing, test_sets=(*others, notice)[-MAX_TEST_SETS:])


def _read(kind: bytes, fields: list[bytes]) -> Notice:
    """Raises `ValueError`."""
    match kind, fields:
        case b"withdrawn", [successor]:
            return Withdrawn(_sized(successor, ADDRESS_BYTES) if successor else b"")
        case b"offered", []:
            return Offered()
        case b"replaces", [predecessor]:
            return Replaces(_sized(predecessor, ADDRESS_BYTES))
        case b"located", [cid]:
            return Located(_text(cid))
        case b"tests", [inputs, labels, comment]:
            return LabelledSet(
                _sized(inputs, INFOHASH_BYTES), _sized(labels, INFOHASH_BYTES), _text(comment)
            )
    raise ValueError(f"there is no notice {kind[:32]!r} of {len(fields)} fields")


def _sized(value: bytes, size: int) -> bytes:
    if len(value) != size:
        raise ValueError(f"{size} bytes are wanted, not {len(value)}")
    return value


def _text(value: bytes) -> str:
    if len(value) > MAX_TEXT_BYTES:
        raise ValueError(f"a text has at most {MAX_TEXT_BYTES} bytes")
    return value.decode()
