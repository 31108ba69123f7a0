"""The durable store, in SQLite or PostgreSQL. stores.py creates its classes, whose methods are one operation each."""

from bot.store.stores import Stores

__all__ = ["Stores"]
