"""Sends native streams: starts, appends and stops; decides which pages they carry, and deletes lost ones.

A repeated start would leave two messages, and a start has no metadata. So before anything else is sent, messages of
ours without metadata are stopped and deleted. An append or a stop in doubt needs nothing: an edit of the whole page
follows.
"""

from collections.abc import Collection, Hashable, Sequence
from typing import Any

from bot.core.carriers import STREAM_LIFE_S, CarrierKind, CarrierSetting, choose_carrier
from bot.core.conversation import Question
from bot.core.reply.streams import AppendStream, StartStream, StopStream, Stream
from bot.errors import Refused
from bot.slack.client import SlackClient
from bot.slack.format import reply_blocks
from bot.slack.paced_client import PacedClient
from bot.slack.rate_budget import REPLIES, RateBudget
from bot.slack.replies.posted import FoundStream, metadata_of
from bot.slack.replies.transport import METHODS
from bot.slack.users import Users

APPENDS, STOPS = METHODS[AppendStream], METHODS[StopStream]
MAX_REFUSALS = 1_000


def chosen_carrier(
    budget: RateBudget, key: Hashable, setting: CarrierSetting, now: float, *, has_stop: bool
) -> Stream | None:
    """Returns what carries a live reply from a page's first words on; None: edits.

    `has_stop`: Slack shows its own Stop there.
    """
    carrier = choose_carrier(
        budget.room(REPLIES, key),
        budget.room(METHODS[AppendStream], key),
        spare_starts=budget.spare(METHODS[StartStream]),
        spare_stops=budget.spare(METHODS[StopStream]),
        has_stop=has_stop,
        setting=setting,
    )
    return Stream(until=now + STREAM_LIFE_S) if carrier is CarrierKind.STREAM else None


class Streams:
    """Native streams of a workspace.

    `client` sends the calls that the scheduler has paced; `paced` makes all others.
    """

    def __init__(self, client: SlackClient, paced: PacedClient, users: Users) -> None:
        self._client = client
        self._paced = paced
        self._users = users
        self._refused: dict[tuple[str, str], None] = {}
        """Channels and people to whom Slack refuses streams, oldest first."""

    def may_start(self, question: Question) -> bool:
        """Returns whether Slack may start a native stream for a question's asker, as far as is known."""
        return _place(question) not in self._refused and not self._client.is_govslack

    def refused(self, question: Question, error: Refused) -> None:
        """Notes that Slack refused to start a stream: the next answers to this person in this channel are edited."""
        if error.reason.is_unavailable:
            self._refused[_place(question)] = None
            if len(self._refused) > MAX_REFUSALS:
                del self._refused[next(iter(self._refused))]

    async def start(self, call: StartStream) -> str:
        """Starts a page as a stream; returns the message's ts."""
        thread = call.question.thread
        return await self._client.start_stream(
            thread.channel_id,
            thread.thread_ts,
            recipient_team_id=await self._users.team_id(call.question.user_id),
            recipient_user_id=call.question.user_id,
            markdown_text=call.text,
        )

    async def append(self, call: AppendStream) -> None:
        """Appends text to a page."""
        channel = call.question.thread.channel_id
        await self._client.call(APPENDS, channel=channel, ts=call.ts, markdown_text=call.text)

    async def stop(self, call: StopStream) -> None:
        """Stops a page's stream, with the rest of its text and what belongs below it."""
        arguments = _session(call.keeps_stop)
        if call.view is not None:
            arguments["metadata"] = metadata_of(call.question, call.page, call.view)
            arguments["blocks"] = reply_blocks.blocks_below(call.view) or None
        await self._client.call(
            STOPS, channel=call.question.thread.channel_id, ts=call.ts, markdown_text=call.text or None, **arguments
        )

    async def remove(
        self,
        question: Question,
        streams: Sequence[FoundStream],
        known_ts: Collection[str],
        text: str,
        *,
        keeps_stop: bool,
    ) -> None:
        """Deletes the streams that aren't on record: their starts got no answer. `text`: the answer's."""
        for stream in [stream for stream in streams if stream.ts not in known_ts]:
            if await self.stop_paced(question, stream.ts, keeps_stop=keeps_stop) or stream.shows(text):
                await self._paced.call("chat.delete", channel=question.thread.channel_id, ts=stream.ts)

    async def stop_paced(self, question: Question, ts: str, *, keeps_stop: bool) -> bool:
        """Stops a stream; returns whether it was open. `keeps_stop`: Slack's own Stop stays."""
        try:
            await self._paced.call(STOPS, channel=question.thread.channel_id, ts=ts, **_session(keeps_stop))
        except Refused as error:
            if error.reason.may_pass:
                raise
            return False
        return True


def _session(keeps_stop: bool) -> dict[str, Any]:
    """Returns the argument of chat.stopStream that keeps Slack's own Stop: by default, a stop removes it."""
    return {"session_status": "processing"} if keeps_stop else {}


def _place(question: Question) -> tuple[str, str]:
    return question.thread.channel_id, question.user_id
