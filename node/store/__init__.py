"""The chain on disk.

`environment` is the database, `records` the form of what lies in it, `chain` the blocks with
their indices and states.
"""

from node.store.chain import ChainStore
from node.store.environment import Records
from node.store.records import Executed, Location

__all__ = ["ChainStore", "Executed", "Location", "Records"]
