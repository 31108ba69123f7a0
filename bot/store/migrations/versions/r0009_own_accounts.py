"""Whether the asker's own account makes a call."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("tool_calls", sa.Column("own_account", sa.Boolean, nullable=False, server_default=sa.false()))
