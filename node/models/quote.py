"""What it costs to publish a model or an input, and how long it takes at least (whitepaper 2.1.2
and 7.1): gas for the metadata, for each step of the upload, and the quota of blocks."""

from __future__ import annotations

from dataclasses import dataclass

from node.spec.chain import Chain
from node.spec.gas import UPLOAD_GAS, intrinsic_gas
from node.spec.meta import InputMeta, ModelMeta
from node.spec.transition import UPLOAD_STEP_BYTES
from node.spec.types import Header

#: The block's number, which the network writes into the metadata, is longer than the 0 there.
NUMBER_BYTES = 12


@dataclass(frozen=True)
class Quote:
    """Of one content. ``uploads`` are transactions of ``UPLOAD_GAS`` each."""

    creation_gas: int
    """At most; the metadata is charged by the byte."""
    uploads: int
    gas_price_wei: int
    blocks: int
    """From the creation to the first inference, if no block's quota is taken by others."""

    @property
    def upload_gas(self) -> int:
        return self.uploads * UPLOAD_GAS

    @property
    def gas(self) -> int:
        return self.creation_gas + self.upload_gas

    @property
    def price_wei(self) -> int:
        return self.gas * self.gas_price_wei


def quote(chain: Chain, head: Header, meta: ModelMeta | InputMeta, gas_price_wei: int) -> Quote:
    """Of publishing on top of ``head``."""
    code = meta.encode()
    number = head.number + 1
    creation = intrinsic_gas(
        code, creates=True, uploads=False, istanbul=chain.is_istanbul(number)
    ) + chain.vm.code_deposit_gas * (len(code) + NUMBER_BYTES)
    return Quote(
        creation_gas=creation,
        uploads=count_uploads(meta.raw_size),
        gas_price_wei=gas_price_wei,
        blocks=chain.seeding_blocks
        + _upload_blocks(chain, head, meta.raw_size)
        + chain.mature_blocks,
    )


def count_uploads(raw_size: int) -> int:
    """Transactions that move a content of so many bytes on."""
    return -(-raw_size // UPLOAD_STEP_BYTES)


def _upload_blocks(chain: Chain, head: Header, raw_size: int) -> int:
    """Blocks until all of it has found room, if only it were uploaded: by the quota, of which a
    block's miner may use half of what is free, and by the gas of a block."""
    free = head.quota - head.quota_used + chain.seeding_blocks * chain.quota_per_block
    most = max(1, head.gas_limit // UPLOAD_GAS)
    blocks = 0
    while raw_size > 0:
        free += chain.quota_per_block
        for _ in range(most):
            step = min(raw_size, UPLOAD_STEP_BYTES)
            if step == 0 or step > free // 2:
                break
            raw_size, free = raw_size - step, free - step
        blocks += 1
    return blocks
