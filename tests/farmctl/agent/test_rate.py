"""Rates, and what follows from them."""

from __future__ import annotations

from farmctl.agent.rate import with_energy


def test_energy_of_a_graph_needs_power_and_a_rate() -> None:
    both = {"power_watts": 300.0, "graphs_per_second": 6.0}
    assert with_energy(both) == {**both, "joules_per_graph": 50.0}
    for one in (
        {"power_watts": 300.0},
        {"graphs_per_second": 6.0},
        {**both, "graphs_per_second": 0.0},
    ):
        assert with_energy(one) == one
