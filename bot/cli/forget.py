"""`typist forget`: deletes a person's data, a thread's data, or everything."""

import argparse
import asyncio
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bot import logs, settings
from bot.cli import EXIT_FAILED, Subcommand
from bot.cli.connections import open_slack, open_stores
from bot.cli.terminal import confirm, print_note
from bot.core.conversation import ThreadKey, is_direct_message, linked_message
from bot.errors import SettingsError
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.store import Stores
    from bot.store.schema import Noun

ROOT = "root"
"""The log's name for direct messages outside threads, which have no thread ts."""

REVOKED_WITHIN_S = 60.0

_USER = re.compile(r"[UW][A-Z0-9]+")
_THREAD = re.compile(r"(?:([ET][A-Z0-9]+)/)?([CDG][A-Z0-9]+)/(\d+\.\d+|root)")


@dataclass(frozen=True)
class ErasureTarget:
    user_id: str | None
    thread: ThreadKey | None
    """The thread to erase. Its team_id is "" if the command line doesn't include the team."""

    def __str__(self) -> str:
        from bot.store.erasure import nouns

        data = f"data ({', '.join(several for _, several in nouns(of_thread=self.thread is not None))})"
        if self.user_id:
            return f"all {data} of {self.user_id}"
        return f"all {data} in {str(self.thread).removeprefix('/')}" if self.thread else f"ALL {data} of everyone"


def _add_forget_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--user",
        metavar="ID",
        action="append",
        help="delete a person's data, by member ID: U0123ABCD (can be repeated)",
    )
    what.add_argument(
        "--thread",
        action="append",
        help="delete a thread's data: CHANNEL/THREAD_TS or a message link (can be repeated)",
    )
    what.add_argument("--all", action="store_true", help="delete everyone's data")
    parser.add_argument("--yes", action="store_true", help="don't ask for confirmation")


def check_member_ids(values: Sequence[str]) -> None:
    if wrong := [value for value in values if not _USER.fullmatch(value)]:
        raise SettingsError(
            [f"--user must be a member ID such as U0123ABCD (in Slack: profile > Copy member ID), not {wrong[0]}."]
        )


def _forget(env: Mapping[str, str], options: argparse.Namespace) -> int:
    ours = settings.read(env)
    logs.set_up(ours.log_level, ours.log_format)
    check_member_ids(options.user or ())
    threads = map(parse_thread, dict.fromkeys(options.thread or ()))
    targets = [ErasureTarget(user_id, None) for user_id in dict.fromkeys(options.user or ())]
    targets = [*targets, *(ErasureTarget(None, thread) for thread in threads)] or [ErasureTarget(None, None)]
    named = ", and ".join(map(str, targets))
    if not options.yes and not confirm(f"This will permanently delete {named}. Continue?", "delete"):
        print_note("Nothing was deleted.")
        return EXIT_FAILED
    return asyncio.run(_erase(ours, targets))


def parse_thread(text: str) -> ThreadKey:
    if match := _THREAD.fullmatch(text):
        team_id, channel_id, thread_ts = match.groups()
        return ThreadKey(team_id or "", channel_id, None if thread_ts == ROOT else thread_ts)
    if linked := linked_message(text):
        channel_id, ts, thread_ts = linked
        # A direct message outside threads belongs to the conversation's root; other messages begin their own thread.
        return ThreadKey("", channel_id, thread_ts or (None if is_direct_message(channel_id) else ts))
    raise SettingsError(
        [f"--thread must be CHANNEL/THREAD_TS, TEAM/CHANNEL/THREAD_TS (as in the log) or a message's link, not {text}."]
    )


async def _erase(ours: Settings, targets: Sequence[ErasureTarget]) -> int:
    from bot.store.database import connected
    from bot.store.migrate import empty_database_problem
    from bot.store.schema import ACCOUNT

    targets = [replace(target, thread=target.thread and await _add_team(ours, target.thread)) for target in targets]
    async with connected(ours.database_url) as engine:
        if nothing := await empty_database_problem(engine):
            print(logs.line(nothing, is_error=True), file=sys.stderr)
            return EXIT_FAILED
    total, left = Counter["Noun"](), set[str]()
    async with open_stores(ours) as stores:
        for target in targets:
            accounts, unrevoked = (0, []) if target.thread else await _sign_out(ours, stores, target.user_id)
            counts = await stores.erasure.erase(user_id=target.user_id, thread=target.thread)
            counts[ACCOUNT] = accounts
            if not deletion_sentence(counts):
                print(f"No data found for {target.user_id or target.thread or 'anyone'}.")
            total.update(counts)
            left.update(unrevoked)
    if said := deletion_sentence(total):
        print(f"Deleted {said}. Unfinished answers are stopped, then deleted.")
        print("Messages in Slack remain. Delete them there.")
    if left:
        servers = ", ".join(sorted(left))
        print(f"Deleted the sign-ins here, but couldn't revoke their tokens at {servers}. Revoke them there.")
    return 0


async def _sign_out(ours: Settings, stores: "Stores", user_id: str | None) -> tuple[int, list[str]]:
    """Signs a person or everyone out of MCP servers. Returns the number of accounts, and servers that kept tokens."""
    owners = await stores.accounts.owners(user_id or "")
    if not (owners and ours.secret_keys):
        return len(owners), sorted({owner.server for owner in owners})
    from bot.accounts.sign_ins import SignIns

    left = set(owners)
    sign_ins = SignIns(stores.accounts, ours.secret_keys, ours.mcp.servers, stores.clock, on_revocation=left.discard)
    for owner in owners:
        await sign_ins.sign_out(owner)
    await sign_ins.close(REVOKED_WITHIN_S)
    return len(owners), sorted({owner.server for owner in left})


async def _add_team(ours: Settings, thread: ThreadKey) -> ThreadKey:
    """Adds the bot token's team to a thread without a team. Raises SettingsError."""
    if thread.team_id:
        return thread
    if not ours.slack_bot_token:
        raise SettingsError(
            [f"--thread needs a team because SLACK_BOT_TOKEN isn't set. Use TEAM/{thread.channel_id}/THREAD_TS."]
        )
    from bot.clock import SystemClock
    from bot.slack.client import bot_credential

    async with open_slack(ours) as slack:
        return replace(thread, team_id=(await bot_credential(SystemClock()).attempt(slack.identity)).team_id)


def deletion_sentence(counts: Mapping["Noun", int]) -> str:
    return ", ".join(f"{count:,} {noun[count != 1]}" for noun, count in counts.items() if count)


FORGET = Subcommand(
    "delete a person's or thread's data from the database",
    "Permanently deletes data from the database. Unfinished answers are stopped, then deleted. Messages in Slack "
    "remain: delete them there.",
    _forget,
    _add_forget_arguments,
)
