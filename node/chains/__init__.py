"""Networks: each file here exposes ``CHAINS``, a dict of name to `node.spec.chain.Chain`."""

from __future__ import annotations

import importlib
import pkgutil

from node.spec.chain import Chain


def all_chains() -> dict[str, Chain]:
    """Every network of every file in this folder."""
    chains: dict[str, Chain] = {}
    for module in pkgutil.iter_modules(__path__):
        chains |= importlib.import_module(f"{__name__}.{module.name}").CHAINS
    return chains


def find_chain(name: str) -> Chain:
    """The network of that name; raises KeyError, naming those there are."""
    chains = all_chains()
    if name not in chains:
        raise KeyError(f"no network {name!r}; there are {', '.join(sorted(chains))}")
    return chains[name]
