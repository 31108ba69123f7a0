"""The durable store: questions, answers and shared state of all processes, in SQLite or PostgreSQL.

database.py explains how transactions run. Each operation is one method of a class, with its SQL and its contract.
stores.py creates all the classes.
"""

from bot.store.stores import Stores

__all__ = ["Stores"]
