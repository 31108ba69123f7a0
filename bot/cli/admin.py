"""What admins do: `typist migrate`, `forget`, `usage`, `audit`, `schedules` and `memory` with the database, `mcp` with
tools.

`mcp` lists the tools of MCP servers, and lets an admin agree to tools that are new or have changed.
"""

import argparse
import asyncio
import csv
import json
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bot import logs, settings
from bot.cli import EXIT_FAILED, Subcommand
from bot.core import audit
from bot.core.calls import full_name, owner_of, visible
from bot.core.caps import DAY_S, day_of, format_day, parse_day
from bot.core.conversation import ThreadKey, is_direct, linked_message
from bot.core.usage import DownReason, GroupBy, UsageLine, UsageReport
from bot.errors import RateLimited, Refused, SettingsError
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.core.calls import AllowedTool, Pin
    from bot.core.schedules import Schedule
    from bot.mcp.definitions import ListedTool
    from bot.store import Stores

WITHIN_S = 10.0
"""For all names together: a report isn't worth more waiting."""


def in_one_line(name: str) -> str:
    """Returns a name from Slack without characters that a terminal would hide or obey."""
    return " ".join(visible(name).split())


async def names_of(ours: Settings, ids: Iterable[str]) -> Mapping[str, str]:
    """Returns what Slack calls people and channels, of the first ids: as many as a prompt may name.

    Those whom Slack doesn't name in time are missing, and all are without a bot token.
    """
    if not ours.slack_bot_token:
        return {}
    from bot.slack.client import SlackClient, new_session
    from bot.slack.users import MAX_NAMES, name_of

    names: dict[str, str] = {}

    async def look_up(slack: SlackClient) -> None:
        for id_ in list(dict.fromkeys(ids))[:MAX_NAMES]:
            is_person = id_.startswith(("U", "W"))
            method, kind = ("users.info", "user") if is_person else ("conversations.info", "channel")
            try:
                answer = await slack.call(method, **{kind: id_})
            except (RateLimited, Refused):
                continue
            if name := in_one_line(name_of(answer.get(kind) or {})):
                names[id_] = name if is_person else f"#{name}"

    async with new_session() as session:
        try:
            async with asyncio.timeout(WITHIN_S):
                await look_up(SlackClient(ours.slack_bot_token, ours.slack_api_url, session))
        except TimeoutError:
            pass
    return names


def _migrate_database(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Migrates the database and returns the exit code. Raises StoreError."""
    ours = settings.read(env)
    logs.set_up(ours.log_level, ours.log_format)
    revision = asyncio.run(_migrate(ours.database_url))
    print(f"The database schema is at revision {revision}.")
    return 0


async def _migrate(database_url: str) -> str | None:
    from bot.store.database import connected
    from bot.store.migrate import migrate

    async with connected(database_url) as engine:
        return await migrate(engine)


MIGRATE = Subcommand(
    "update the database schema (every start does this, too)",
    "Updates the database in DATABASE_URL to the newest schema and prints its revision.",
    _migrate_database,
)
WORKER = "admin"
"""This process's name among the workers. It claims no jobs."""
ROOT = "root"
"""Logged in place of a thread's ts for direct messages outside threads."""

_USER = re.compile(r"[UW][A-Z0-9]+")
_THREAD = re.compile(r"(?:([ET][A-Z0-9]+)/)?([CDG][A-Z0-9]+)/(\d+\.\d+|root)")


@dataclass(frozen=True)
class ErasureTarget:
    """What to delete: a person's questions, a thread's, or everything."""

    user_id: str | None
    thread: ThreadKey | None
    """Its team_id is "" if the command line names none."""

    def __str__(self) -> str:
        if self.user_id:
            return f"all questions and memories of {self.user_id}"
        if self.thread:
            return f"all questions and memories in {str(self.thread).removeprefix('/')}"
        return "ALL questions and memories of everyone"


def _add_forget_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name what to delete, and --yes."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--user", metavar="ID", help="a person's questions and memories, by member ID: U0123ABCD")
    what.add_argument("--thread", help="a thread's questions and memories: CHANNEL/THREAD_TS, or the link of a message")
    what.add_argument("--all", action="store_true", help="everyone's questions and memories")
    parser.add_argument("--yes", action="store_true", help="don't ask for confirmation")


