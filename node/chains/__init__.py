"""Networks and coins, found by file.

A file exposes ``CHAINS``, a dict of name to `node.spec.chain.Chain`: networks whose blocks this
node makes and checks; or ``COINS``, of name to `node.spec.coin.Coin`: coins that are mined here for
nodes and pools elsewhere; or both.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType

from node.spec.chain import Chain
from node.spec.coin import Coin


def all_chains() -> dict[str, Chain]:
    """Every network of every file in this folder."""
    return {n: c for module in _modules() for n, c in getattr(module, "CHAINS", {}).items()}


def all_coins() -> dict[str, Coin]:
    """Every coin of every file in this folder."""
    return {n: c for module in _modules() for n, c in getattr(module, "COINS", {}).items()}


def find_chain(name: str) -> Chain:
    """The network of that name; raises KeyError, naming those there are."""
    chains = all_chains()
    if name not in chains:
        raise KeyError(f"no network {name!r}; there are {', '.join(sorted(chains))}")
    return chains[name]


def find_mined(name: str) -> Chain | Coin:
    """The network or coin of that name; raises KeyError, naming those there are."""
    mined: dict[str, Chain | Coin] = {**all_coins(), **all_chains()}
    if name not in mined:
        raise KeyError(f"nothing is mined as {name!r}; there are {', '.join(sorted(mined))}")
    return mined[name]


def _modules() -> Iterator[ModuleType]:
    for module in pkgutil.iter_modules(__path__):
        yield importlib.import_module(f"{__name__}.{module.name}")
