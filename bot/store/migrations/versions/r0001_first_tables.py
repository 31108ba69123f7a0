"""The first tables: events seen, jobs, and turns."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_THREAD = ["team_id", "channel_id", "thread_ts"]
_TODO = sa.text("status = 'todo'")
_DOING = sa.text("status = 'doing'")


def upgrade() -> None:
    op.create_table(
        "seen_events",
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_seen_events"),
    )
    _create_jobs()
    _create_turns()


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("thread_ts", sa.Text, nullable=False),
        sa.Column("ts", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("worker", sa.Text),
        sa.Column("attempts", sa.Integer, nullable=False, server_default="0"),
        sa.Column("heartbeat_at", sa.Double),
        sa.Column("page_ts", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double),
        sa.Column("finished_at", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("team_id", "channel_id", "ts", name="uq_jobs_team_id_channel_id_ts"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_jobs_thread", "jobs", [*_THREAD, "ts"])
    op.create_index("ix_jobs_todo", "jobs", ["id"], sqlite_where=_TODO, postgresql_where=_TODO)
    op.create_index("ix_jobs_todo_thread", "jobs", [*_THREAD, "ts"], sqlite_where=_TODO, postgresql_where=_TODO)
    op.create_index("ix_jobs_doing", "jobs", _THREAD, unique=True, sqlite_where=_DOING, postgresql_where=_DOING)


def _create_turns() -> None:
    op.create_table(
        "turns",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("job_id", _ROW_ID, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("finish_reason", sa.Text),
        sa.Column("input_tokens", sa.Integer),
        sa.Column("output_tokens", sa.Integer),
        sa.Column("cached_input_tokens", sa.Integer),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_turns"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_turns_job_id", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_turns_job_id", "turns", ["job_id"])
