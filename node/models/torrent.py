"""BitTorrent v1 metadata: the infohash by which a chain names a model or an input (BEP 3).

An input is the single file ``data``; a model is the folder ``data`` with ``params`` and
``symbol``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from node.models.bencoding import Bencodable, bencode

#: Piece length of the network's own tools for small contents, and the largest one used here.
PIECE_BYTES, PIECE_BYTES_LIMIT = 16 * 1024, 4 * 1024 * 1024
#: Pieces grow so that there are at most about so many.
_PIECES = 2048

ROOT = "data"
INFOHASH_BYTES = 20


@dataclass(frozen=True)
class TorrentInfo:
    """An info dictionary: what the infohash is the hash of."""

    info: dict[bytes, Bencodable]

    def encode(self) -> bytes:
        return bencode(self.info)

    @property
    def infohash(self) -> bytes:
        """20 bytes: SHA-1 of the encoded info dictionary."""
        return hashlib.sha1(self.encode(), usedforsecurity=False).digest()


def choose_piece_bytes(size: int) -> int:
    """Smallest power of two that keeps the pieces few."""
    piece = PIECE_BYTES
    while piece < PIECE_BYTES_LIMIT and size > piece * _PIECES:
        piece *= 2
    return piece


def describe_file(content: bytes, name: str = ROOT, piece_bytes: int | None = None) -> TorrentInfo:
    """Info of one file."""
    piece = piece_bytes or choose_piece_bytes(len(content))
    return TorrentInfo({b"length": len(content), **_describe(content, name, piece)})


def describe_folder(
    files: Mapping[str, bytes], name: str = ROOT, piece_bytes: int | None = None
) -> TorrentInfo:
    """Info of a folder of files, in the order of their names, hashed end to end."""
    names = sorted(files)
    content = b"".join(files[each] for each in names)
    piece = piece_bytes or choose_piece_bytes(len(content))
    listed: list[Bencodable] = [
        {b"length": len(files[each]), b"path": [each.encode()]} for each in names
    ]
    return TorrentInfo({b"files": listed, **_describe(content, name, piece)})


def _describe(content: bytes, name: str, piece_bytes: int) -> dict[bytes, Bencodable]:
    pieces = b"".join(
        hashlib.sha1(content[start : start + piece_bytes], usedforsecurity=False).digest()
        for start in range(0, len(content), piece_bytes)
    )
    return {b"name": name.encode(), b"piece length": piece_bytes, b"pieces": pieces}
