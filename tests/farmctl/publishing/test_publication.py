"""An author's walk onto a real chain: paid once, paced by quota, and resumed after any break."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from farmctl.errors import Refused, StoreError
from farmctl.publishing.author import Author
from farmctl.publishing.journal import Journal, open_journal
from farmctl.publishing.notices import give_notice
from farmctl.publishing.publication import Publication, Published
from node.models.input_file import write_input
from node.models.metadata import describe_input, describe_model
from node.models.notices import (
    LabelledSet,
    Located,
    Notice,
    Offered,
    Replaces,
    Withdrawn,
    encode_notice,
)
from node.models.quote import quote
from node.spec.meta import InputMeta, ModelMeta
from node.spec.transaction import Transaction
from tests.farmctl.publishing.authors import SLOW_CHAIN, Authoring, authoring
from tests.node.workshop import POOR, POOR_KEY, RICH, RICH_KEY, dense_model

STEPS = 3


class Broken(Exception):
    """A kill, as the walk sees it."""


def big_input() -> InputMeta:
    """Of so many upload steps."""
    block = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(40_000))
    return describe_input(write_input(np.frombuffer(block, np.int8)))


def walk(
    made: Authoring, meta: ModelMeta | InputMeta, journal: Journal, broken_at: int | None = None
) -> Published:
    """Until the progress has been told so often."""
    left = broken_at

    def progress(stage: str, done: int, total: int) -> None:
        nonlocal left
        if left is not None:
            left -= 1
            if left < 0:
                raise Broken

    publication = Publication(made.author, SLOW_CHAIN, meta, journal, progress)
    return publication.run()


def dense(comment: str = "") -> ModelMeta:
    return describe_model(*dense_model(), author=RICH, gas=7, comment=comment)


def spent(made: Authoring) -> int:
    """What the author's transactions cost, by their receipts."""
    node = made.service.node
    total = 0
    for number in range(1, node.head().number + 1):
        block_hash = node.store.canonical_hash(number) or b""
        block = node.store.block(block_hash)
        assert block is not None
        assert all(t.sender(SLOW_CHAIN) == RICH for t in block.transactions)
        total += block.header.gas_used
    return total


async def test_a_model_is_published_for_what_was_quoted(tmp_path: Path) -> None:
    async with authoring(tmp_path / "node") as made:
        meta, node = dense(), made.service.node
        before = node.head()
        told = quote(SLOW_CHAIN, before, meta, 1)
        done = await made.walk(lambda: walk(made, meta, open_journal(tmp_path / "j")))
        found = await made.running.rpc("ctxc_getModel", done.address)
        assert (found["ripe"], found["usable"]) == (True, False)  # its files lie nowhere
        assert found["reason"] == "0 of 1 copies are known"
        node.loader.storage.put_model(*dense_model())
        assert (await made.running.rpc("ctxc_getModel", done.address))["usable"]
        used = spent(made)
        assert told.gas - 20 * 12 <= used <= told.gas and told.uploads == 1
        assert (tmp_path / "j").stat().st_mode & 0o077 == 0
        again = await made.walk(lambda: walk(made, meta, open_journal(tmp_path / "j")))
        assert again == done and spent(made) == used  # walked again it costs nothing


async def test_a_walk_broken_anywhere_goes_on_and_pays_once(tmp_path: Path) -> None:
    async with authoring(tmp_path / "node") as made:
        meta, path = big_input(), tmp_path / "journal"
        told = quote(SLOW_CHAIN, made.service.node.head(), meta, 1)
        breaks = 0
        for attempt in range(200):
            try:
                done = await made.walk(lambda n=attempt: walk(made, meta, open_journal(path), n))
                break
            except Broken:
                breaks += 1
        assert breaks >= 3
        journal = open_journal(path)
        assert len(journal.uploads) == STEPS == told.uploads
        entry = await made.running.rpc("ctxc_getModel", done.address)
        assert (entry["upload"], entry["ripe"]) == ("0x0", True)
        assert told.gas - 300 <= spent(made) <= told.gas
        assert journal.creation is not None
        created = height(made, journal.creation)
        heights = [height(made, each) for each in journal.uploads]
        assert min(heights) >= created + SLOW_CHAIN.seeding_blocks


def height(made: Authoring, transaction: Transaction) -> int:
    """Of the block that it is in."""
    store = made.service.node.store
    where = store.location(transaction.hash())
    assert where is not None
    header = store.header(where.block_hash)
    assert header is not None
    return header.number


