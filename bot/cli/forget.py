"""`typist forget`: deletes questions and answers from the database for good."""

import argparse
import asyncio
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bot import logs, settings
from bot.core.conversation import ThreadKey, is_direct
from bot.errors import SettingsError
from bot.settings import Settings

HELP = "delete questions and answers from the database"
DESCRIPTION = (
    "Deletes questions and their answers from the database for good. Answers being written are stopped, then deleted. "
    "Messages in Slack stay: delete them there."
)
EXIT_DECLINED = 1
WORKER = "forget"
"""This process's name among the workers. It claims no jobs."""
ROOT = "root"
"""Logged in place of a thread's ts for direct messages outside threads."""

_USER = re.compile(r"[UW][A-Z0-9]+")
_THREAD = re.compile(r"(?:([ET][A-Z0-9]+)/)?([CDG][A-Z0-9]+)/(\d+\.\d+|root)")
_LINK = re.compile(r"https://[^/?]+/archives/([CDG][A-Z0-9]+)/p(\d+)(\d{6})(?:\?.*)?")
_LINKS_THREAD = re.compile(r"[?&]thread_ts=(\d+\.\d+)")


@dataclass(frozen=True)
class ErasureTarget:
    """What to delete: a person's questions, a thread's, or everything."""

    user_id: str | None
    thread: ThreadKey | None
    """Its team_id is "" if the command line names none."""

    def __str__(self) -> str:
        if self.user_id:
            return f"all questions of {self.user_id}"
        if self.thread:
            return f"all questions in {str(self.thread).removeprefix('/')}"
        return "ALL questions of everyone"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name what to delete, and --yes."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--user", metavar="ID", help="a person's questions, by member ID: U0123ABCD")
    what.add_argument("--thread", help="a thread's questions: CHANNEL/THREAD_TS, or the link of a message")
    what.add_argument("--all", action="store_true", help="everyone's questions")
    parser.add_argument("--yes", action="store_true", help="don't ask for confirmation")


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Deletes what the options name and returns the exit code. Raises StoreError, SettingsError."""
    ours = settings.read(env)
    logs.set_up(ours.log_level, ours.log_format)
    target = parse_target(options.user, options.thread)
    if not options.yes and not _confirmed(target):
        print("Nothing was deleted.", file=sys.stderr)
        return EXIT_DECLINED
    asyncio.run(_erase(ours, target))
    return 0


def parse_target(user: str | None, thread: str | None) -> ErasureTarget:
    """Returns what --user or --thread names, everything if neither is given. Raises SettingsError."""
    if user is not None and not _USER.fullmatch(user):
        raise SettingsError(
            [f"--user must be a member ID such as U0123ABCD (in Slack: profile > Copy member ID), not {user}."]
        )
    return ErasureTarget(user, None if thread is None else parse_thread(thread))


def parse_thread(text: str) -> ThreadKey:
    """Returns the thread that --thread names. Raises SettingsError."""
    if match := _THREAD.fullmatch(text):
        team_id, channel_id, thread_ts = match.groups()
        return ThreadKey(team_id or "", channel_id, None if thread_ts == ROOT else thread_ts)
    if match := _LINK.fullmatch(text):
        channel_id, seconds, fraction = match.groups()
        # A direct message in no thread belongs to the conversation's root; other messages begin their own thread.
        own_ts = None if is_direct(channel_id) else f"{seconds}.{fraction}"
        in_thread = _LINKS_THREAD.search(text)
        return ThreadKey("", channel_id, in_thread[1] if in_thread else own_ts)
    raise SettingsError(
        [f"--thread must be CHANNEL/THREAD_TS, TEAM/CHANNEL/THREAD_TS (as in the log) or a message's link, not {text}."]
    )


def _confirmed(target: ErasureTarget) -> bool:
    """Asks at the terminal. Raises SettingsError where there is none."""
    if not sys.stdin.isatty():
        raise SettingsError(["There is no terminal to confirm at. Use --yes to delete without confirmation."])
    print(f"This deletes {target} for good. Continue? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _erase(ours: Settings, target: ErasureTarget) -> None:
    from bot.clock import SystemClock
    from bot.store import Stores

    thread = await _with_team(ours, target.thread) if target.thread else None
    if nothing := await _nothing_recorded(ours.database_url):
        print(nothing)
        return
    stores = await Stores.open(ours.database_url, WORKER, SystemClock())
    try:
        count = await stores.erasure.erase(user_id=target.user_id, thread=thread)
    finally:
        await stores.close()
    print(f"{deleted(count)} Answers being written are stopped, then deleted.")
    print("Messages in Slack stay. Delete them there.")


async def _nothing_recorded(database_url: str) -> str:
    """Returns why there is nothing to delete, "" if there may be something."""
    from bot.store.engine import connected
    from bot.store.migrate import nothing_recorded

    async with connected(database_url) as engine:
        return await nothing_recorded(engine)


async def _with_team(ours: Settings, thread: ThreadKey) -> ThreadKey:
    """Returns the thread with its team, the bot token's if none was given. Raises SettingsError."""
    if thread.team_id:
        return thread
    if not ours.slack_bot_token:
        raise SettingsError(
            [f"--thread needs a team, because SLACK_BOT_TOKEN is not set. Use TEAM/{thread.channel_id}/THREAD_TS."]
        )
    from bot.clock import SystemClock
    from bot.slack.client import SlackClient, new_session
    from bot.slack.credentials import bot_credential

    async with new_session() as session:
        web = SlackClient(ours.slack_bot_token, ours.slack_api_url, session)
        me = await bot_credential(SystemClock()).used(web.identity)
    return replace(thread, team_id=me.team_id)


def deleted(count: int) -> str:
    """Says how many questions were deleted."""
    return f"Deleted {'1 question and its answer' if count == 1 else f'{count:,} questions and their answers'}."
