"""The files that came with a question, as Slack tells of them; never their bytes."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("files", sa.JSON, nullable=False, server_default="[]"))
