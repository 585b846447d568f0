"""Loss of power at any byte: what was not yet on the disk is lost, torn or zero, and the store
opens again at a whole block, or says that it is damaged and what to do.

Between two commits the file's pages are compared; a cut is any part of the difference.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.errors import StoreDamaged
from node.store import ChainStore, Executed, recovery
from node.store.pages import check_pages, read_metas
from tests.node.test_store import check_whole, executed

PAGE = 4096
SECTOR = 512
BLOCKS = 40
COMMITS = 6

Images = list[bytes]
LONG = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """The database's file after each of some commits: its pages are reused by then."""
    path = tmp_path_factory.mktemp("source") / "chain"
    store = ChainStore(path)
    last = executed(None)
    store.begin("test", last)
    taken: Images = []
    for number in range(BLOCKS):
        last = _add(store, last)
        if number >= BLOCKS - COMMITS:
            taken.append((path / "data.mdb").read_bytes())
    store.close()
    return taken


def _add(store: ChainStore, parent: Executed) -> Executed:
    block = executed(parent, transactions=12)
    store.add(block, adopt=[block.block.hash()])
    return block


def changed(before: bytes, after: bytes) -> list[int]:
    """Pages, the two meta pages excepted, that a commit wrote."""
    starts = range(2 * PAGE, len(after), PAGE)
    return [at // PAGE for at in starts if before[at : at + PAGE] != after[at : at + PAGE]]


def put(image: bytearray, offset: int, raw: bytes) -> None:
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(raw)] = raw


def cut_in_data(chance: random.Random, before: bytes, after: bytes) -> bytes:
    """Some of the commit's pages are there, some torn between two sectors; its meta is not."""
    image = bytearray(before)
    for page in changed(before, after):
        if chance.random() < 0.5:
            size = chance.choice([PAGE, chance.randrange(0, PAGE, SECTOR)])
            put(image, page * PAGE, after[page * PAGE : page * PAGE + size])
    return bytes(image)


def cut_in_meta(chance: random.Random, before: bytes, after: bytes) -> bytes:
    """All pages are there; of the meta page only the first bytes."""
    image = bytearray(after)
    for slot in (0, PAGE):
        size = chance.randrange(0, 160)
        put(image, slot + size, before[slot + size : slot + PAGE])
    return bytes(image)


def zero_pages(chance: random.Random, before: bytes, after: bytes) -> bytes:
    """The disk had said that the commit was written, and it was not: pages are zero."""
    image = bytearray(after)
    for page in changed(before, after):
        if chance.random() < 0.3:
            put(image, page * PAGE, bytes(min(PAGE, len(image) - page * PAGE)))
    return bytes(image)


def zero_sectors(chance: random.Random, before: bytes, after: bytes) -> bytes:
    image = bytearray(after)
    for page in changed(before, after):
        if chance.random() < 0.5:
            put(image, page * PAGE + chance.randrange(0, PAGE, SECTOR), bytes(SECTOR))
    return bytes(image)


def stale_pages(chance: random.Random, before: bytes, after: bytes) -> bytes:
    """The meta page is new, some pages are those of the commit before."""
    image = bytearray(after)
    for page in changed(before, after):
        if chance.random() < 0.3:
            put(image, page * PAGE, before[page * PAGE : (page + 1) * PAGE])
    return bytes(image)


def truncate_tail(chance: random.Random, before: bytes, after: bytes) -> bytes:
    """The file ends at any byte from the commit's first page on."""
    return after[: chance.randrange(changed(before, after)[0] * PAGE, len(after))]


def truncate_anywhere(chance: random.Random, before: bytes, after: bytes) -> bytes:
    return after[: chance.randrange(1, len(after))]


def zero_tail(chance: random.Random, before: bytes, after: bytes) -> bytes:
    size = chance.randrange(1, 40 * PAGE)
    return after[:-size] + bytes(size)


