"""Answers that go on after their length limit, and answers that somebody deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("goes_on", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("jobs", sa.Column("deleted", sa.Boolean, nullable=False, server_default=sa.false()))