def _forget(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Deletes what the options name and returns the exit code. Raises StoreError, SettingsError."""
    ours = settings.read(env)
    logs.set_up(ours.log_level, ours.log_format)
    if options.user is not None and not _USER.fullmatch(options.user):
        raise SettingsError(
            [f"--user must be a member ID such as U0123ABCD (in Slack: profile > Copy member ID), not {options.user}."]
        )
    target = ErasureTarget(options.user, None if options.thread is None else parse_thread(options.thread))
    if not options.yes and not confirmed(f"This deletes {target} for good. Continue?", "delete"):
        print(logs.line("Nothing was deleted.", is_error=False), file=sys.stderr)
        return EXIT_FAILED
    asyncio.run(_erase(ours, target))
    return 0


def parse_thread(text: str) -> ThreadKey:
    """Returns the thread that --thread names. Raises SettingsError."""
    if match := _THREAD.fullmatch(text):
        team_id, channel_id, thread_ts = match.groups()
        return ThreadKey(team_id or "", channel_id, None if thread_ts == ROOT else thread_ts)
    if linked := linked_message(text):
        channel_id, ts, thread_ts = linked
        # A direct message in no thread belongs to the conversation's root; other messages begin their own thread.
        return ThreadKey("", channel_id, thread_ts or (None if is_direct(channel_id) else ts))
    raise SettingsError(
        [f"--thread must be CHANNEL/THREAD_TS, TEAM/CHANNEL/THREAD_TS (as in the log) or a message's link, not {text}."]
    )


def confirmed(question: str, to_do: str, shown: str = "") -> bool:
    """Shows what it is about, and asks at the terminal. Raises SettingsError where there is none."""
    if not sys.stdin.isatty():
        raise SettingsError([f"There is no terminal to confirm at. Use --yes to {to_do} without confirmation."])
    print(shown, end="", flush=True)
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _erase(ours: Settings, target: ErasureTarget) -> None:
    from bot.clock import SystemClock
    from bot.store import Stores
    from bot.store.database import connected
    from bot.store.migrate import nothing_recorded

    thread = await _with_team(ours, target.thread) if target.thread else None
    async with connected(ours.database_url) as engine:
        if nothing := await nothing_recorded(engine):
            print(nothing)
            return
    stores = await Stores.open(ours.database_url, WORKER, SystemClock())
    try:
        count = await stores.erasure.erase(user_id=target.user_id, thread=thread)
    finally:
        await stores.close()
    print(f"{deleted(count)} Answers being written are stopped, then deleted.")
    print("Messages in Slack stay. Delete them there.")


async def _with_team(ours: Settings, thread: ThreadKey) -> ThreadKey:
    """Returns the thread with its team, the bot token's if none was given. Raises SettingsError."""
    if thread.team_id:
        return thread
    if not ours.slack_bot_token:
        raise SettingsError(
            [f"--thread needs a team, because SLACK_BOT_TOKEN is not set. Use TEAM/{thread.channel_id}/THREAD_TS."]
        )
    return replace(thread, team_id=await _own_team(ours))


async def _own_team(ours: Settings) -> str:
    """Returns the ID of the bot token's team."""
    from bot.clock import SystemClock
    from bot.slack.client import SlackClient, bot_credential, new_session

    async with new_session() as session:
        web = SlackClient(ours.slack_bot_token, ours.slack_api_url, session)
        return (await bot_credential(SystemClock()).used(web.identity)).team_id


def deleted(count: int) -> str:
    """Says how many questions were deleted."""
    return f"Deleted {'1 question and its answer' if count == 1 else f'{count:,} questions and their answers'}."


FORGET = Subcommand(
    "delete questions, answers and memories from the database",
    "Deletes questions with their answers, and memories, from the database for good. Answers being written are "
    "stopped, then deleted. "
    "Messages in Slack stay: delete them there.",
    _forget,
    _add_forget_arguments,
)
_HEADINGS = ("answers", "input", "output", "searches", "USD", "first token", "failures", "+1", "-1")
_REASON_HEADINGS = {DownReason.WRONG: "wrong", DownReason.TOO_LONG: "too long", DownReason.NOT_MEANT: "not meant"}
"""Why answers got a -1, where people said so."""
_COLUMNS = (
    "answers",
    "input_tokens",
    "output_tokens",
    "web_searches",
    "cost_usd",
    "unpriced_tokens",
    "median_first_token_s",
    "failures",
    "thumbs_up",
    "thumbs_down",
)


def _add_usage_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options for grouping, start date and output format."""
    groups = ["day", "user", "channel", "model"]
    parser.add_argument("--by", choices=groups, default="day", help="print one line for each (default: day)")
    parser.add_argument("--since", metavar="DATE", help="first day, in UTC: 2026-11-20 (default: 30 days ago)")
    parser.add_argument("--csv", action="store_true", help="print CSV for a spreadsheet")


def _report_usage(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Prints the report and returns the exit code. Raises StoreError, SettingsError."""
    ours = settings.read(env)
    logs.set_up(ours.log_level, ours.log_format)
    since = first_day_of_usage(options.since)
    report, nothing = asyncio.run(_report(ours.database_url, options.by, since))
    has_ids = not options.csv and report.by in ("user", "channel")
    names = asyncio.run(names_of(ours, report.sorted())) if has_ids else {}
    if options.csv:
        _print_csv(report)
    elif nothing:
        print(nothing)
    elif not report.lines:
        print(f"No answers since {format_day(since)}.")
    else:
        _print_table(report, since, names)
    return 0


def first_day_of_usage(text: str | None) -> int:
    """Returns the day that --since names, in days of UTC since 1970. Raises SettingsError."""
    if text is None:
        return day_of(time.time()) - 30
    try:
        return parse_day(text)
    except ValueError:
        raise SettingsError([f"--since must be a day such as 2026-11-20, not {text}."]) from None


async def _report(database_url: str, by: GroupBy, since: int) -> tuple[UsageReport, str]:
    """Returns the report, and why it is empty if Typist has not recorded anything yet."""
    from bot.store.database import READS, connected, database_errors
    from bot.store.migrate import migrate, nothing_recorded
    from bot.store.usage import thumbs, uses

    report = UsageReport(by)
    async with connected(database_url) as engine:
        if nothing := await nothing_recorded(engine):
            return report, nothing
        await migrate(engine)
        with database_errors():
            async with engine.execution_options(**{READS: True}).begin() as connection:
                report.add(await uses(connection, since * DAY_S), await thumbs(connection, since * DAY_S))
    return report, ""


def _print_csv(report: UsageReport) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([report.by, *_COLUMNS, *DownReason])
    for key, line in report.sorted().items():
        values: Mapping[str, object] = {name: getattr(line, name) for name in _COLUMNS}
        cells = {**values, "cost_usd": f"{line.cost_usd:.6f}", "median_first_token_s": _first_token(line, "")}
        writer.writerow(
            [key, *(cells[name] for name in _COLUMNS), *(line.down_reasons[reason] for reason in DownReason)]
        )


def _print_table(report: UsageReport, since: int, names: Mapping[str, str]) -> None:
    rows: list[tuple[str, ...]] = [(report.by, *_HEADINGS, *_REASON_HEADINGS.values())]
    rows += [(f"{key} {names.get(key, '')}".rstrip(), *_cells(line)) for key, line in report.sorted().items()]
    if len(report.lines) > 1:
        rows.append(("all", *_cells(report.total)))
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    print(f"Since {format_day(since)} (days in UTC).")
    for row in rows:
        first, *numbers = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join([first.strip().ljust(widths[0]), *numbers]))
    if report.total.unpriced_tokens:
        print(f"{report.total.unpriced_tokens:,} tokens have no known price and are not included in USD.")


