"""Who may ask, how often, and whose requests go first."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import lru_cache

from node.synapse.settings import SynapseSettings

#: Addresses whose rate is remembered.
MAX_REMEMBERED = 4096

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Callers:
    """Known by their addresses, which is all that the protocol shows."""

    def __init__(
        self, settings: SynapseSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        allowed = [ipaddress.ip_network(each) for each in settings.allow]
        first = [ipaddress.ip_network(each) for each in settings.first]
        self.is_allowed = lru_cache(MAX_REMEMBERED)(lambda address: _lies_in(address, allowed))
        self.is_first = lru_cache(MAX_REMEMBERED)(lambda address: _lies_in(address, first))
        self._rate = settings.requests_per_second
        self._clock = clock
        self._turns: OrderedDict[str, float] = OrderedDict()

    def take_turn(self, address: str) -> float:
        """Seconds that a caller's next request has to wait, for his rate. A second's worth may
        come at once."""
        if not self._rate:
            return 0.0
        now = self._clock()
        turn = max(self._turns.get(address, 0.0), now - 1.0) + 1.0 / self._rate
        self._turns[address] = turn
        self._turns.move_to_end(address)
        if len(self._turns) > MAX_REMEMBERED:
            self._turns.popitem(last=False)
        return max(0.0, turn - now)

    def give_back(self, address: str) -> None:
        """The request is not going to be served."""
        if address in self._turns:
            self._turns[address] -= 1.0 / self._rate


def _lies_in(address: str, networks: Sequence[Network]) -> bool:
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = known.ipv4_mapped if isinstance(known, ipaddress.IPv6Address) else None
    return any((mapped or known) in network for network in networks)
