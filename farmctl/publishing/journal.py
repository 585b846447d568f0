"""What was sent of a publication, on the disk before it is sent: a broken-off one goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from farmctl.errors import StoreError
from farmctl.files import write_atomic
from node.spec.rlp import RlpError
from node.spec.transaction import Transaction


@dataclass
class Journal:
    """Signed transactions of one publication, in the order of their nonces."""

    path: Path
    creation: Transaction | None = None
    uploads: list[Transaction] = field(default_factory=list)

    def write(self) -> None:
        """Raises `StoreError`."""
        document = {
            "creation": self.creation.encode().hex() if self.creation else "",
            "uploads": [each.encode().hex() for each in self.uploads],
        }
        write_atomic(self.path, json.dumps(document, indent=1).encode(), 0o600)


def open_journal(path: Path) -> Journal:
    """What is kept in ``path``, or a new one. Raises `StoreError` where it is unreadable."""
    try:
        document = json.loads(path.read_text())
        creation = document["creation"]
        return Journal(
            path,
            Transaction.decode(bytes.fromhex(creation)) if creation else None,
            [Transaction.decode(bytes.fromhex(each)) for each in document["uploads"]],
        )
    except FileNotFoundError:
        return Journal(path)
    except (OSError, ValueError, KeyError, TypeError, RlpError) as error:
        raise StoreError(f"{path} is unreadable ({error}); move it away to begin anew") from error
