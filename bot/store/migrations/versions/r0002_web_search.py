"""Web search: what answers cite, how often models searched, and channels that turn it off."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("turns", sa.Column("web_searches", sa.Integer))
    op.add_column("turns", sa.Column("sources", sa.JSON))
    op.add_column("checkpoints", sa.Column("sources", sa.JSON))
    op.add_column("channel_settings", sa.Column("web_search", sa.Boolean))
