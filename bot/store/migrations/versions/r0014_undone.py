"""When a schedule was stopped and a memory forgotten, which can be undone, and which questions are commands."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("schedules", sa.Column("stopped_at", sa.Double))
    op.add_column("memories", sa.Column("forgotten_at", sa.Double))
    forgotten = sa.text("forgotten_at IS NOT NULL")
    op.create_index(
        "ix_memories_forgotten_at",
        "memories",
        ["forgotten_at"],
        sqlite_where=forgotten,
        postgresql_where=forgotten,
    )
    op.add_column("jobs", sa.Column("is_command", sa.Boolean, nullable=False, server_default=sa.false()))
