"""Tools of MCP servers: the definitions that an admin agreed to."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "tool_pins",
        sa.Column("tool", sa.Text, nullable=False),
        sa.Column("definition_hash", sa.Text, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("agreed_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("tool", name="pk_tool_pins"),
    )
