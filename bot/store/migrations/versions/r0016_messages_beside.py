"""One list of the messages beside replies, each on record before it is posted."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

# The columns hold a message each, which the version before still reads and writes.
_COPIED = (
    "SELECT id, 'mention', version, mention_ts FROM jobs WHERE mention_ts IS NOT NULL",
    "SELECT id, 'ask', version, ask_ts FROM jobs WHERE ask_ts IS NOT NULL",
    "SELECT job_id, 'link', version, message_ts FROM canvases WHERE message_ts IS NOT NULL",
)


def upgrade() -> None:
    row_id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "messages_beside",
        sa.Column("job_id", row_id, sa.ForeignKey("jobs.id", ondelete="CASCADE"), autoincrement=False),
        sa.Column("role", sa.Text),
        sa.Column("version", sa.Integer, autoincrement=False),
        sa.Column("ts", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "role", "version"),
    )
    for copied in _COPIED:
        op.execute(f"INSERT INTO messages_beside (job_id, role, version, ts) {copied}")
