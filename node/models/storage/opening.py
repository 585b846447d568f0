"""The storage that the settings ask for."""

from __future__ import annotations

from pathlib import Path

from node.models.errors import StorageError
from node.models.storage import Source
from node.models.storage.combined import CombinedStorage
from node.models.storage.directory import DirectoryStorage
from node.models.storage.folder import FolderSource
from node.models.storage.settings import StorageSettings


def open_storage(root: Path, settings: StorageSettings) -> CombinedStorage:
    """Raises `StorageError` where a source cannot start."""
    directory = DirectoryStorage(root, settings.limit_bytes)
    sources: list[Source] = []
    if settings.folder:
        sources.append(FolderSource(Path(settings.folder).expanduser()))
    if settings.torrent:
        sources.append(_open_torrent(settings))
    if settings.kubo_url:
        from node.models.storage.kubo import KuboSource

        sources.append(KuboSource(settings.kubo_url, root / "cids.json"))
    return CombinedStorage(directory, sources, settings.wait_seconds, settings.replicas)


def _open_torrent(settings: StorageSettings) -> Source:
    try:
        from node.models.storage.torrent import TorrentSource
    except ImportError as error:
        raise StorageError(
            f"[storage] torrent is on and libtorrent cannot be loaded ({error}); "
            "install farmctl[torrent]"
        ) from error
    return TorrentSource(settings)
