"""The workspace that checks use: one channel, a limited number of calls, and a record of what must be removed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bot.cli.smoke_conversations import SmokeResult
from bot.clock import Clock
from bot.core.triage import Identity
from bot.errors import RateLimited, Refused, SettingsError
from bot.slack.blockkit import Json
from bot.slack.client import NO_UNFURLS, SlackClient, pages
from slack_probe.expectations import ACCEPTED, RATE_LIMITED

CHANNEL_NAME = "typist-probe"
MAX_CALLS = 800
WITHIN_S = 1_800.0
REMOVE_WITHIN_S = 240.0
SETTLE_S = 2.0
"""The time in which Slack might still accept a call that was interrupted."""
MAX_WAIT_S = 90.0
"""The longest rate limit that a call waits for."""
OPENING = "`typist probe-slack` is checking how Slack behaves. It will delete its messages."

Ask = Callable[[str], Awaitable[bool | None]]
"""Asks the person who runs the command. Returns None if they didn't see whether it's true."""


class NotObserved(Exception):
    """A check can't observe something here. The exception's text is the reason, without names or IDs."""


@dataclass(eq=False)
class Bench:
    client: SlackClient
    app_client: SlackClient
    clock: Clock
    channel_id: str
    ask: Ask
    try_models: Callable[[], Awaitable[Sequence[SmokeResult]]]
    me: Identity = field(init=False)
    scopes: frozenset[str] = frozenset()
    person_id: str = field(init=False)
    """The channel's creator, who runs the command."""
    outsiders: Sequence[tuple[str, str]] = ()
    """The IDs and teams of members from other organizations."""
    root_ts: str = ""
    calls: int = 0
    posts: set[str] = field(default_factory=set)

    async def open(self) -> None:
        """Looks up the channel and its members, and opens a thread. Raises SettingsError for any other channel."""
        installation = await self.client.installation()
        self.me, self.scopes = installation.identity, installation.scopes or frozenset()
        channel = (await self.call("conversations.info", channel=self.channel_id)).get("channel") or {}
        name = str(channel.get("name", ""))
        if not name.startswith(CHANNEL_NAME):
            raise SettingsError(
                [f"The channel's name must begin with {CHANNEL_NAME}. Create a channel for this check."]
            )
        ids = [
            str(member)
            async for page in pages(self.call, "conversations.members", channel=self.channel_id)
            for member in page.get("members") or ()
        ]
        people = [(await self.call("users.info", user=one)).get("user") or {} for one in ids if one != self.me.user_id]
        people = [person for person in people if not person.get("is_bot")]
        insiders = [str(one["id"]) for one in people if one.get("team_id") == self.me.team_id]
        if not insiders:
            raise SettingsError(["Join the channel yourself: no member of this workspace is in it."])
        creator = str(channel.get("creator"))
        self.person_id = creator if creator in insiders else insiders[0]
        self.outsiders = [
            (str(one["id"]), str(one["team_id"])) for one in people if one.get("team_id") != self.me.team_id
        ]
        self.root_ts = await self.post(text=OPENING)

    async def call(self, method: str, **arguments: Any) -> Json:
        """Makes a call and waits for rate limits. Raises Refused, and NotObserved if the limit of calls is reached."""
        while True:
            try:
                return await self.call_once(method, **arguments)
            except RateLimited as limited:
                if limited.retry_after_s > MAX_WAIT_S:
                    raise NotObserved("rate limit") from None
                await self.clock.sleep(limited.retry_after_s)

    async def call_once(self, method: str, **arguments: Any) -> Json:
        if self.calls >= MAX_CALLS:
            raise NotObserved(f"limit of {MAX_CALLS} calls")
        self.calls += 1
        answer = await self.client.call(method, **arguments)
        if method in ("chat.postMessage", "chat.startStream"):
            self.posts.add(str(answer.get("ts")))
        return answer

    async def outcome(self, method: str, **arguments: Any) -> str:
        """Makes a call. Returns ACCEPTED, or Slack's error name."""
        try:
            await self.call(method, **arguments)
        except Refused as error:
            return error.name
        return ACCEPTED

    async def post(self, *, in_thread: bool = False, **message: Any) -> str:
        thread_ts = self.root_ts if in_thread else None
        where = {"channel": self.channel_id, "thread_ts": thread_ts}
        return str((await self.call("chat.postMessage", **where, **message, **NO_UNFURLS))["ts"])

    @asynccontextmanager
    async def stream(self, person_id: str, team_id: str) -> AsyncIterator[str]:
        """Opens a stream in the thread, and stops it at the end of the context. Raises Refused."""
        recipient = {"recipient_user_id": person_id, "recipient_team_id": team_id}
        where = {"channel": self.channel_id, "thread_ts": self.root_ts}
        ts = str((await self.call("chat.startStream", **where, markdown_text="A stream.", **recipient))["ts"])
        try:
            yield ts
        finally:
            await self.call("chat.stopStream", channel=self.channel_id, ts=ts)

    async def burst(self, call: Callable[[int], Awaitable[object]], per_second: int, seconds: int) -> tuple[str, str]:
        """Makes calls at a rate, without waiting for their responses. Returns the first error or ACCEPTED, and how many
        calls were accepted."""

        async def one(number: int) -> str:
            await self.clock.sleep(number / per_second)
            try:
                await call(number)
            except RateLimited as limited:
                return f"{RATE_LIMITED} {limited.retry_after_s:.0f}"
            except Refused as error:
                return error.name
            return ACCEPTED

        found = await asyncio.gather(*(one(number) for number in range(per_second * seconds)))
        refused = [(number, name) for number, name in enumerate(found, start=1) if name != ACCEPTED]
        accepted = f"{len(found) - len(refused)} of {len(found)} accepted"
        if not refused:
            return ACCEPTED, accepted
        number, first = refused[0]
        name, _, wait_s = first.partition(" ")
        detail = f"{accepted}, call {number} was the first refused" + (f", Retry-After {wait_s} s" if wait_s else "")
        # The next burst begins without a rate limit.
        await self.clock.sleep(min(float(wait_s or 0), MAX_WAIT_S))
        return name, detail

    async def remove_posts(self) -> int:
        """Deletes the bot's messages since the root, the last ones first. Returns how many
        remain. Looks in Slack, too, because a call whose response was lost might have posted."""
        self.calls = 0
        if self.root_ts:
            await self.clock.sleep(SETTLE_S)
            reading: Json = {"channel": self.channel_id, "oldest": self.root_ts, "inclusive": True}
            for method in ("conversations.history", "conversations.replies"):
                root = self.root_ts if method == "conversations.replies" else None
                async for page in pages(self.call, method, ts=root, **reading):
                    found = page.get("messages") or ()
                    self.posts |= {str(one["ts"]) for one in found if one.get("user") == self.me.user_id}
        for ts in sorted(self.posts, reverse=True):
            message = {"channel": self.channel_id, "ts": ts}
            outcome = await self.outcome("chat.delete", **message)
            if outcome == "cant_delete_message":
                # It might be an open stream.
                await self.outcome("chat.stopStream", **message)
                outcome = await self.outcome("chat.delete", **message)
            if outcome in (ACCEPTED, "message_not_found"):
                self.posts.discard(ts)
        return len(self.posts)