def _cells(line: UsageLine) -> tuple[str, ...]:
    numbers = (line.answers, line.input_tokens, line.output_tokens, line.web_searches)
    return (
        *(f"{number:,}" for number in numbers),
        f"{line.cost_usd:,.2f}" if line.cost_usd >= 1 or not line.cost_usd else f"{line.cost_usd:.4f}",
        _first_token(line, "s") or "-",
        *(f"{number:,}" for number in (line.failures, line.thumbs_up, line.thumbs_down)),
        *(f"{line.down_reasons[reason]:,}" for reason in _REASON_HEADINGS),
    )


def _first_token(line: UsageLine, unit: str) -> str:
    return "" if line.median_first_token_s is None else f"{line.median_first_token_s:.2f}{unit and ' ' + unit}"


USAGE = Subcommand(
    "show answers, tokens and costs as a table",
    "Prints answers, tokens, costs, failures and feedback, by day, user, channel or model.",
    _report_usage,
    _add_usage_arguments,
)
_DETAILS_LEFT_OUT = {"id", "at", "kind", "team", "job", "user", "by", "channel", "thread", "ts"}
_DETAILS_LEFT_OUT |= {"arguments_sha256", audit.TEXTS}


def _add_audit_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("--since", metavar="TIME", help="2026-11-20 or 2026-11-20T08:00, in UTC (default: all)")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each entry, not a table")
    parser.add_argument("--texts", action="store_true", help="with --json: add the texts that are still stored")


