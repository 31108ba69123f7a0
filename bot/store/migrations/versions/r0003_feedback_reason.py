"""Why an answer didn't help, if the person said so."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("feedback", sa.Column("reason", sa.Text))
