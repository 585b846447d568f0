"""Contents over BitTorrent, by libtorrent: fetched from peers by infohash, and given to them.

TCP alone, as in the network's own storage layer. Nobody is looked for and no port is opened
unless the settings say so: the session speaks to the configured peers and to whoever dials it.

This is the only file that imports libtorrent.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, cast

import libtorrent as lt

from node.models.content import INFO_BYTES_LIMIT, Layout, read_layout, write_torrent
from node.models.errors import ModelNotFound, StorageError, StorageFull
from node.models.storage import Errand
from node.models.storage.directory import read_files
from node.models.storage.settings import StorageSettings, parse_endpoint

LISTEN_SECONDS = 10.0
#: A fetch is given up when nothing has come for so long.
STALL_SECONDS = 20.0
#: How long the disk may take to get the last pieces.
FLUSH_SECONDS = 30.0
POLL_SECONDS = 0.05
RECONNECT_SECONDS = 5
MAX_CONNECTIONS = 200
NORMAL_PRIORITY = 4


class TorrentSource:
    """A BitTorrent session. Raises `StorageError` where it cannot listen."""

    name = "torrent"

    def __init__(self, settings: StorageSettings) -> None:
        self._peers = [parse_endpoint(peer) for peer in settings.torrent_peers]
        self._trackers = list(settings.torrent_trackers)
        self._session = lt.session(cast("lt.settings_pack", _session_settings(settings)))
        self._session.set_peer_class_filter(_everyone(self._session))
        self._lock = threading.Lock()
        self._offered: dict[bytes, lt.torrent_handle] = {}
        self._await_listening(settings.torrent_listen)

    def fetch(self, errand: Errand) -> bytes:
        with self._lock:
            handle = self._session.add_torrent(self._wanted(errand))
        try:
            self._dial(handle)
            info = self._fetch_info(handle, errand)
            layout = read_layout(errand.infohash, info)
            if layout.size > errand.limit_bytes:
                raise StorageFull(f"it has {layout.size} bytes; {errand.limit_bytes} are allowed")
            handle.prioritize_files([NORMAL_PRIORITY] * len(layout.sizes))
            self._fetch_pieces(handle, errand)
            _await_disk(layout, errand)
            return info
        finally:
            handle.flush_cache()
            with self._lock:
                self._session.remove_torrent(handle)

    def offer(self, infohash: bytes, folder: Path, info: bytes) -> None:
        parameters = lt.add_torrent_params()
        parameters.ti = lt.torrent_info(write_torrent(info))
        parameters.save_path = str(folder)
        # It lies here proved: pieces are checked again as they are first given. Whatever is
        # found damaged by then is not mended in place by bytes of others.
        parameters.flags = lt.torrent_flags.seed_mode | lt.torrent_flags.upload_mode
        parameters.trackers = self._trackers
        with self._lock:
            if infohash not in self._offered:
                self._offered[infohash] = self._session.add_torrent(parameters)

    def learn(self, infohash: bytes, cid: str) -> None:
        """Nothing to do: it knows no CIDs."""

    def withdraw(self, infohash: bytes) -> None:
        with self._lock:
            handle = self._offered.pop(infohash, None)
            if handle is not None:
                self._session.remove_torrent(handle)

    release = withdraw

    def count_copies(self, infohash: bytes) -> int | None:
        """Of the connected peers (asks for a connection to those configured), or by the tracker
        where that knows of more."""
        handle = self._offered.get(infohash)
        if handle is None:
            return None
        self._dial(handle)
        whole = {str(peer.pid) for peer in handle.get_peer_info() if peer.flags & lt.peer_info.seed}
        return max(len(whole), handle.status().num_complete - 1)

    def close(self) -> None:
        self._session.pause()
        with self._lock:
            self._offered.clear()
            del self._session  # ends its threads

    def _wanted(self, errand: Errand) -> Any:
        """Nothing is written before the sizes are known."""
        parameters = lt.add_torrent_params()
        parameters.info_hashes = lt.info_hash_t(lt.sha1_hash(errand.infohash))
        parameters.save_path = str(errand.folder)
        parameters.flags = lt.torrent_flags.default_dont_download
        parameters.trackers = self._trackers
        return parameters

    def _dial(self, handle: lt.torrent_handle) -> None:
        for peer in self._peers:
            handle.connect_peer(peer)

    def _fetch_info(self, handle: lt.torrent_handle, errand: Errand) -> bytes:
        deadline = time.monotonic() + STALL_SECONDS
        while (torrent := handle.torrent_file()) is None:
            errand.report(0.0)
            if time.monotonic() > deadline:
                raise ModelNotFound(f"no peer gives {errand.infohash.hex()}")
            time.sleep(POLL_SECONDS)
        return torrent.info_section()

    def _fetch_pieces(self, handle: lt.torrent_handle, errand: Errand) -> None:
        """Until all are there and on the disk; each is proved as it comes."""
        best, since = -1, time.monotonic()
        while not (status := handle.status()).is_seeding:
            errand.report(status.progress)
            if status.total_wanted_done > best:
                best, since = status.total_wanted_done, time.monotonic()
            if status.errc.value() or time.monotonic() - since > STALL_SECONDS:
                cause = status.errc.message() if status.errc.value() else "no peer goes on"
                raise ModelNotFound(
                    f"{errand.infohash.hex()} stays at {status.progress:.0%}: {cause}"
                )
            time.sleep(POLL_SECONDS)
        handle.flush_cache()

    def _await_listening(self, endpoint: str) -> None:
        deadline = time.monotonic() + LISTEN_SECONDS
        while time.monotonic() < deadline:
            self._session.wait_for_alert(100)
            for alert in self._session.pop_alerts():
                if isinstance(alert, lt.listen_succeeded_alert):
                    self._session.apply_settings({"alert_mask": 0})
                    return
                if isinstance(alert, lt.listen_failed_alert):
                    raise StorageError(
                        f"BitTorrent cannot listen on {endpoint} ({alert.error.message()}); "
                        "choose another [storage] torrent_listen"
                    )
        raise StorageError(f"BitTorrent does not listen on {endpoint}")


def _await_disk(layout: Layout, errand: Errand) -> None:
    """Until the last pieces, which come to the disk some time after the peers gave them, are."""
    deadline = time.monotonic() + FLUSH_SECONDS
    while not _is_whole(layout, errand):
        errand.report(1.0)
        if time.monotonic() > deadline:
            raise StorageFull(f"the disk does not take {errand.infohash.hex()}")
        time.sleep(POLL_SECONDS)


def _everyone(session: lt.session) -> lt.ip_filter:
    """Puts every peer under the limits of rates; by default those nearby are exempt."""
    everyone = lt.ip_filter()
    for first, last in (("0.0.0.0", "255.255.255.255"), ("::", "ffff:" * 7 + "ffff")):
        everyone.add_rule(first, last, 1 << session.global_peer_class_id)
    return everyone


def _session_settings(settings: StorageSettings) -> dict[str, Any]:
    discovery = ("enable_dht", "enable_lsd", "enable_upnp", "enable_natpmp")
    return {
        **{name: settings.torrent_discovery for name in discovery},
        "listen_interfaces": settings.torrent_listen,
        "max_retry_port_bind": 0,
        "listen_system_port_fallback": False,
        "enable_outgoing_utp": False,
        "enable_incoming_utp": False,
        "upload_rate_limit": settings.upload_bytes_per_second,
        "download_rate_limit": settings.download_bytes_per_second,
        "connections_limit": MAX_CONNECTIONS,
        "max_metadata_size": INFO_BYTES_LIMIT,
        "min_reconnect_time": RECONNECT_SECONDS,
        # Several nodes may share one address, and peers that are whole are those to be counted.
        "allow_multiple_connections_per_ip": True,
        "close_redundant_connections": False,
        "rate_limit_ip_overhead": False,
        "alert_mask": lt.alert.category_t.status_notification
        | lt.alert.category_t.error_notification,
        "user_agent": "farmctl/0.1",
    }


def _is_whole(layout: Layout, errand: Errand) -> bool:
    try:
        return layout.matches(read_files(errand.folder))
    except OSError:
        return False
