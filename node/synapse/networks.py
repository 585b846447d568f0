"""Which chain's rules an inference follows, by the number in a request."""

from __future__ import annotations

from functools import cache

from node.chains import all_chains, find_chain
from node.spec.chain import Chain


@cache
def find_rules(network_id: int) -> Chain:
    """The chain of that id; mainnet for any other, as the network's own software has it: its
    networks 42 and 44, and private ones, differ from mainnet in nothing that inference meets."""
    known = {chain.chain_id: chain for chain in all_chains().values()}
    return known.get(network_id) or find_chain("mainnet")
