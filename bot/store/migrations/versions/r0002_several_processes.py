"""Several processes: who lives, what is to stop or to be forgotten, and the calls to Slack that all count."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_DOING = sa.text("status = 'doing'")


def upgrade() -> None:
    op.add_column("jobs", sa.Column("announced_at", sa.Double))
    op.add_column("jobs", sa.Column("interruptions", sa.Integer, nullable=False, server_default="0"))
    op.add_column("jobs", sa.Column("stop_asked", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("forget_asked", sa.Boolean, nullable=False, server_default=sa.false()))
    op.create_index("ix_jobs_worker", "jobs", ["worker"], sqlite_where=_DOING, postgresql_where=_DOING)
    op.create_table(
        "workers",
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
        sa.Column("has_lock", sa.Boolean, nullable=False),
        sa.Column("spent", sa.JSON, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("worker", name="pk_workers"),
    )
    op.create_table(
        "calls",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("method", sa.Text, nullable=False),
        sa.Column("worker", sa.Text, nullable=False),
        sa.Column("sent_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
    )
    op.create_index("ix_calls_method", "calls", ["method", "sent_at"])