async def test_a_transaction_that_never_arrived_is_made_anew(tmp_path: Path) -> None:
    """Killed between the journal and the sending, and the nonce has gone to another since."""
    async with authoring(tmp_path / "node") as made:
        meta = dense()
        journal = open_journal(tmp_path / "journal")

        def prepare() -> None:
            journal.creation = made.author.sign(None, 200_000, meta.encode())
            journal.write()
            other = made.author.sign(POOR, 21_000)
            made.author.send(other)
            made.author.await_receipt(other)

        await made.walk(prepare)
        done = await made.walk(lambda: walk(made, meta, open_journal(tmp_path / "journal")))
        assert (await made.running.rpc("ctxc_getModel", done.address))["ripe"]


async def test_who_cannot_pay_begins_nothing(tmp_path: Path) -> None:
    async with authoring(tmp_path / "node") as made:
        poor = Author(made.running.url, POOR_KEY, 0.02)
        journal = open_journal(tmp_path / "journal")
        publication = Publication(poor, SLOW_CHAIN, dense(), journal)
        with pytest.raises(Refused, match="publishing costs about"):
            await made.walk(publication.run)
        assert not journal.path.exists()
        poor.close()


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    key, other = Author("http://127.0.0.1:1", RICH_KEY), dense("other")
    Journal(path, Transaction(0, 1, 1, None, 0, dense().encode())).write()
    with pytest.raises(Refused, match="another publication"):
        Publication(key, SLOW_CHAIN, other, open_journal(path)).run()
    path.write_text("{}")
    with pytest.raises(StoreError, match="unreadable"):
        open_journal(path)


async def test_withdrawal_update_and_what_else_an_author_says(tmp_path: Path) -> None:
    async with authoring(tmp_path / "node") as made:
        rpc, author = made.running.rpc, made.author
        old = await made.walk(lambda: walk(made, dense("old"), open_journal(tmp_path / "1")))
        new = await made.walk(lambda: walk(made, dense("new"), open_journal(tmp_path / "2")))
        old_address, new_address = (bytes.fromhex(m.address[2:]) for m in (old, new))

        def say(address: bytes, notice: Notice) -> dict[str, Any]:
            return give_notice(author, address, notice)

        claimed = await made.walk(lambda: say(new_address, Replaces(old_address)))
        assert claimed["replaces"] == ""  # until the old one names it too
        gone = await made.walk(lambda: say(old_address, Withdrawn(new_address)))
        assert (gone["withdrawn"], gone["successor"]) == (True, new.address)
        assert (gone["ripe"], gone["upload"]) == (True, "0x0")  # contracts are served as before
        assert (await rpc("ctxc_getModel", new.address))["replaces"] == old.address
        assert [m["address"] for m in await rpc("ctxc_models")] == [new.address]
        assert len(await rpc("ctxc_models", True)) == 2
        tests = LabelledSet(b"i" * 20, b"l" * 20, "digits")
        await made.walk(lambda: say(new_address, tests))
        shown = await made.walk(lambda: say(new_address, Located("bafy" + "a" * 52)))
        assert shown["testSets"] == [
            {"inputs": (b"i" * 20).hex(), "labels": (b"l" * 20).hex(), "comment": "digits"}
        ]
        assert shown["cid"] == "bafy" + "a" * 52
        back = await made.walk(lambda: say(old_address, Offered()))
        assert (back["withdrawn"], back["successor"]) == (False, "")


async def test_nobody_else_speaks_for_a_model(tmp_path: Path) -> None:
    async with authoring(tmp_path / "node") as made:
        model = await made.walk(lambda: walk(made, dense(), open_journal(tmp_path / "1")))
        address = bytes.fromhex(model.address[2:])
        stranger = Author(made.running.url, POOR_KEY, 0.02)
        with pytest.raises(Refused, match="only its author"):
            await made.walk(lambda: give_notice(stranger, address, Withdrawn()))

        def force() -> None:
            """The stranger's notice in a block all the same."""
            coins = give(made.author, 10**17)
            made.author.send(coins)
            made.author.await_receipt(coins)
            notice = stranger.sign(address, 60_000, encode_notice(Withdrawn()))
            stranger.send(notice)
            stranger.await_receipt(notice)

        await made.walk(force)
        assert not (await made.running.rpc("ctxc_getModel", model.address))["withdrawn"]
        stranger.close()


def give(author: Author, wei: int) -> Transaction:
    empty = author.sign(POOR, 21_000)
    return replace(empty, value=wei).sign(RICH_KEY, SLOW_CHAIN.chain_id)
