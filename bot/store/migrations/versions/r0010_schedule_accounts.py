"""The servers at which a schedule's runs use its creator's own account."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("schedules", sa.Column("accounts", sa.JSON, nullable=False, server_default="[]"))
