"""Follow-ups: threads in which others write, questions answered together or again, and small things to do in Slack."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("answered_with", _ROW_ID))
    op.add_column("jobs", sa.Column("version", sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("asked_at", sa.Double))
    op.add_column("jobs", sa.Column("edited_ts", sa.Text))
    op.add_column("jobs", sa.Column("ping_ts", sa.Text))
    op.create_index("ix_jobs_answered_with", "jobs", ["answered_with"])
    op.create_table(
        "shared_threads",
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("thread_ts", sa.Text, nullable=False),
        sa.Column("since_ts", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("team_id", "channel_id", "thread_ts", name="pk_shared_threads"),
    )
    op.create_table(
        "errands",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("job_id", _ROW_ID, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("due_at", sa.Double, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_errands"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_errands_job_id", ondelete="CASCADE"),
        sa.UniqueConstraint("job_id", "kind", name="uq_errands_job_id_kind"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_errands_due_at", "errands", ["due_at"])
