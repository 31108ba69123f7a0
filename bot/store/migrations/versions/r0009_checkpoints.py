"""Checkpoints: the text of answers under way, as it comes."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_ROW_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("id", _ROW_ID, nullable=False),
        sa.Column("job_id", _ROW_ID, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("start", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("closing", sa.JSON),
        sa.PrimaryKeyConstraint("id", name="pk_checkpoints"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_checkpoints_job_id", ondelete="CASCADE"),
    )
    op.create_index("ix_checkpoints_job_id", "checkpoints", ["job_id"])
