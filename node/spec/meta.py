"""Metadata of models and inputs: the code of a meta contract (cortex-protocol §4).

Code is 00 01 ‖ RLP of a model's metadata, or 00 02 ‖ RLP of an input's. Decoding is as strict as
the network's: wrong lengths, surplus fields and trailing bytes raise `rlp.RlpError`.
"""

from __future__ import annotations

from dataclasses import dataclass

from node.spec import rlp

MODEL_PREFIX = b"\x00\x01"
INPUT_PREFIX = b"\x00\x02"

#: Of a block number, which the network reads as an integer of any size.
_ANY_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class ModelMeta:
    comment: bytes
    hash: bytes
    """20 bytes: the BitTorrent v1 infohash of its files."""
    raw_size: int
    """Bytes of its files, which have to be uploaded."""
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    gas: int
    """What its author is paid for each inference."""
    author: bytes
    block_num: int

    def encode(self) -> bytes:
        """The contract's code, prefix included."""
        number = rlp.encode_int
        return MODEL_PREFIX + rlp.encode(
            [
                self.comment,
                self.hash,
                number(self.raw_size),
                [number(n) for n in self.input_shape],
                [number(n) for n in self.output_shape],
                number(self.gas),
                self.author,
                number(self.block_num),
            ]
        )

    @classmethod
    def decode(cls, code: bytes) -> ModelMeta:
        comment, infohash, size, inputs, outputs, gas, author, block = _fields(
            code, MODEL_PREFIX, 8
        )
        return cls(
            comment=rlp.decode_bytes(comment),
            hash=rlp.decode_bytes(infohash, 20),
            raw_size=rlp.decode_int(size, 8),
            input_shape=_shape(inputs),
            output_shape=_shape(outputs),
            gas=rlp.decode_int(gas, 8),
            author=rlp.decode_bytes(author, 20),
            block_num=rlp.decode_int(block, _ANY_BYTES),
        )


@dataclass(frozen=True, slots=True)
class InputMeta:
    comment: bytes
    hash: bytes
    raw_size: int
    shape: tuple[int, ...]
    block_num: int

    def encode(self) -> bytes:
        """The contract's code, prefix included."""
        number = rlp.encode_int
        shape: rlp.Item = [number(n) for n in self.shape]
        size, block = number(self.raw_size), number(self.block_num)
        return INPUT_PREFIX + rlp.encode([self.comment, self.hash, size, shape, block])

    @classmethod
    def decode(cls, code: bytes) -> InputMeta:
        comment, infohash, size, shape, block = _fields(code, INPUT_PREFIX, 5)
        return cls(
            comment=rlp.decode_bytes(comment),
            hash=rlp.decode_bytes(infohash, 20),
            raw_size=rlp.decode_int(size, 8),
            shape=_shape(shape),
            block_num=rlp.decode_int(block, _ANY_BYTES),
        )


def is_model(code: bytes) -> bool:
    return code[:2] == MODEL_PREFIX


def is_input(code: bytes) -> bool:
    return code[:2] == INPUT_PREFIX


def decode_meta(code: bytes) -> ModelMeta | InputMeta:
    """Whichever of the two the prefix says; raises `rlp.RlpError` where it says neither."""
    return ModelMeta.decode(code) if is_model(code) else InputMeta.decode(code)


def _fields(code: bytes, prefix: bytes, count: int) -> list[rlp.Decoded]:
    if code[:2] != prefix:
        raise rlp.RlpError(f"metadata of this kind starts with {prefix.hex()}")
    return rlp.decode_list(rlp.decode(code[2:]), count)


def _shape(item: rlp.Decoded) -> tuple[int, ...]:
    return tuple(rlp.decode_int(n, 8) for n in rlp.decode_list(item))
