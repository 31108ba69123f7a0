"""What retention looks for, by age."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.create_index("ix_seen_events_seen_at", "seen_events", ["seen_at"])
    op.create_index("ix_usage_totals_day", "usage_totals", ["day"])
    op.create_index("ix_jobs_created_at", "jobs", ["created_at"])
    for table, condition in (
        ("jobs", "text <> '' OR CAST(files AS TEXT) <> '[]'"),
        ("turns", "answer <> ''"),
        ("tool_steps", "arguments <> '' OR result <> ''"),
    ):
        where = sa.text(condition)
        op.create_index(f"ix_{table}_content", table, ["created_at"], sqlite_where=where, postgresql_where=where)
