"""The database, SQLite or PostgreSQL. Each method of the classes created by stores.py is one operation."""

from bot.store.stores import Stores

__all__ = ["Stores"]
