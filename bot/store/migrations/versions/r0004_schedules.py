"""Schedules, and which jobs are their runs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

_RowId = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "schedules",
        sa.Column("id", _RowId, primary_key=True),
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("cron", sa.Text, nullable=False),
        sa.Column("once_at", sa.Double),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("only_if_changed", sa.Boolean, nullable=False),
        sa.Column("run_tokens", sa.Integer, nullable=False),
        sa.Column("day_tokens", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Double),
        sa.Column("last_at", sa.Double),
        sa.Column("failures", sa.Integer, nullable=False, server_default="0"),
        sa.Column("paused", sa.Text, nullable=False, server_default=""),
        sa.Column("created_at", sa.Double, nullable=False),
        sqlite_autoincrement=True,
    )
    only = sa.text("next_at IS NOT NULL")
    op.create_index("ix_schedules_next_at", "schedules", ["next_at"], sqlite_where=only, postgresql_where=only)
    op.create_index("ix_schedules_channel", "schedules", ["team_id", "channel_id"])
    op.add_column("jobs", sa.Column("schedule_id", _RowId))
    runs = sa.text("schedule_id IS NOT NULL")
    columns = ["schedule_id", "id"]
    op.create_index("ix_jobs_schedule", "jobs", columns, sqlite_where=runs, postgresql_where=runs)
