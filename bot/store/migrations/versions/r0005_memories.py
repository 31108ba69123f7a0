"""What people asked to remember."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "memories",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("thread_ts", sa.Text, nullable=False),
        sa.Column("ts", sa.Text, nullable=False),
        sa.Column("changed_by", sa.Text, nullable=False, server_default=""),
        sa.Column("is_proposed", sa.Boolean, nullable=False),
        sa.Column("is_private", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("renewed_at", sa.Double, nullable=False),
        sa.UniqueConstraint("team_id", "channel_id", "number"),
        sqlite_autoincrement=True,
    )
    only_said = sa.text("NOT is_proposed")
    op.create_index(
        "ix_memories_said_in",
        "memories",
        ["team_id", "channel_id", "ts"],
        unique=True,
        sqlite_where=only_said,
        postgresql_where=only_said,
    )
    op.create_index("ix_memories_renewed_at", "memories", ["renewed_at"])
