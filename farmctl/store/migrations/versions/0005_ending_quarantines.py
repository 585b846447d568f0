"""Quarantines that end by themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("quarantines", sa.Column("until", sa.Float(precision=53), nullable=True))
