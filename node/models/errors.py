"""Errors of the storage of models.

StorageError
├── ModelNotFound    the storage does not hold it
├── ModelCorrupt     what is stored does not have the hash it is named by
├── MalformedModel   what was given is no model or no input
└── StorageFull      no room, by the quota or on the disk; nothing was written
"""

from __future__ import annotations


class StorageError(Exception):
    """The storage of models failed."""


class ModelNotFound(StorageError):
    """The storage does not hold it; publish or fetch it first."""


class ModelCorrupt(StorageError):
    """What is stored does not have the hash it is named by; remove it and fetch it again."""


class MalformedModel(StorageError):
    """What was given is no model or no input."""


class StorageFull(StorageError):
    """No room for it; nothing was written."""
