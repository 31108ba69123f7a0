"""What the fork server imports, so that the processes forked from it don't have to (tests/forked.py).

Beside the parts of the bot, these are modules that libraries import only when they are used for the first time.
"""

import gc
from importlib import import_module

MODULES = (
    "bot.app",
    "demo.serve",
    "bot.mcp.server",
    "bot.models.openai",
    "slack_sandbox.server",
    "alembic.command",
    "httpcore2",
    "psycopg",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
    "tests.forked",
)

for module in MODULES:
    import_module(module)
# A collection in a forked process would otherwise copy the memory of all these modules.
gc.collect()
gc.freeze()
