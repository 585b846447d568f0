"""Merkle Patricia trie over a content-addressed store. Source: yellow paper, appendix D.

Nodes are immutable once built, so that an update makes new ones only along its path and a node's
encoding is computed once. A child is held as a node, or as the hash under which it is stored.
"""

from __future__ import annotations

from typing import Protocol, cast

from node.spec import rlp
from node.spec.crypto import EMPTY_ROOT, keccak


class NodeStore(Protocol):
    """Where nodes and code lie, by their Keccak-256."""

    def get(self, key: bytes) -> bytes | None: ...

    def put(self, key: bytes, value: bytes) -> None: ...


class MemoryStore(dict[bytes, bytes]):
    """A store that forgets at the end of the process."""

    def put(self, key: bytes, value: bytes) -> None:
        self[key] = value


class MissingNode(LookupError):
    """The store lacks a node of the trie: the state is not here, or the store is damaged."""


class _Node:
    """``path`` is nibbles, one a byte. A leaf has a value, an extension a child, a branch 16
    children and maybe a value."""

    __slots__ = ("children", "path", "reference", "value")

    def __init__(
        self,
        path: bytes = b"",
        value: bytes = b"",
        children: tuple[_Child, ...] = (),
        reference: rlp.Item | None = None,
    ) -> None:
        self.path = path
        self.value = value
        self.children = children
        self.reference = reference


_Child = _Node | bytes | None
_NO_CHILDREN: tuple[_Child, ...] = (None,) * 16


_DIGIT_TO_NIBBLE = bytes.maketrans(b"0123456789abcdef", bytes(range(16)))


def _nibbles(key: bytes) -> bytes:
    return key.hex().encode().translate(_DIGIT_TO_NIBBLE)


def _common(a: bytes, b: bytes) -> int:
    size = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        size += 1
    return size


def _pack(path: bytes, is_leaf: bool) -> bytes:
    """Hex-prefix encoding, appendix C."""
    flag = 2 if is_leaf else 0
    padded = bytes((flag | 1,)) + path if len(path) & 1 else bytes((flag, 0)) + path
    return bytes(padded[i] << 4 | padded[i + 1] for i in range(0, len(padded), 2))


def _unpack(packed: bytes) -> tuple[bytes, bool]:
    nibbles = _nibbles(packed)
    return nibbles[1 if nibbles[0] & 1 else 2 :], bool(nibbles[0] & 2)


def _with_child(children: tuple[_Child, ...], index: int, child: _Child) -> tuple[_Child, ...]:
    return (*children[:index], child, *children[index + 1 :])


