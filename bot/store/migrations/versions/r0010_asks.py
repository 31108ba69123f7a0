"""Questions about a message that were submitted in a modal."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "asks",
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("view_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("about", sa.JSON, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("due_at", sa.Double),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("elsewhere", sa.Boolean, nullable=False),
        sa.Column("posted_channel_id", sa.Text),
        sa.Column("posted_ts", sa.Text),
        sa.Column("done", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("team_id", "view_id", name="pk_asks"),
    )
    op.create_index("ix_asks_due_at", "asks", ["due_at"])
