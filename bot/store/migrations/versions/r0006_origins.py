"""Whose words answers, steps, questions and definitions of tools hold."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("attached_chars", sa.Integer, nullable=False, server_default="0"))
    op.add_column("turns", sa.Column("origins", sa.JSON))
    op.add_column("rounds", sa.Column("origins", sa.JSON))
    op.add_column("tool_pins", sa.Column("by_admin", sa.Boolean, nullable=False, server_default=sa.false()))
