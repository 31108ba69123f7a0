"""Prints the product's code that nothing in the product calls, and fails if there is any. `make check` runs it.

Tests and benchmarks don't count as callers: code that a removed feature leaves behind often still has tests. vulture
compares names, so a method counts as called if any attribute with its name is read. A private name of a module only
counts as used in that module, because another module can have one with the same name. ruff finds unused imports.
"""

import sys
from pathlib import Path

from vulture import Vulture
from vulture.core import Item

ROOT = Path(__file__).parents[1]
SHIPPED = ("bot", "handlers", "demo", "slack_probe", "files_to_markdown", "slack_markdown", "slack_pacing")
NOT_SHIPPED = (
    "files_to_markdown/tests/*",
    "files_to_markdown/benchmarks/*",
    "slack_markdown/tests/*",
    "slack_pacing/tests/*",
    "bot/store/migrations/versions/*",  # Alembic calls these
)
CALLED_BY_OTHERS = (
    "__init_subclass__",  # Python
    "_missing_",  # enum
    "handle_*",  # html.parser.HTMLParser
    "handleError",  # logging.Handler
    "issue_new_wss_url",  # slack_sdk's SocketModeClient
    "last_ping_pong_time",  # slack_sdk's SocketModeClient
    "stale",  # slack_sdk's SocketModeClient
    "cache_ok",  # sqlalchemy.TypeDecorator
    "impl",  # sqlalchemy.TypeDecorator
    "process_bind_param",  # sqlalchemy.TypeDecorator
    "mcp_config",  # fields of Settings are read from the environment by name
    "TOKENS_A_DAY",  # CapField's members are read from the database by value
    "TRANSITIONS",  # what a job can do; the SQL is tested against it
)
"""Names that something outside the product's code calls, reads or compares with."""


def uncalled() -> list[str]:
    """Returns a line for each definition that no code of the product uses."""
    excluded = [str(ROOT / path) for path in NOT_SHIPPED]
    unused = _unused([ROOT / path for path in SHIPPED], excluded)
    found = [item for item in unused if item.typ != "import" and _is_ours(item)]
    modules = (module for path in SHIPPED for module in sorted((ROOT / path).rglob("*.py")))
    private = [item for module in modules for item in _unused([module], excluded) if _is_private(item)]
    return sorted({item.get_report() for item in (*found, *private)})


def _unused(paths: list[Path], excluded: list[str]) -> list[Item]:
    vulture = Vulture(ignore_names=CALLED_BY_OTHERS)
    vulture.scavenge(paths, exclude=excluded)
    return list(vulture.get_unused_code())


def _is_private(item: Item) -> bool:
    return item.name.startswith("_") and item.typ in ("function", "class", "variable")


def _is_ours(item: Item) -> bool:
    """Returns whether an attribute belongs to an object of ours. Other programs read the attributes of theirs."""
    if item.typ != "attribute":
        return True
    line = item.filename.read_text("utf-8").splitlines()[item.first_lineno - 1]
    return f"self.{item.name}" in line


if __name__ == "__main__":
    found = uncalled()
    sys.stdout.writelines(f"{line}\n" for line in found)
    sys.exit("Remove it with its tests, or add it to CALLED_BY_OTHERS in tests/uncalled.py." if found else 0)
