"""Who asks how much: reservations, what was spent, what people were told, and what they think of answers."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TODO = sa.text("status = 'todo'")
_DOING = sa.text("status = 'doing'")
_PERSON = ["team_id", "user_id"]


def upgrade() -> None:
    _extend_jobs()
    _extend_turns()
    _create_tables()


def _extend_jobs() -> None:
    op.add_column("jobs", sa.Column("from_bot", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("reserved_tokens", sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("reserved_usd", sa.Double, nullable=False, server_default="0"))
    op.create_index("ix_jobs_todo_user", "jobs", _PERSON, sqlite_where=_TODO, postgresql_where=_TODO)
    op.create_index("ix_jobs_doing_user", "jobs", _PERSON, sqlite_where=_DOING, postgresql_where=_DOING)
    op.create_index(
        "ix_jobs_from_bot",
        "jobs",
        [*_PERSON, "created_at"],
        sqlite_where=sa.text("from_bot = 1"),
        postgresql_where=sa.text("from_bot"),
    )


def _extend_turns() -> None:
    op.add_column("turns", sa.Column("cost_usd", sa.Double))
    op.add_column("turns", sa.Column("first_token_s", sa.Double))


def _create_tables() -> None:
    op.create_table(
        "spending",
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("scope_id", sa.Text, nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("cost_usd", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("team_id", "scope", "scope_id", "day", name="pk_spending"),
    )
    op.create_table(
        "notices",
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("notice", sa.Text, nullable=False),
        sa.Column("told_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("team_id", "user_id", "notice", name="pk_notices"),
    )
    op.create_table(
        "feedback",
        sa.Column("job_id", _ROW_ID, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("value", sa.Integer, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("prompt_version", sa.Text),
        sa.Column("at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "user_id", name="pk_feedback"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_feedback_job_id", ondelete="CASCADE"),
    )
