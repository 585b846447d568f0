"""Checkpoints and results: files kept by the SHA-256 of their content, sent in chunks."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from farmctl.errors import BadRequest, StoreError
from farmctl.messages import CHUNK_BYTES, ArtifactChunk, ArtifactReply, ArtifactRequest

#: Uploads begun at one time; the one that was idle longest is given up.
PARTIAL_UPLOADS = 64
#: Kept free on the disk, so that the database can always be written.
RESERVE_BYTES = 256 * 1024**2
_NAME = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Artifacts:
    """A folder of files named by their hash; a partial upload ends in ``.part``."""

    folder: Path
    limit_bytes: int

    async def put(self, chunk: ArtifactChunk) -> ArtifactReply:
        """Take one chunk; chunks come in order, and a repeated one changes nothing."""
        path = self.path(chunk.artifact)
        if path.exists():
            return ArtifactReply(stored_bytes=chunk.total_bytes, complete=True)
        try:
            return self._append(path, chunk)
        except OSError as error:
            text = f"cannot keep artifact {chunk.artifact[:12]}…: {error.strerror}; free some space"
            raise StoreError(text) from error

    async def get(self, request: ArtifactRequest) -> ArtifactChunk:
        """A chunk from an offset on; ``total_bytes`` 0 means that there is no such artifact."""
        path = self.path(request.artifact)
        if not path.exists():
            return ArtifactChunk(artifact=request.artifact, offset=0, total_bytes=0)
        with path.open("rb") as file:
            file.seek(request.offset)
            content = file.read(CHUNK_BYTES)
        return ArtifactChunk(
            artifact=request.artifact,
            offset=request.offset,
            total_bytes=path.stat().st_size,
            chunk=content,
        )

    def find(self, artifact: str) -> Path | None:
        """Where an artifact lies, whole; None where there is none of that name."""
        path = self.folder / artifact
        return path if _NAME.fullmatch(artifact) and path.exists() else None

    def path(self, artifact: str) -> Path:
        if not _NAME.fullmatch(artifact):
            raise BadRequest(f"{artifact[:80]!r} is no artifact; its SHA-256 in hex is")
        return self.folder / artifact

    def _append(self, path: Path, chunk: ArtifactChunk) -> ArtifactReply:
        self.folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        have = part.stat().st_size if part.exists() else 0
        if chunk.offset > have:
            return ArtifactReply(stored_bytes=have, complete=False, detail="send from here")
        if have == 0:
            self._make_room(chunk.total_bytes)
        with part.open("r+b" if have else "wb") as file:
            file.seek(chunk.offset)
            file.write(chunk.chunk)
            file.flush()
            os.fsync(file.fileno())
        stored = max(have, chunk.offset + len(chunk.chunk))
        if stored < chunk.total_bytes:
            return ArtifactReply(stored_bytes=stored, complete=False)
        return self._finish(part, path, chunk.total_bytes)

    def _finish(self, part: Path, path: Path, total_bytes: int) -> ArtifactReply:
        with part.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != path.name:
            part.unlink()
            return ArtifactReply(stored_bytes=0, complete=False, detail="hash differs; send again")
        os.replace(part, path)
        return ArtifactReply(stored_bytes=total_bytes, complete=True)

    def _make_room(self, wanted_bytes: int) -> None:
        """Drop stale uploads; refuse what would overfill the folder or the disk."""
        parts = sorted(self.folder.glob("*.part"), key=lambda p: p.stat().st_mtime)
        for stale in parts[: max(0, len(parts) - PARTIAL_UPLOADS + 1)]:
            stale.unlink()
        used = sum(p.stat().st_size for p in self.folder.iterdir())
        if used + wanted_bytes > self.limit_bytes:
            raise StoreError("artifacts are at their limit; raise [store] artifact_bytes")
        if shutil.disk_usage(self.folder).free - wanted_bytes < RESERVE_BYTES:
            raise StoreError("the controller's disk is full; free some space")

    def remove(self, keep: frozenset[str], before: float) -> int:
        """Delete files older than a time that nothing refers to; returns how many."""
        if not self.folder.is_dir():
            return 0
        old = [p for p in self.folder.iterdir() if p.stat().st_mtime < before]
        gone = [path for path in old if path.name not in keep]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)
