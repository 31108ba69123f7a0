"""What a call that a person agreed to has made: a memory or a schedule, by its number."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("tool_calls", sa.Column("made", sa.BigInteger, nullable=False, server_default="0"))
