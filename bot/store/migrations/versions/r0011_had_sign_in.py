"""Whether the asker of a question wrote the address of a sign-in, which was removed."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("had_sign_in", sa.Boolean, nullable=False, server_default=sa.false()))
