"""The recipes work: each is followed to the letter in a folder of the test's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import node.chains
from drivers.kernels.graphs import NonceForm
from farmctl import workloads
from farmctl.domain import Priority, Workload
from farmctl.errors import Refused
from farmctl.messages import AssignmentMessage
from farmctl.mining.task import make_work, read_work
from farmctl.workloads.base import Place, create_activity
from node.spec.coin import Coin

RECIPES = Path(__file__).parents[2] / "docs" / "recipes"


def code_of(recipe: str, place: int = 0) -> str:
    """A recipe's Python: the first, or that at another place."""
    return (RECIPES / recipe).read_text().split("```python\n")[place + 1].split("```")[0]


def test_a_chain_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mynet.py").write_text(code_of("chain.md"))
    monkeypatch.setattr(node.chains, "__path__", [*node.chains.__path__, str(tmp_path)])
    found = node.chains.find_chain("mynet")
    assert (found.name, found.chain_id, found.edge_bits) == ("mynet", 4242, 19)


def test_a_coin_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What devices search for it is a job that they know."""
    (tmp_path / "mycoin.py").write_text(code_of("chain.md", 1))
    monkeypatch.setattr(node.chains, "__path__", [*node.chains.__path__, str(tmp_path)])
    coin = node.chains.find_mined("mycoin")
    assert isinstance(coin, Coin)
    work = make_work(coin.name, coin.pow, bytes(100), coin.target(5, 0), 0)
    job = read_work(work).job
    assert (job.edge_bits, job.cycle, job.nonce_form) == (29, "cuckatoo", NonceForm.GRIN)


def test_a_workload_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place.__new__(Place)
    wanted = AssignmentMessage(
        device="cpu:0", workload=Workload.EXTERNAL, priority=Priority.MANUAL, reason="test"
    )
    with pytest.raises(Refused, match="external"):
        create_activity(place, Workload.EXTERNAL, wanted)
    imports = "import asyncio\nfrom collections.abc import Mapping\n"
    imports += "from farmctl.messages import AssignmentMessage\n"
    imports += "from farmctl.workloads.base import Activity, Place\n"
    (tmp_path / "external.py").write_text(imports + code_of("workload.md"))
    monkeypatch.setattr(workloads, "__path__", [*workloads.__path__, str(tmp_path)])
    try:
        activity = create_activity(place, Workload.EXTERNAL, wanted)
        assert activity.rates() == {"graphs_per_second": 0.0}
    finally:
        sys.modules.pop("farmctl.workloads.external", None)
