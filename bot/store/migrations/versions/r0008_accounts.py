"""People's accounts at MCP servers."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("team_id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("server", sa.Text, primary_key=True),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("refreshing_until", sa.Double, nullable=False),
    )
    op.create_table(
        "sign_ins",
        sa.Column("state_hash", sa.Text, primary_key=True),
        sa.Column("team_id", sa.Text, nullable=False),
        sa.Column("user_id", sa.Text, nullable=False),
        sa.Column("server", sa.Text, nullable=False),
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    op.create_table(
        "oauth_clients",
        sa.Column("issuer", sa.Text, primary_key=True),
        sa.Column("redirect_uri", sa.Text, primary_key=True),
        sa.Column("secret", sa.Text, nullable=False),
    )
