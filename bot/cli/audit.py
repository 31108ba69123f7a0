"""`typist audit`: who asked, approved, changed and erased what."""

import argparse
import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bot import logs, settings
from bot.cli import Subcommand
from bot.cli.forget import check_member_ids
from bot.cli.names import names_of
from bot.cli.terminal import print_note
from bot.cli.usage import parse_relative_day
from bot.core import audit
from bot.core.caps import DAY_S
from bot.errors import SettingsError
from bot.settings import Settings

_DETAILS_LEFT_OUT = {"id", "at", "kind", "team", "job", "user", "by", "channel", "thread", "ts"}
_DETAILS_LEFT_OUT |= {"arguments_sha256", audit.TEXTS}


def _add_audit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--since",
        metavar="TIME",
        help=("first day or time in UTC: 2026-11-20, yesterday, 7d or 2026-11-20T08:00 (default: everything)"),
    )
    parser.add_argument("--user", metavar="ID", default="", help="only this person's questions, approvals and changes")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line instead of a table")
    parser.add_argument("--texts", action="store_true", help="with --json: include text that is still stored")


def _export_audit(env: Mapping[str, str], options: argparse.Namespace) -> int:
    ours = settings.read(env)
    logs.set_up_quietly(ours.log_level, ours.log_format)
    if options.texts and not options.json:
        raise SettingsError(["--texts needs --json."])
    check_member_ids([options.user] if options.user else [])
    since = parse_audit_start(options.since) if options.since else 0.0
    asyncio.run(_export(ours, since, options.user, as_json=options.json, texts=options.texts))
    return 0


def parse_audit_start(text: str) -> float:
    """Parses --since into seconds since 1970, at least 0. A time without an offset is read as UTC. Raises
    SettingsError."""
    if (day := parse_relative_day(text)) is not None:
        return float(day * DAY_S)
    try:
        time_named = datetime.fromisoformat(text)
        return max(0.0, (time_named if time_named.tzinfo else time_named.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise SettingsError(
            [f"--since must be a day such as 2026-11-20, yesterday or 7d, or a time (2026-11-20T08:00), not {text}."]
        ) from None


async def _export(ours: Settings, since: float, user_id: str, *, as_json: bool, texts: bool) -> None:
    from bot.clock import SystemClock
    from bot.store.audit import Audit
    from bot.store.database import Database, connected
    from bot.store.migrate import empty_database_problem, migrate

    async with connected(ours.database_url) as engine:
        if nothing := await empty_database_problem(engine):
            print_note(nothing)
            return
        await migrate(engine)
        entries = Audit(Database(engine, SystemClock()))
        first = await entries.first_id_since(since)
        if first is None:
            none = "No audit entries" + (f" since {audit.time_text(since)}." if since else ".")
            print_note(none)
            return
        if not as_json:
            print(f"{'entry':>7}  {'time (UTC)':19}  {'kind':8}  {'user':11}  {'channel':11}  {'by':11}  details")
        ids: dict[str, None] = {}
        while page := await entries.page(first, 500, texts=texts, user_id=user_id):
            for line in page:
                print(audit.json_line(line) if as_json else _row(line))
                ids |= {line[name]: None for name in ("user", "channel", "by") if name in line}
            first = page[-1]["id"] + 1
        if user_id and not ids:
            print_note(f"No audit entries about or by {user_id}.")
    if not as_json and (names := await names_of(ours, ids)):
        print("  ".join(f"{id_}: {name}" for id_, name in names.items()))


def _row(line: Mapping[str, Any]) -> str:
    at = f"{line['at'][:10]} {line['at'][11:19]}"
    who = "  ".join(f"{_cell(line.get(name, '-')):11}" for name in ("user", "channel", "by"))
    details = " ".join(f"{name}={_cell(line[name])}" for name in line if name not in _DETAILS_LEFT_OUT)
    return f"{line['id']:>7}  {at}  {line['kind']:8}  {who}  {details}".rstrip()


def _cell(value: Any) -> str:
    """Returns a value as one ASCII word. Characters that a terminal would hide or interpret are escaped."""
    is_word = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value and value
    return str(value) if is_word else audit.canonical_json(value)


AUDIT = Subcommand(
    "list questions, approvals, changes and erasures",
    "Prints questions, answers, tool calls, decisions, settings changes and erasures, without their text.",
    _export_audit,
    _add_audit_arguments,
)
