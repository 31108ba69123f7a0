"""What channels have for themselves, and which system prompt an answer had."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("turns", sa.Column("prompt_version", sa.Text))
    op.create_table(
        "channels",
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("channel_id", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("system_prompt", sa.Text, nullable=False),
        sa.Column("mention_only", sa.Boolean),
        sa.PrimaryKeyConstraint("team_id", "channel_id", name="pk_channels"),
    )
