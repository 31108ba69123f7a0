"""The first release. Migrations begin with its tables, which bot/store/schema.py defines."""

revision = "0.1.0"
down_revision = None


def upgrade() -> None:
    """Never runs, because a new database has the newest tables from the start."""
