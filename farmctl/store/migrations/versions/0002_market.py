"""Quotes, invoices and the ledger."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quotes",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("interruptible", sa.Boolean(), nullable=False),
        sa.Column("price_micro_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("floor_micro_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("estimated_device_seconds", sa.Float(precision=53), nullable=False),
        sa.Column("total_steps", sa.BigInteger(), nullable=False),
        sa.Column("valid_until", sa.Float(precision=53), nullable=False),
        sa.Column("job", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job"),
    )
    op.create_index("ix_quotes_valid_until", "quotes", ["valid_until"])
    op.create_table(
        "invoices",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("job", sa.String(length=32), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("device_seconds", sa.Float(precision=53), nullable=False),
        sa.Column("price_micro_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("total_micro", sa.BigInteger(), nullable=False),
        sa.Column("issued", sa.Float(precision=53), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("job"),
    )
    op.create_index("ix_invoices_issued", "invoices", ["issued"])
    op.create_table(
        "ledger",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("leg", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.Float(precision=53), nullable=False),
        sa.Column("debit", sa.String(length=128), nullable=False),
        sa.Column("credit", sa.String(length=128), nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key", "leg"),
        sa.CheckConstraint("amount_micro > 0", name="positive_amount"),
        sa.CheckConstraint("debit <> credit", name="two_accounts"),
    )
    for column in ("time", "debit", "credit"):
        op.create_index(f"ix_ledger_{column}", "ledger", [column])
