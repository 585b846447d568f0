"""API tokens and one-time codes; only their hashes are kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy import delete, select

from farmctl.store.engine import Transaction
from farmctl.store.schema import CodeRow, TokenRow

SCOPES = ("read", "lend", "operate", "sell", "admin")


@dataclass(frozen=True)
class Token:
    id: str
    name: str
    scopes: frozenset[str]
    created: float
    expires: float | None


def digest(secret: str) -> str:
    """Secrets are random and long, so one plain hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def create(
    tx: Transaction,
    name: str,
    scopes: frozenset[str],
    now: float,
    expires: float | None = None,
    secret: str | None = None,
) -> tuple[Token, str]:
    """A new token and its secret, which cannot be had again."""
    secret = secret or secrets.token_urlsafe(32)
    token = Token(secrets.token_hex(8), name, scopes, now, expires)
    row = TokenRow(
        id=token.id,
        name=name,
        hash=digest(secret),
        scopes=sorted(scopes),
        created=now,
        expires=expires,
    )
    tx.add(row)
    return token, secret


def find(tx: Transaction, secret: str, now: float) -> Token | None:
    """The token with this secret, unless it has run out."""
    row = tx.scalar(select(TokenRow).where(TokenRow.hash == digest(secret)))
    if row is None or (row.expires is not None and row.expires <= now):
        return None
    return _token(row)


def every(tx: Transaction) -> list[Token]:
    return [_token(row) for row in tx.scalars(select(TokenRow).order_by(TokenRow.created))]


def revoke(tx: Transaction, identity: str) -> bool:
    row = tx.get(TokenRow, identity)
    if row is None:
        return False
    tx.delete(row)
    return True


def create_code(tx: Transaction, purpose: str, subject: str, expires: float) -> str:
    """A code that works once: ``purpose`` is login (subject: scopes) or enrol (rig's name)."""
    code = secrets.token_urlsafe(24)
    tx.add(CodeRow(hash=digest(code), purpose=purpose, subject=subject, expires=expires))
    return code


def use_code(tx: Transaction, purpose: str, code: str, now: float) -> str | None:
    """The code's subject, if it is valid; it is spent by this."""
    row = tx.get(CodeRow, digest(code))
    if row is None or row.purpose != purpose:
        return None
    tx.delete(row)
    tx.flush()
    return row.subject if row.expires > now else None


def has_code(tx: Transaction, purpose: str, subject: str, now: float) -> bool:
    """Whether a valid code for this subject is about."""
    wanted = (CodeRow.purpose == purpose, CodeRow.subject == subject, CodeRow.expires > now)
    return tx.scalar(select(CodeRow).where(*wanted)) is not None


def codes(tx: Transaction, purpose: str, now: float) -> list[tuple[str, float]]:
    """Subject and end of every valid code, without the codes: they are not kept."""
    wanted = (CodeRow.purpose == purpose, CodeRow.expires > now)
    query = select(CodeRow.subject, CodeRow.expires).where(*wanted).order_by(CodeRow.expires)
    return [(subject, expires) for subject, expires in tx.execute(query)]


def withdraw_codes(tx: Transaction, purpose: str, subject: str) -> bool:
    """Make every code for this subject worthless; whether there was one."""
    wanted = (CodeRow.purpose == purpose, CodeRow.subject == subject)
    found = tx.scalars(select(CodeRow).where(*wanted)).all()
    for row in found:
        tx.delete(row)
    return bool(found)


def prune(tx: Transaction, now: float) -> None:
    tx.execute(delete(CodeRow).where(CodeRow.expires <= now))
    tx.execute(delete(TokenRow).where(TokenRow.expires.is_not(None), TokenRow.expires <= now))


def _token(row: TokenRow) -> Token:
    return Token(row.id, row.name, frozenset(row.scopes), row.created, row.expires)