def _export_audit(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Exports, and returns the exit code. Raises StoreError, SettingsError."""
    ours = settings.read(env)
    logs.set_up_quietly(ours.log_level, ours.log_format)
    if options.texts and not options.json:
        raise SettingsError(["--texts needs --json."])
    since = first_time_of_audit(options.since) if options.since else 0.0
    asyncio.run(_export(ours, since, as_json=options.json, texts=options.texts))
    return 0


def first_time_of_audit(text: str) -> float:
    """Returns the time that --since names, in seconds since 1970: in UTC, unless it has an offset.

    Raises SettingsError.
    """
    try:
        time_named = datetime.fromisoformat(text)
        return (time_named if time_named.tzinfo else time_named.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise SettingsError(
            [f"--since must be a day such as 2026-11-20, or a time such as 2026-11-20T08:00, not {text}."]
        ) from None


async def _export(ours: Settings, since: float, *, as_json: bool, texts: bool) -> None:
    """Prints the entries, and below a table the names of people and channels; or why there are none."""
    from bot.clock import SystemClock
    from bot.store.audit import Audit
    from bot.store.database import Database, connected
    from bot.store.migrate import migrate, nothing_recorded

    async with connected(ours.database_url) as engine:
        if nothing := await nothing_recorded(engine):
            print(logs.line(nothing, is_error=False), file=sys.stderr)
            return
        await migrate(engine)
        entries = Audit(Database(engine, SystemClock()))
        first = await entries.first_since(since)
        if first is None:
            none = "No audit entries" + (f" since {audit.time_text(since)}." if since else ".")
            print(logs.line(none, is_error=False), file=sys.stderr)
            return
        if not as_json:
            print(f"{'entry':>7}  {'time (UTC)':19}  {'kind':8}  {'user':11}  {'channel':11}  {'by':11}  details")
        ids: dict[str, None] = {}
        while page := await entries.page(first, 500, texts=texts):
            for line in page:
                print(audit.written(line) if as_json else _row(line))
                ids |= {line[name]: None for name in ("user", "channel", "by") if name in line}
            first = page[-1]["id"] + 1
    if not as_json and (names := await names_of(ours, ids)):
        print("  ".join(f"{id_}: {name}" for id_, name in names.items()))


def _row(line: Mapping[str, Any]) -> str:
    at = f"{line['at'][:10]} {line['at'][11:19]}"
    who = "  ".join(f"{_cell(line.get(name, '-')):11}" for name in ("user", "channel", "by"))
    details = " ".join(f"{name}={_cell(line[name])}" for name in line if name not in _DETAILS_LEFT_OUT)
    return f"{line['id']:>7}  {at}  {line['kind']:8}  {who}  {details}".rstrip()


def _cell(value: Any) -> str:
    """Returns a value as one word, in ASCII: what a terminal would hide or obey shows as an escape."""
    is_word = isinstance(value, str) and value.isascii() and value.isprintable() and " " not in value and value
    return str(value) if is_word else audit.canonical(value)


AUDIT = Subcommand(
    "export who asked, approved, changed and erased what",
    "Prints questions, answers, tool calls, decisions, changed settings and erasures, without their texts.",
    _export_audit,
    _add_audit_arguments,
)


def _add_memory_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the option that names one place."""
    parser.add_argument("--channel", metavar="ID", default="", help="one channel or direct message: C0123ABCD")


def _export_memories(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Prints memories as lines of JSON, and returns the exit code. Raises StoreError, SettingsError."""
    ours = settings.read(env)
    logs.set_up_quietly(ours.log_level, ours.log_format)
    asyncio.run(_print_memories(ours, options.channel))
    return 0


async def _print_memories(ours: Settings, channel_id: str) -> None:
    from bot.clock import SystemClock
    from bot.store.database import Database, connected
    from bot.store.memories import Memories
    from bot.store.migrate import migrate, nothing_recorded

    async with connected(ours.database_url) as engine:
        if nothing := await nothing_recorded(engine):
            print(logs.line(nothing, is_error=False), file=sys.stderr)
            return
        await migrate(engine)
        memories, last_id = Memories(Database(engine, SystemClock())), 0
        while page := await memories.page(last_id, 500, channel_id):
            for line in page:
                times = {name: audit.time_text(line[name]) for name in ("created_at", "renewed_at")}
                print(json.dumps(line | times))
            last_id = page[-1]["id"]


MEMORY = Subcommand(
    "export what people asked to remember",
    "Prints the memories of all channels and direct messages, or of one, with their texts: one line of JSON for each.",
    _export_memories,
    _add_memory_arguments,
)


MAX_NAMED = 5
"""Tools in one line of a command."""
LIST, AGREE, REVOKE = "list", "agree", "revoke"


@dataclass(frozen=True)
class SeenTool:
    """A tool as its server describes it now, and what was agreed to."""

    listed: "ListedTool"
    agreed: "Pin | None"
    """None if nobody has agreed to any."""
    is_first: bool
    """Whether no process has offered its server's tools yet: the first list counts as agreed."""

    @property
    def state(self) -> str:
        """One word for the list."""
        if self.agreed is None:
            return "first" if self.is_first else "new"
        if self.agreed.definition_hash != self.listed.hash:
            return "changed"
        return "agreed" if self.agreed.by_admin else "seen"


def _add_mcp_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the three actions with their options."""
    parser.set_defaults(tools=[], yes=False)
    actions = parser.add_subparsers(dest="action", metavar="[list|agree|revoke]")
    actions.add_parser(LIST, help="list the tools (default)")
    agree = actions.add_parser(AGREE, help="agree to new and changed tools, so that models may call them")
    agree.add_argument("tools", nargs="+", metavar="TOOL", help="as the list names it; 'srv__*' is all of a server")
    agree.add_argument("--yes", action="store_true", help="don't ask for confirmation")
    revoke = actions.add_parser(REVOKE, help="make the calls of always allowed tools ask again")
    revoke.add_argument("tools", nargs="+", metavar="TOOL", help="as the list names it")


def _mcp(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Lists or agrees, and returns the exit code. Raises StoreError, SettingsError."""
    ours = settings.read(env)
    logs.set_up_quietly(ours.log_level, ours.log_format)
    if not ours.mcp.servers:
        raise SettingsError(["BOT_MCP_CONFIG is not set, so there are no MCP servers. See docs/admins/tools.md."])
    if options.action == REVOKE:
        return asyncio.run(_revoke(ours, options.tools))
    return asyncio.run(_list_or_agree(ours, options.tools, yes=options.yes))


async def _revoke(ours: Settings, names: Sequence[str]) -> int:
    from bot.clock import SystemClock
    from bot.store import Stores

    stores = await Stores.open(ours.database_url, WORKER, SystemClock())
    try:
        allowed = {allowed.tool for allowed in await stores.approvals.allowed()}
        if unknown := [name for name in names if name not in allowed]:
            raise SettingsError([f"Not always allowed anywhere: {', '.join(unknown)}. `typist mcp` lists what is."])
        for name in dict.fromkeys(names):
            channels = await stores.approvals.revoke([name])
            print(f"{name}: revoked in {channels} channel{'' if channels == 1 else 's'}. Its calls ask again.")
    finally:
        await stores.close()
    return 0


async def _list_or_agree(ours: Settings, names: Sequence[str], *, yes: bool) -> int:
    from bot.clock import SystemClock
    from bot.core.calls import Pin
    from bot.store import Stores

    stores = await Stores.open(ours.database_url, WORKER, SystemClock())
    try:
        seen, down = await _seen(ours, stores)
        if not names:
            allowed = await stores.approvals.allowed()
            ids = [id_ for one in allowed for id_ in (one.channel_id, one.by) if id_]
            _print_list(ours, seen, down, allowed, await names_of(ours, ids) if ids else {})
            return 0
        if unknown := [pattern for pattern in names if not _fitting(seen, pattern)]:
            why = "".join(f" {server} is down: {reason}." for server, reason in down.items())
            raise SettingsError([f"No server lists {', '.join(unknown)}.{why} `typist mcp` lists all tools."])
        for name in dict.fromkeys(tool for pattern in names for tool in _fitting(seen, pattern)):
            if not yes and not confirmed("Models read this. Agree?", "agree", _change_of(name, seen[name])):
                print(logs.line("No further tools were agreed to.", is_error=False), file=sys.stderr)
                return EXIT_FAILED
            await stores.tool_pins.agree(name, Pin(seen[name].listed.hash, seen[name].listed.canonical))
            print(f"{name}: agreed. It is offered from the next question on.")
    finally:
        await stores.close()
    return 0


async def _seen(ours: Settings, stores: "Stores") -> tuple[dict[str, SeenTool], dict[str, str]]:
    """Returns the tools by name, and why servers are down, by server."""
    from bot.clock import SystemClock
    from bot.mcp.definitions import offered_names
    from bot.mcp.server import ServerDown, open_servers

    listed: dict[str, ListedTool] = {}
    down = {}
    async with open_servers(ours.mcp.servers, SystemClock()) as servers:
        tools = [server.tools() for server in servers.by_name.values()]
        for name, result in zip(ours.mcp.names, await asyncio.gather(*tools, return_exceptions=True), strict=True):
            if isinstance(result, ServerDown):
                down[name] = str(result)
            elif isinstance(result, BaseException):
                raise result
            else:
                listed |= {name: tool for name, tool in offered_names(name, result).items() if not tool.is_broken}
    agreed = await stores.tool_pins.read(listed)
    known = await stores.tool_pins.listed(ours.mcp.names)
    return {name: SeenTool(tool, agreed.get(name), owner_of(name) not in known) for name, tool in listed.items()}, down


def _print_list(
    ours: Settings,
    seen: Mapping[str, SeenTool],
    down: Mapping[str, str],
    allowed: "Sequence[AllowedTool]",
    names: Mapping[str, str],
) -> None:
    """Prints the tools, why servers are down, and which tools admins always allow. `names`: of people and channels."""
    for name, tool in seen.items():
        rule = ours.mcp.rules.rule_for(name)
        print(f"{tool.state:8} {rule.permission:6} {'reads ' if rule.read_only else 'writes'} {name}")
    for server, reason in down.items():
        print(f"{server} is down: {reason}")
    if unagreed := [name for name, tool in seen.items() if tool.state in ("new", "changed")]:
        print(f"\nNew and changed tools are not offered. Read and agree: {_agreement(seen, unagreed)}")
    if unread := [name for name, tool in seen.items() if tool.state in ("first", "seen")]:
        print(
            "\nWhere these tools are offered, calls that may change something always ask, until you read and agree: "
            f"{_agreement(seen, unread)}"
        )
    if allowed:
        print("\nAlways allowed. To make their calls ask again: typist mcp revoke TOOL")
    for one in allowed:
        now = seen.get(one.tool)
        state = "" if now and now.listed.hash == one.definition_hash else ", for an earlier definition"
        since = datetime.fromtimestamp(one.at, UTC)
        channel, admin = (f"{id_} {names.get(id_, '')}".rstrip() for id_ in (one.channel_id, one.by))
        print(f"{channel:12} {one.tool} by {admin or 'an erased admin'} on {since:%Y-%m-%d}{state}")


def _agreement(seen: Mapping[str, SeenTool], names: Sequence[str]) -> str:
    """Returns the command that agrees to these tools; for all of a server with more than a few, by its pattern."""
    arguments: dict[str, None] = {}
    for name in names:
        pattern = full_name(owner_of(name), "*")
        fitting = _fitting(seen, pattern)
        is_all = len(fitting) > MAX_NAMED and set(fitting) <= set(names)
        arguments[f"'{pattern}'" if is_all else name] = None
    separator = " " if len(arguments) <= MAX_NAMED else " \\\n    "
    return separator.join(["typist mcp agree", *arguments])


def _fitting(seen: Mapping[str, SeenTool], pattern: str) -> list[str]:
    """Returns the tools that a pattern fits: a name in which * stands for any characters."""
    wanted = re.compile(".*".join(map(re.escape, pattern.split("*"))))
    return [name for name in seen if wanted.fullmatch(name)]


def _change_of(name: str, tool: SeenTool) -> str:
    """Returns what the tool's definition was, if it has changed, and what it is now."""
    before = tool.agreed if tool.state == "changed" else None
    until_now = f"{name} until now:\n{_pretty(before.definition)}\n" if before else ""
    return f"{until_now}{name} now:\n{_pretty(tool.listed.canonical)}\n"


def _pretty(definition: str) -> str:
    """Returns a definition on several lines, in ASCII: what a terminal would hide or obey shows as an escape."""
    name, description, parameters, title = json.loads(definition)
    shown = {"name": name, "title": title, "description": description, "parameters": parameters}
    return json.dumps(shown, indent=2)


MCP = Subcommand(
    "list the tools of MCP servers, and agree to new and changed ones",
    "Connects to the servers in BOT_MCP_CONFIG and lists their tools. A tool that is new since a server's "
    "first list, or whose name, description or parameters have changed, is not offered to models until you agree: "
    "typist mcp agree TOOL. Below them stand the tools that admins always allow in a channel: their calls ask again "
    "after typist mcp revoke TOOL.",
    _mcp,
    _add_mcp_arguments,
)


PAUSE, STOP = "pause", "stop"
MAX_WORDS_SHOWN = 60


def _add_schedules_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the three actions."""
    actions = parser.add_subparsers(dest="action", metavar="[list|pause|stop]")
    actions.add_parser(LIST, help="list the schedules (default)")
    helps = {PAUSE: "pause a schedule, until somebody resumes it in Slack", STOP: "remove a schedule"}
    for action, help_ in helps.items():
        actions.add_parser(action, help=help_).add_argument(
            "schedule", type=int, metavar="ID", help="as the list has it"
        )


def _manage_schedules(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Lists, pauses or stops, and returns the exit code. Raises StoreError, SettingsError."""
    ours = settings.read(env)
    logs.set_up_quietly(ours.log_level, ours.log_format)
    if not ours.slack_bot_token:
        raise SettingsError(["SLACK_BOT_TOKEN is not set: it says whose schedules these are."])
    asyncio.run(_list_or_end_schedules(ours, options))
    return 0


async def _list_or_end_schedules(ours: Settings, options: argparse.Namespace) -> None:
    from bot.clock import SystemClock
    from bot.core.schedules import PauseReason
    from bot.store import Stores

    team_id = await _own_team(ours)
    stores = await Stores.open(ours.database_url, WORKER, SystemClock())
    try:
        found = {schedule.id: schedule for schedule in await stores.schedules.all(team_id)}
        if options.action in (None, LIST):
            names = await names_of(ours, [id_ for one in found.values() for id_ in (one.channel_id, one.user_id)])
            print("\n".join(_schedule_lines(one, names) for one in found.values()) or "There are no schedules.")
        elif options.schedule not in found:
            raise SettingsError([f"There is no schedule {options.schedule}. `typist schedules` lists them."])
        elif options.action == STOP:
            await stores.schedules.stop(team_id, options.schedule, "")
            print(f"Schedule {options.schedule} is stopped: it doesn't run again.")
        else:
            await stores.schedules.pause(team_id, options.schedule, PauseReason.BY_PERSON)
            print(f"Schedule {options.schedule} is paused. Its creator or a Typist admin can resume it in Slack.")
    finally:
        await stores.close()


def _schedule_lines(schedule: "Schedule", names: Mapping[str, str]) -> str:
    """Returns a schedule in two lines: its state, and what it does, in ASCII."""
    channel, creator = (f"{id_} {names.get(id_, '')}".rstrip() for id_ in (schedule.channel_id, schedule.user_id))
    state = "done" if schedule.is_done else f"paused ({schedule.paused})"
    if schedule.next_at is not None:
        state = f"next {datetime.fromtimestamp(schedule.next_at, UTC):%Y-%m-%d %H:%M} UTC"
    rule = f"{schedule.rule.cron or 'once'} {schedule.rule.zone}"
    used = f"{schedule.used.tokens:,} tokens and {schedule.used.cost_usd:.2f} USD this month"
    words = schedule.words[:MAX_WORDS_SHOWN] + ("..." if len(schedule.words) > MAX_WORDS_SHOWN else "")
    return f"{schedule.id:>5}  {state}  {rule}  {channel}  by {creator}  {used}\n       {json.dumps(words)}"


SCHEDULES = Subcommand(
    "list, pause and stop schedules",
    "Lists what Typist does by itself at set times, with the first words of each schedule and what its runs have used "
    "in this month. typist schedules pause ID pauses one, typist schedules stop ID removes it. In Slack, its creator "
    "and Typist admins do that with the command /typist schedules.",
    _manage_schedules,
    _add_schedules_arguments,
)
