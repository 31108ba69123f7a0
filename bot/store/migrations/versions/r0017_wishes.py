"""What a person wants of a version of an answer, as one column.

Processes of an earlier version know of it what `continues` and `effort` say, which are written as before.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("wish", sa.JSON))