Cut = Callable[[random.Random, bytes, bytes], bytes]
#: What an honest disk can leave: always a whole chain, at most one block short.
HONEST: tuple[Cut, ...] = (cut_in_data, cut_in_meta)
#: What a disk that lies can leave: a whole chain, or a clear word.
LYING: tuple[Cut, ...] = (
    zero_pages,
    zero_sectors,
    stale_pages,
    truncate_tail,
    truncate_anywhere,
    zero_tail,
)


def reopen(folder: Path, image: bytes) -> int | None:
    """Number of the head, all of the chain below it checked; None where it is called damaged."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "data.mdb").write_bytes(image)
    try:
        ChainStore(folder).close()
    except StoreDamaged as error:
        assert "move it away" in str(error)
        assert (folder / "data.mdb").read_bytes() == image, "it is left as it was"
        return None
    head = check_whole(folder, 0)
    store = ChainStore(folder)
    block = store.block(store.head() or b"")
    assert block is not None
    grown = Executed(block, (), store.total_difficulty(block.hash()) or 0)
    for _ in range(3):
        grown = _add(store, grown)
    store.close()
    assert check_whole(folder, 0) == head + 3
    return head


def cuts(kinds: tuple[Cut, ...], each: int) -> Iterator[tuple[Cut, int]]:
    return ((kind, seed) for seed in range(each) for kind in kinds)


@pytest.mark.parametrize("each", [4, pytest.param(60, marks=LONG)])
def test_an_honest_disk_costs_one_block_at_most(images: Images, tmp_path: Path, each: int) -> None:
    for cut, seed in cuts(HONEST, each):
        chance = random.Random(seed)
        at = chance.randrange(1, COMMITS)
        head = reopen(tmp_path / "cut", cut(chance, images[at - 1], images[at]))
        last = BLOCKS - COMMITS + at + 1
        assert head is not None and last - 2 <= head <= last, (cut.__name__, seed)


@pytest.mark.parametrize("each", [2, pytest.param(30, marks=LONG)])
def test_a_disk_that_lies_leaves_a_whole_chain_or_a_clear_word(
    images: Images, tmp_path: Path, each: int
) -> None:
    opened = 0
    for cut, seed in cuts(LYING, each):
        chance = random.Random(seed)
        at = chance.randrange(1, COMMITS)
        head = reopen(tmp_path / "cut", cut(chance, images[at - 1], images[at]))
        opened += head is not None
    assert opened > each, "most commits have another behind them"


def test_a_copy_is_opened_as_it_is(images: Images, tmp_path: Path) -> None:
    assert reopen(tmp_path / "copy", images[-1]) == BLOCKS


def test_an_empty_file_is_a_new_database(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").touch()
    store = ChainStore(tmp_path)
    assert store.head() is None
    store.close()


def test_what_is_no_database_is_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "data.mdb").write_bytes(b"nothing of the kind" * 1000)
    with pytest.raises(StoreDamaged, match="neither of its meta pages is one"):
        ChainStore(tmp_path)


def test_a_store_that_was_closed_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Path] = []
    check = recovery.find_damage

    def count(folder: Path) -> str:
        checked.append(folder)
        return check(folder)

    monkeypatch.setattr(recovery, "find_damage", count)
    store = ChainStore(tmp_path)
    store.begin("test", executed(None))
    store.close()
    ChainStore(tmp_path).close()
    assert checked == []
    (tmp_path / "data.mdb").write_bytes((tmp_path / "data.mdb").read_bytes())
    ChainStore(tmp_path).close()
    assert checked == [tmp_path], "somebody else wrote it"


def test_the_meta_pages_are_read_as_they_are(images: Images, tmp_path: Path) -> None:
    path = tmp_path / "data.mdb"
    path.write_bytes(images[-1])
    newest, older = read_metas(path)
    assert newest.transaction == older.transaction + 1
    assert {newest.slot, older.slot} == {0, 1}
    assert (newest.last_page + 1) * newest.page_bytes <= len(images[-1])


def test_the_pages_of_a_large_value_are_found(tmp_path: Path) -> None:
    store = ChainStore(tmp_path)
    for size in (1, 2_000, 4_000, 40_000, 400_000):
        store.put(size.to_bytes(32, "big"), bytes(size))
    store.close()
    check_pages(tmp_path / "data.mdb")
