"""The durable store: questions, answers, and what all processes share, in SQLite or PostgreSQL.

database.py explains how transactions run. Each operation is one method of a class, with its SQL and its contract.
stores.py makes them all.
"""

from bot.store.stores import Stores

__all__ = ["Stores"]
