"""The first release, with whose tables migrations begin. They are in bot/store/schema.py."""

revision = "0.1.0"
down_revision = None


def upgrade() -> None:
    """Never runs: a new database has the newest tables from the start."""
