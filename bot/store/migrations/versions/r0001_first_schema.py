"""The first schema: all tables. Until the first release it changes with them; after it, each change is a migration."""

from alembic import op

from bot.store.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())
