"""The durable store: what was asked, what is being answered, what was said."""

from bot.store.database import SqlStore

__all__ = ["SqlStore"]
