"""The durable store: questions, answers, and what all processes share, in SQLite or PostgreSQL.

database.py explains how transactions run. Each store class stands over its SQL and implements a port or two of
bot/ports; stores.py makes them all.
"""

from bot.store.stores import Stores

__all__ = ["Stores"]
