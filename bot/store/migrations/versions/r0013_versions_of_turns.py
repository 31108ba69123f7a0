"""Which version of its answer a turn is, and which versions were there when the question was edited."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("turns", sa.Column("version", sa.Integer))
    op.add_column("jobs", sa.Column("edited_version", sa.Integer))
