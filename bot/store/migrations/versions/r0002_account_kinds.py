"""The kinds of accounts that Slack reported lately."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "account_kinds",
        sa.Column("team_id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("looked_up_at", sa.Double, nullable=False),
    )
    op.create_index("ix_account_kinds_looked_up_at", "account_kinds", ["looked_up_at"])
