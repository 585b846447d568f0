"""Solutions that a device had wrong."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    column = sa.Column("shares_invalid", sa.BigInteger(), nullable=False, server_default="0")
    op.add_column("devices", column)