class Trie:
    """A map from bytes to non-empty bytes with a root hash.

    ``secure`` hashes the keys first, as the state and storage tries do. The store is written
    only by `commit`.
    """

    def __init__(self, store: NodeStore, root: bytes = EMPTY_ROOT, secure: bool = False) -> None:
        self._store = store
        self._root: _Child = None if root == EMPTY_ROOT else root
        self._secure = secure
        self._pending: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """The value, or None; raises `MissingNode`."""
        path = self._path(key)
        node = self._root = self._resolve(self._root)
        while node is not None:
            if path == node.path and len(node.children) != 1:
                return node.value or None
            if not node.children or not path.startswith(node.path):
                return None
            path = path[len(node.path) :]
            if len(node.children) == 16:
                node, path = self._step(node, path[0]), path[1:]
            else:
                node = self._step(node, 0)
        return None

    def set(self, key: bytes, value: bytes) -> None:
        """Store a value; the empty one deletes."""
        path = self._path(key)
        self._root = self._insert(self._root, path, value) if value else self._drop(path)

    def delete(self, key: bytes) -> None:
        self._root = self._drop(self._path(key))

    def root(self) -> bytes:
        """The root hash; writes nothing."""
        if self._root is None:
            return EMPTY_ROOT
        if isinstance(self._root, bytes):
            return self._root
        reference = self._reference(self._root)
        return reference if isinstance(reference, bytes) else self._hold(rlp.encode(reference))

    def commit(self) -> bytes:
        """Write what is new to the store; return the root hash."""
        root = self.root()
        for key, value in self._pending.items():
            self._store.put(key, value)
        self._pending.clear()
        return root

    def prove(self, key: bytes) -> list[bytes]:
        """Encodings of the nodes on the way to a key, root first; those inside others left out."""
        self.commit()
        proof: list[bytes] = []
        path, node = self._path(key), self._resolve(self._root)
        while node is not None:
            encoded = rlp.encode(self._form(node))
            if not proof or len(encoded) >= 32:
                proof.append(encoded)
            ends = path == node.path and len(node.children) != 1
            if ends or not node.children or not path.startswith(node.path):
                break
            path = path[len(node.path) :]
            branch = len(node.children) == 16
            node = self._step(node, path[0] if branch else 0)
            path = path[1:] if branch else path
        return proof

    def _path(self, key: bytes) -> bytes:
        return _nibbles(keccak(key) if self._secure else key)

    def _step(self, node: _Node, index: int) -> _Node | None:
        """The child there, loaded and kept in memory."""
        child = node.children[index]
        if isinstance(child, bytes):
            child = self._resolve(child)
            node.children = _with_child(node.children, index, child)
        return child

    def _resolve(self, child: _Child) -> _Node | None:
        if not isinstance(child, bytes):
            return child
        encoded = self._pending.get(child) or self._store.get(child)
        if encoded is None:
            raise MissingNode(f"no node {child.hex()} in the store")
        return self._parse(rlp.decode(encoded), child)

    def _parse(self, item: rlp.Decoded, reference: rlp.Item) -> _Node:
        parts = rlp.decode_list(item)
        if len(parts) == 17:
            children = tuple(self._child(part) for part in parts[:16])
            return _Node(b"", rlp.decode_bytes(parts[16]), children, reference)
        path, is_leaf = _unpack(rlp.decode_bytes(parts[0]))
        if is_leaf:
            return _Node(path, rlp.decode_bytes(parts[1]), (), reference)
        return _Node(path, b"", (self._child(parts[1]),), reference)

    def _child(self, item: rlp.Decoded) -> _Child:
        if isinstance(item, list):
            return self._parse(item, cast("rlp.Item", item))
        return item or None

    def _insert(self, child: _Child, path: bytes, value: bytes) -> _Node:
        node = self._resolve(child)
        if node is None:
            return _Node(path, value)
        if len(node.children) == 16:
            return self._insert_branch(node, path, value)
        size = _common(node.path, path)
        if size == len(node.path):
            if node.children:
                return _Node(node.path, b"", (self._insert(node.children[0], path[size:], value),))
            if size == len(path):
                return _Node(path, value)
        branch = self._split(node, size)
        branch = self._insert_branch(branch, path[size:], value)
        return _Node(path[:size], b"", (branch,)) if size else branch

    def _insert_branch(self, node: _Node, path: bytes, value: bytes) -> _Node:
        if not path:
            return _Node(b"", value, node.children)
        below = self._insert(node.children[path[0]], path[1:], value)
        return _Node(b"", node.value, _with_child(node.children, path[0], below))

    @staticmethod
    def _split(node: _Node, size: int) -> _Node:
        """A branch that stands for a leaf or extension from its nibble ``size`` on."""
        rest = node.path[size:]
        if not node.children:
            if not rest:
                return _Node(b"", node.value, _NO_CHILDREN)
            leaf = _Node(rest[1:], node.value)
            return _Node(b"", b"", _with_child(_NO_CHILDREN, rest[0], leaf))
        below = _Node(rest[1:], b"", node.children) if len(rest) > 1 else node.children[0]
        return _Node(b"", b"", _with_child(_NO_CHILDREN, rest[0], below))

    def _drop(self, path: bytes) -> _Child:
        return self._delete(self._root, path)

    def _delete(self, child: _Child, path: bytes) -> _Child:
        node = self._resolve(child)
        if node is None:
            return None
        if len(node.children) == 16:
            return self._delete_branch(node, child, path)
        if not node.children:
            return None if path == node.path else child
        if not path.startswith(node.path):
            return child
        below = self._delete(node.children[0], path[len(node.path) :])
        return child if below is node.children[0] else self._join(node.path, below)

    def _delete_branch(self, node: _Node, child: _Child, path: bytes) -> _Child:
        if not path:
            return self._shrink(_Node(b"", b"", node.children)) if node.value else child
        before = node.children[path[0]]
        below = self._delete(before, path[1:])
        if below is before:
            return child
        return self._shrink(_Node(b"", node.value, _with_child(node.children, path[0], below)))

    def _shrink(self, branch: _Node) -> _Child:
        """The branch, or what it becomes when fewer than two things are left in it."""
        left = [i for i, child in enumerate(branch.children) if child is not None]
        if len(left) + bool(branch.value) > 1:
            return branch
        if not left:
            return _Node(b"", branch.value)
        return self._join(bytes((left[0],)), branch.children[left[0]])

    def _join(self, path: bytes, child: _Child) -> _Child:
        """A path in front of a node, merged with the node's own where it has one."""
        node = self._resolve(child)
        if node is None:
            return None
        if len(node.children) == 16:
            return _Node(path, b"", (child,))
        return _Node(path + node.path, node.value, node.children)

    def _form(self, node: _Node) -> rlp.Item:
        if len(node.children) == 16:
            return [*(self._reference(child) for child in node.children), node.value]
        if node.children:
            return [_pack(node.path, False), self._reference(node.children[0])]
        return [_pack(node.path, True), node.value]

    def _reference(self, child: _Child) -> rlp.Item:
        """How a parent names a child: its hash, or the child itself where that is shorter."""
        if child is None:
            return b""
        if isinstance(child, bytes):
            return child
        if child.reference is None:
            form = self._form(child)
            encoded = rlp.encode(form)
            child.reference = form if len(encoded) < 32 else self._hold(encoded)
        return child.reference

    def _hold(self, encoded: bytes) -> bytes:
        key = keccak(encoded)
        self._pending[key] = encoded
        return key


def ordered_root(values: list[bytes]) -> bytes:
    """Root of the trie of a list: key is the RLP of the index (transactions, receipts)."""
    trie = Trie(MemoryStore())
    for index, value in enumerate(values):
        trie.set(rlp.encode(rlp.encode_int(index)), value)
    return trie.root()
