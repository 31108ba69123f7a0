"""Who changed a schedule that another person created."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("schedules", sa.Column("changed_by", sa.Text, nullable=False, server_default=""))
