"""What later prompts repeat of a question's prompt, and what an answer's further steps repeat of its own.

Processes of an earlier version leave all of it empty. Their answers go on under a prompt that is built again.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("turns", sa.Column("note", sa.JSON))
    op.add_column("steps", sa.Column("beginning", sa.Text))
    op.add_column("steps", sa.Column("bound_to", sa.Text))
