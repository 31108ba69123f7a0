"""The MCP servers that a channel may use."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("channel_settings", sa.Column("mcp_servers", sa.JSON, nullable=False, server_default="[]"))
