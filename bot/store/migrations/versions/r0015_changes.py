"""Changes that the outbox counts, and what its entries have said so far: mentions to come, and deleted questions."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("mention_at", sa.Double))
    op.add_column("jobs", sa.Column("question_deleted", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("outbox_entries", sa.Column("changes", sa.Integer, nullable=False, server_default="0"))
    op.add_column("outbox_entries", sa.Column("is_held", sa.Boolean, nullable=False, server_default=sa.false()))
