"""Legacy transactions of nine fields, signed before or after EIP-155 (cortex-protocol §2)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from node.spec import rlp
from node.spec.crypto import CURVE_ORDER, keccak, recover_address, sign_digest
from node.spec.errors import InvalidTransaction, Reason

if TYPE_CHECKING:
    from node.spec.chain import Chain


@dataclass(frozen=True)
class Transaction:
    """A signed transaction. Amounts in wei; ``to`` is None where a contract is created."""

    nonce: int
    gas_price: int
    gas: int
    to: bytes | None
    value: int
    data: bytes
    v: int = 0
    r: int = 0
    s: int = 0

    def payload(self) -> list[rlp.Item]:
        number = rlp.encode_int
        price, gas, value = number(self.gas_price), number(self.gas), number(self.value)
        return [number(self.nonce), price, gas, self.to or b"", value, self.data]

    def items(self) -> list[rlp.Item]:
        return [*self.payload(), *(rlp.encode_int(n) for n in (self.v, self.r, self.s))]

    def encode(self) -> bytes:
        return self._encoded

    @cached_property
    def _encoded(self) -> bytes:
        return rlp.encode(self.items())

    def hash(self) -> bytes:
        return self._hash

    @cached_property
    def _hash(self) -> bytes:
        return keccak(self._encoded)

    @classmethod
    def decode(cls, data: bytes) -> Transaction:
        """Raises `rlp.RlpError` on anything but a transaction's encoding."""
        return cls.from_items(rlp.decode(data))

    @classmethod
    def from_items(cls, item: rlp.Decoded) -> Transaction:
        parts = rlp.decode_list(item, 9)
        nonce, price, gas = (rlp.decode_int(p, n) for p, n in zip(parts, (8, 32, 8), strict=False))
        to = rlp.decode_bytes(parts[3])
        if len(to) not in (0, 20):
            raise rlp.RlpError("a transaction goes to an address of 20 bytes or to none")
        value, data = rlp.decode_int(parts[4]), rlp.decode_bytes(parts[5])
        v, r, s = (rlp.decode_int(p) for p in parts[6:])
        return cls(nonce, price, gas, to or None, value, data, v, r, s)

    @property
    def chain_id(self) -> int | None:
        """The chain it is bound to (EIP-155), or None where it is valid on any."""
        return (self.v - 35) // 2 if self.v >= 35 else None

    def signing_hash(self, chain_id: int | None) -> bytes:
        """What is signed, for one chain or (None) for any."""
        if chain_id is None:
            return keccak(rlp.encode(self.payload()))
        return keccak(rlp.encode([*self.payload(), rlp.encode_int(chain_id), b"", b""]))

    def sender(self, chain: Chain) -> bytes:
        """The address that signed it; raises `InvalidTransaction`."""
        if self.chain_id not in (None, chain.chain_id):
            raise InvalidTransaction(Reason.WRONG_CHAIN, f"signed for chain {self.chain_id}")
        if self.s > CURVE_ORDER // 2:
            raise InvalidTransaction(Reason.BAD_SIGNATURE, "s is in the upper half (EIP-2)")
        if self._signer is None:
            raise InvalidTransaction(Reason.BAD_SIGNATURE, "no key made this signature")
        return self._signer

    @property
    def signer(self) -> bytes | None:
        """Whose key signed it, for whatever chain; None where no key did. For transactions that
        are known to be valid."""
        return self._signer

    @cached_property
    def _signer(self) -> bytes | None:
        parity = self.v - 27 if self.chain_id is None else (self.v - 35) % 2
        return recover_address(self.signing_hash(self.chain_id), parity, self.r, self.s)

    def sign(self, secret: bytes, chain_id: int | None) -> Transaction:
        """The same transaction, signed by a 32-byte key for one chain or (None) for any."""
        parity, r, s = sign_digest(secret, self.signing_hash(chain_id))
        v = 27 + parity if chain_id is None else 35 + 2 * chain_id + parity
        return replace(self, v=v, r=r, s=s)
