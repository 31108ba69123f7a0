"""What those who run the bot do beside it: `python -m bot migrate` and `forget`."""

import re
import sys
from dataclasses import dataclass, replace

from bot.core.conversation import ThreadKey
from bot.errors import SettingsError
from bot.ports.clock import SystemClock
from bot.settings import Settings
from bot.slack.client import SlackClient, new_session
from bot.slack.credentials import bot_credential
from bot.store import Stores
from bot.store.engine import create_engine, database_errors
from bot.store.migrate import migrate as migrate_schema

SELF = "upkeep"
"""The worker's name in the Store: this process claims nothing."""
ROOT = "root"
"""As logs write the conversation of a direct message that is in no thread."""

_USER = re.compile(r"[UW][A-Z0-9]+")
_THREAD = re.compile(r"(?:([ET][A-Z0-9]+)/)?([CDG][A-Z0-9]+)/(\d+\.\d+|root)")
_LINK = re.compile(r"https://[^/?]+/archives/([CDG][A-Z0-9]+)/p(\d+)(\d{6})(?:\?.*)?")
_LINKS_THREAD = re.compile(r"[?&]thread_ts=(\d+\.\d+)")
_THREAD_FORMS = "CHANNEL/THREAD_TS, TEAM/CHANNEL/THREAD_TS as the log has it, or a message's link from Slack"


@dataclass(frozen=True)
class Whose:
    """What is to be forgotten: a person's questions, a thread's, or all."""

    user_id: str | None = None
    thread: ThreadKey | None = None
    """team_id is empty where it was not given."""

    def __str__(self) -> str:
        if self.user_id:
            return f"all questions of {self.user_id}"
        if self.thread:
            return f"all questions in {str(self.thread).removeprefix('/')}"
        return "ALL questions of everybody"


def whose(user: str | None, thread: str | None) -> Whose:
    """Reads the command line's; neither is all. Raises SettingsError."""
    if user is not None and not _USER.fullmatch(user):
        raise SettingsError(
            [f"--user is a member's id, such as U0123ABCD (Slack: profile, Copy member ID): not {user}"]
        )
    return Whose(user, None if thread is None else parse_thread(thread))


def parse_thread(text: str) -> ThreadKey:
    """Raises SettingsError."""
    if match := _THREAD.fullmatch(text):
        team_id, channel_id, thread_ts = match.groups()
        return ThreadKey(team_id or "", channel_id, None if thread_ts == ROOT else thread_ts)
    if match := _LINK.fullmatch(text):
        channel_id, seconds, fraction = match.groups()
        # A direct message that is in no thread belongs to the conversation's root; others begin their own.
        own_ts = None if channel_id.startswith("D") else f"{seconds}.{fraction}"
        in_thread = _LINKS_THREAD.search(text)
        return ThreadKey("", channel_id, in_thread[1] if in_thread else own_ts)
    raise SettingsError([f"--thread is {_THREAD_FORMS}: not {text}"])


async def migrate(settings: Settings) -> None:
    """Brings the database to the newest schema and prints its revision. Raises StoreError."""
    engine = create_engine(settings.database_url)
    try:
        with database_errors():
            revision = await migrate_schema(engine)
    finally:
        await engine.dispose()
    print(f"The database's schema is at revision {revision}.")


async def forget(settings: Settings, whose: Whose) -> None:
    """Removes questions and answers for good and prints how many. Raises StoreError, SettingsError."""
    thread = await _in_a_team(settings, whose.thread) if whose.thread else None
    stores = await Stores.open(settings.database_url, SELF, SystemClock())
    try:
        removed = await stores.erasure.erase(user_id=whose.user_id, thread=thread)
    finally:
        await stores.close()
    print(f"{removed} questions and their answers are removed, those under way as they end.")
    print("What Slack holds is deleted in Slack.")


def confirmed(whose: Whose) -> bool:
    """Asks at the terminal. Raises SettingsError where there is none."""
    if not sys.stdin.isatty():
        raise SettingsError(["There is no terminal to ask at: say --yes to remove without being asked."])
    print(f"This removes {whose}, for good. Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


async def _in_a_team(settings: Settings, thread: ThreadKey) -> ThreadKey:
    """The thread with its team: the bot token's where none was given."""
    if thread.team_id:
        return thread
    if not settings.slack_bot_token:
        raise SettingsError([f"Without SLACK_BOT_TOKEN the team is not known: say TEAM/{thread.channel_id}/…"])
    async with new_session() as session:
        web = SlackClient(settings.slack_bot_token, settings.slack_api_url, session)
        me = await bot_credential(SystemClock()).used(web.identity)
    return replace(thread, team_id=me.team_id)
