"""``farmctl node export`` and ``import`` as a person runs them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from farmctl.cli import build_app
from farmctl.config import load
from farmctl.errors import FarmError
from farmctl.node_home import held, opened_node
from node.chains.farmnet import FARMNET
from node.spec.genesis import genesis_block
from node.spec.trie import MemoryStore

GENESIS = genesis_block(FARMNET, MemoryStore()).encode()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FARMCTL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def farmctl(*words: str | Path) -> Result:
    return CliRunner().invoke(build_app(), ["node", *(str(w) for w in words)])


def fails(*words: str | Path) -> str:
    result = farmctl(*words)
    assert result.exit_code != 0
    assert isinstance(result.exception, FarmError), result.output
    return str(result.exception)


def test_a_chain_goes_out_and_in(tmp_path: Path) -> None:
    with opened_node(load()):
        pass
    out = tmp_path / "chain.rlp"
    shown = farmctl("export", out)
    assert shown.exit_code == 0 and f"1 blocks are in {out}" in shown.output
    assert out.read_bytes() == GENESIS
    shown = farmctl("import", out)
    assert shown.exit_code == 0 and "0 blocks taken in" in shown.output
    assert "the head is block 0" in shown.output


def test_what_cannot_be_says_what_to_do(tmp_path: Path, home: Path) -> None:
    out = tmp_path / "chain.rlp"
    assert "there is no chain in" in fails("export", out)
    out.write_bytes(GENESIS + b"torn")
    assert f"block 1 of the file, at byte {len(GENESIS)}" in fails("import", out)
    assert "block 1 is not kept here" in fails("export", out, "--first", "0", "--last", "5")
    with held(home / "node"):
        assert "another node runs in" in fails("import", out)


def test_a_checkpoint_is_printed_as_a_chain_takes_it() -> None:
    with opened_node(load()) as node:
        first = node.head().hash()
    shown = farmctl("checkpoint")
    assert shown.exit_code == 0
    assert shown.output.strip() == f'checkpoints={{0: bytes.fromhex("{first.hex()}")}},'
    printed = eval(f"dict({shown.output.strip()})")
    assert printed == {"checkpoints": {0: first}}


def test_states_go_through_files_too(tmp_path: Path) -> None:
    with opened_node(load()):
        pass
    path = tmp_path / "state.rlp"
    assert "block 1 is not kept here" in fails("export", path, "--state")
    path.write_bytes(GENESIS)
    assert "this is no file of a state" in fails("import", path, "--state")
    wrong = farmctl("import", path, "--state", "--trust", "beef")
    assert wrong.exit_code == 2 and "64 hexadecimal digits" in wrong.output


def test_a_damaged_database_is_put_aside_and_its_blocks_looked_for(home: Path) -> None:
    assert "there is no chain in" in fails("repair")
    with opened_node(load()):
        pass
    data = home / "node" / "chain" / "data.mdb"
    data.write_bytes(data.read_bytes()[:5000])
    assert "`farmctl node repair` makes a new one" in fails("import", home / "any.rlp")
    assert "no block after genesis can be proved from" in fails("repair")
    assert (home / "node" / "chain.damaged" / "data.mdb").stat().st_size == 5000
    with opened_node(load()) as node:
        assert node.head().number == 0
