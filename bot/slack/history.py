"""Reads conversations from Slack, both for prompts and for a tool that lets a model read more of the channel.

`History` reads the messages for every prompt. Slack returns a thread from its beginning, but only the first message and
the newest messages matter. After some pages, each call therefore skips half of the remaining time. Messages that can't
be read in time are left out, and the prompt says that some are missing.

`ChannelReader` implements the tool, which reads messages from the channel where the question was asked. Everyone who
can read the answer can also read that channel, so no permissions have to be checked. Other channels are read only
through a link to one of their messages, and only if the channel is public, the asker is a workspace member, and only
workspace members can read the answer. Slack returns the newest messages first, so each subsequent page is older. Apps
outside Slack's Marketplace might get only 15 messages a minute. If Slack refuses a call, the messages read so far are
kept, and the result says that more are missing. Messages are kept only in memory, because users edit and delete them. A
process that takes over the job reads them again.
"""

import asyncio
import logging
import re
import secrets
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from bot.core.access import UserKind
from bot.core.calls import NO_SUCH_TOOL, READ_CHANNEL, CallResult, CallState, ToolUse, builtin_tool, result_for_model
from bot.core.channels import topic_text
from bot.core.conversation import Message, Question, ThreadKey, ids_to_name, linked_message, message_link, with_names
from bot.core.prompt import CONVERSATION_SUBTYPES, local_time, one_line
from bot.core.read_pages import page_heading
from bot.core.sign_in_urls import SignInUrls
from bot.errors import RateLimited, Refusal, Refused
from bot.models.prompt import OfferedTools, ToolDefinition
from bot.retry import HISTORY_PAGE, Retrier
from bot.slack.canvases_and_pins import ChannelPages, page_parameters, unstored_result
from bot.slack.client import TURN_WITHIN_S, PacedClient
from bot.slack.file_objects import files_of
from bot.slack.json_values import Payload, count, json_object, messages_in, string
from bot.slack.posted_questions import parse_posted_question
from bot.slack.text import answer_of, app_name, attachments_text, body_of, is_by_app, quoted_for_model
from bot.slack.users import ChannelReaders, Users, cache_newest, channel_of
from slack_markdown.render import beginning

log = logging.getLogger(__name__)

THREAD_PAGE_MESSAGES = 999
"""Slack's maximum per call."""
THREAD_PAGES = 8
MAX_CALLS = 20
"""Maximum number of calls to Slack to read a thread, and for a model's tool calls in one version of an answer. Slack
allows 50 a minute in total."""
NEWEST_MESSAGES = 1_000
DIRECT_MESSAGES = 60
POSTS_BEFORE = 10
"""Number of the channel's posts that are read if a question is only a mention."""
LOOK_BACK_MESSAGES = 200
READ_WITHIN_S = 45.0
"""Time limit for reading a conversation, including waits. When it runs out, the prompt contains only the pages read so
far."""


class History:
    def __init__(self, client: PacedClient, bot_id: str, sign_in_urls: SignInUrls) -> None:
        self._client = client
        self._sign_in_urls = sign_in_urls
        self._clock = client.clock
        self._bot_id = bot_id

    async def messages(self, question: Question, before_ts: str | None = None) -> list[Message]:
        """Returns the question's conversation as it currently is in Slack, oldest message first. No call is made for a
        new thread.

        For a thread, returns the first message and the newest thousand messages. For a direct message, returns the
        newest 60 messages (before `before_ts`). Messages that Slack doesn't return in time are left out, and the
        message after them is marked (`is_after_gap`).
        """
        if question.begins_thread:
            return []
        if question.thread.thread_ts is None:
            return await self._read_direct_message(question, before_ts)
        return await self._read_thread(question, question.thread.thread_ts)

    async def message(self, team_id: str, channel_id: str, ts: str) -> Message | None:
        """Returns a message in a channel, or None if the message was deleted, can't be read, or is the bot's own.
        Raises RateLimited, and Refused for a temporary failure."""
        try:
            async with asyncio.timeout(TURN_WITHIN_S):
                # For the ts of a reply, Slack returns that reply. For any other ts, Slack returns a thread, which
                # begins with the message.
                answer = await self._client.call("conversations.replies", channel=channel_id, ts=ts, limit=1)
        except TimeoutError:
            raise Refused("conversations.replies", "timeout", Refusal.TRANSIENT) from None
        except Refused as error:
            if error.reason.is_temporary:
                raise
            log.info("message %s in channel %s not read: %s", ts, channel_id, error)
            return None
        in_channel = Question(ThreadKey(team_id, channel_id, None), ts, "", "")
        found = next((message for message in messages_in(answer) if message["ts"] == ts), None)
        if found is None or found.get("subtype") == "tombstone" or found.get("bot_id") == self._bot_id:
            return None
        return self.message_of(in_channel, found)

    async def _read_direct_message(self, question: Question, before_ts: str | None) -> list[Message]:
        retrier = self._retrier()
        page = await self._get_page(question, retrier, "conversations.history", limit=DIRECT_MESSAGES, latest=before_ts)
        if page is None:
            return [_as_message_after_gap(question)]
        messages = [self.message_of(question, message) for message in messages_in(page)[::-1]]
        if messages and page.get("has_more"):
            messages[0] = replace(messages[0], is_after_gap=True)
        return messages

    def _retrier(self) -> Retrier:
        until = self._clock.monotonic() + READ_WITHIN_S
        return Retrier(HISTORY_PAGE, self._clock, "a conversation can't be read", until=until)

    async def posts_before(self, question: Question) -> list[Message]:
        """Returns a channel's last posts before a question, oldest first. If Slack refuses, returns only the
        question."""
        retrier = self._retrier()
        page = await self._get_page(question, retrier, "conversations.history", latest=question.ts, limit=POSTS_BEFORE)
        if page is None:
            return [_as_message_after_gap(question)]
        return [self.message_of(question, message) for message in messages_in(page)[::-1]]

    async def _read_thread(self, question: Question, thread_ts: str) -> list[Message]:
        """Reads a thread page by page. Slack returns the oldest messages first, and repeats the thread's first message
        on every page."""
        retrier = self._retrier()
        first: list[Message] = []
        newest: deque[Message] = deque(maxlen=NEWEST_MESSAGES)
        has_gap, after = False, thread_ts
        end: list[Message] = []
        for call in range(MAX_CALLS):
            if call >= THREAD_PAGES:
                after = f"{(float(after) + float(question.ts)) / 2:.6f}"
            found = await self._get_page(
                question, retrier, "conversations.replies", ts=thread_ts, oldest=after, limit=THREAD_PAGE_MESSAGES
            )
            if found is None:
                end = [_as_message_after_gap(question)]
                break
            if call >= THREAD_PAGES:
                has_gap = True
                newest.clear()
            page = [self.message_of(question, message) for message in messages_in(found)]
            first = first or [message for message in page if message.ts == thread_ts]
            page = [message for message in page if message.ts > after]
            has_gap = has_gap or len(newest) + len(page) > NEWEST_MESSAGES
            newest.extend(page)
            after = page[-1].ts if page else after
            if not found.get("has_more") or not page or after > question.ts:
                break
        if has_gap and newest:
            newest[0] = replace(newest[0], is_after_gap=True)
        return [*first, *newest, *end]

    async def _get_page(
        self, question: Question, retrier: Retrier, method: str, **arguments: Any
    ) -> dict[str, Any] | None:
        channel_id = question.thread.channel_id
        try:
            async with asyncio.timeout(retrier.until - self._clock.monotonic()):
                return await retrier.call(lambda: self._client.call(method, channel=channel_id, **arguments))
        except (RateLimited, Refused, TimeoutError) as error:
            log.warning(
                "conversation in channel %s read only in part: %s", channel_id, str(error) or "it took too long"
            )
            return None

    def message_of(self, question: Question, message: Mapping[str, Any]) -> Message:
        """Converts a message from Slack's response to a Message in the question's channel. Removes sign-in URLs."""
        return self._sign_in_urls.message_without_urls(self._to_message(question, message))

    def _to_message(self, question: Question, message: Mapping[str, Any]) -> Message:
        bot_id = string(message, "bot_id") or None
        is_ours = bot_id == self._bot_id
        if is_ours and (asked := parse_posted_question(message)):
            asker, text, quoted = asked
            thread = question.thread
            return Message(thread.team_id, thread.channel_id, message["ts"], text, quoted, user_id=asker)
        return Message(
            team_id=question.thread.team_id,
            channel_id=question.thread.channel_id,
            ts=message["ts"],
            text=body_of(answer_of(message) if is_ours else message),
            attached_text="" if is_ours else attachments_text(message),
            thread_ts=string(message, "thread_ts") or None,
            user_id=string(message, "user") or None,
            bot_id=bot_id,
            app_name=app_name(message),
            is_from_app=is_by_app(message),
            subtype=string(message, "subtype") or None,
            files=() if is_ours else files_of(message),
            edited_ts=string(json_object(message, "edited"), "ts"),
        )


def _as_message_after_gap(question: Question) -> Message:
    return replace(question.as_message(), is_after_gap=True)


# The tool: `ChannelReader`.

PAGE_MESSAGES = 100
DEFAULT_MESSAGES = 50
MAX_PAGE_CHARS = 16_000

_DESCRIPTION = (
    "Reads messages from the Slack conversation in which you are asked: the channel's posts before the question, or "
    "the replies of one thread, with writer, time, link and number of replies. Use it if the question is about what "
    "was said here. Without arguments it returns the newest posts. A result is one page, oldest message first, and "
    "names the value of `page` for the next one. Cite each message that you use by its link."
)
_PARAMETERS: Mapping[str, Any] = {
    "since": {
        "type": "string",
        "description": "Only posts since this time: ISO 8601, by the asker's clock, for example 2026-11-23T09:00",
    },
    "newest": {"type": "integer", "minimum": 1, "maximum": PAGE_MESSAGES, "description": "Only so many posts"},
    "thread": {"type": "string", "description": "The ts of a post: returns it with its replies"},
    "channel": {"type": "string", "description": "The ID of a public channel to read instead of this one"},
    "link": {"type": "string", "description": "A link to a message, here or in a public channel: as `thread`"},
    "page": {"type": "string", "description": "The next page, as the result before named it"},
}


def _definition(*, reads_tabs: bool) -> ToolDefinition:
    properties = {**_PARAMETERS, **page_parameters(reads_tabs=reads_tabs)}
    return builtin_tool(READ_CHANNEL, _DESCRIPTION, properties, is_dispensable=True)


DEFINITION, WITH_TABS = _definition(reads_tabs=False), _definition(reads_tabs=True)

# Messages to the model about a call without a result.
NOT_A_TIME = "`since` must be a time such as 2026-11-23 or 2026-11-23T09:00."
NOT_A_NUMBER = f"`newest` must be a whole number from 1 to {PAGE_MESSAGES}."
NOT_A_TS = "`thread` and `page` must be the ts of a message, such as 1764000000.000100, as a result names it."
NOT_A_LINK = "`link` must be the link of a message in Slack: https://NAME.slack.com/archives/CHANNEL/pNUMBER."
NOT_READABLE = (
    "This message can't be read here. Links lead only to messages of this conversation, and to those of public channels"
    " if a member of the workspace asks and nobody from outside reads the answer. Say so."
)
NOTHING_THERE = "There is no message in this range."
BUSY = "Slack gives no messages now. Say that you could not read the channel."
FORBIDDEN = (
    "Slack doesn't let this app read messages here, so every other call is refused, too. Say that you may not read the "
    "channel."
)
TOO_MANY_CALLS = "You have read as much as one answer may. Answer with what you have, and say what you did not read."

# Text below a page.
MISSING = "Slack gave no more messages now, so some are missing beyond these. Say so in your answer."
NEXT_PAGE = "More messages are on the next page: page={page}"

MAX_PIN_CHARS = 100
PINS = "The beginnings of pinned messages, newest pin first. `thread` returns a whole one, and `canvas` a file's text:"
NO_PINS = "The pins couldn't be read. Say so."

_TS = re.compile(r"\d{1,12}\.\d{6}", re.ASCII)


class _UnusableArgument(Exception):
    """An argument can't be used, or its target can't be read. The exception's message is shown to the model."""


_AnswerKey = tuple[str, str, int]
"""A version of an answer: the question's channel and ts, and the version's number."""


@dataclass(frozen=True, slots=True)
class _PageRequest:
    channel_id: str
    newest: int
    since_ts: str = ""
    page_ts: str = ""
    thread_ts: str = ""
    """The thread to read, or "" for the channel's posts."""


@dataclass(slots=True)
class _Page:
    messages: list[Payload]
    has_more: bool = False
    is_cut: bool = False
    """Whether messages are missing because Slack refused a call."""
    is_forbidden: bool = False
    """Whether Slack would refuse the same call again."""


@dataclass(eq=False)
class ChannelReader:
    """Reads messages for a model, namely linked messages and those in the question's channel and its threads. Needs the
    history scopes."""

    client: PacedClient
    users: Users
    history: History
    readers: ChannelReaders
    pages: ChannelPages
    _calls: dict[_AnswerKey, int] = field(default_factory=dict, init=False)
    _workspace_url: str = field(default="", init=False)

    @property
    def _definition(self) -> ToolDefinition:
        return WITH_TABS if self.pages.reads_tabs else DEFINITION

    async def definitions(self, question: Question) -> OfferedTools:
        return OfferedTools((self._definition,))

    async def call(self, use: ToolUse) -> CallResult:
        """Reads a page of messages. If Slack refuses, returns a sentence for the model instead of raising an
        exception."""
        if use.tool != READ_CHANNEL or use.definition_hash != self._definition.definition_hash:
            return CallResult.failed(NO_SUCH_TOOL)
        answer = (*use.question.channel_and_ts, use.version)
        if self._calls.get(answer, 0) >= MAX_CALLS:
            return CallResult.failed(TOO_MANY_CALLS)
        if result := await self.pages.canvas_result(use.question, use.arguments):
            self._count_call(answer)
            return result
        until = self.client.clock.monotonic() + min(use.timeout_s, TURN_WITHIN_S)
        try:
            async with asyncio.timeout(until - self.client.clock.monotonic()):
                wanted = await self._parse_arguments(use.question, use.arguments)
                if use.arguments.get("about") is True:
                    self._count_call(answer)
                    return await self._channel_description(use.question, wanted.channel_id)
        except _UnusableArgument as error:
            return CallResult.failed(str(error))
        except (RateLimited, Refused, TimeoutError):
            return CallResult.failed(BUSY)
        page = await self._read_page(use.question, answer, wanted, until)
        log.info("channel read for message %s: messages=%d cut=%s", use.question.ts, len(page.messages), page.is_cut)
        if not page.messages and page.is_cut:
            return CallResult.failed(FORBIDDEN if page.is_forbidden else BUSY)
        shown = await self._page_text(use.question, wanted, page) if page.messages else NOTHING_THERE
        return CallResult(CallState.DONE, shown, can_be_stored=shown == NOTHING_THERE)

    async def _channel_description(self, question: Question, channel_id: str) -> CallResult:
        channel = json_object(await self.client.call("conversations.info", channel=channel_id), "channel")
        sections = [topic_text(channel_of(channel))]
        if self.pages.reads_tabs:
            sections.append("\n".join(await self.pages.tab_lines(channel, question)))
            try:
                pinned = await self.pages.pinned_messages(channel_id)
                pins = await self._message_lines(question, channel_id, pinned, MAX_PIN_CHARS)
            except Refused as error:
                log.warning("pins of channel %s not read: %s", channel_id, error)
                sections.append(NO_PINS)
            else:
                sections += [PINS, *(line for _, line in pins)] if pins else []
        return unstored_result("\n\n".join(filter(None, sections)))

    async def _parse_arguments(self, question: Question, arguments: Mapping[str, Any]) -> _PageRequest:
        newest = arguments.get("newest")
        if newest is not None and not (type(newest) is int and 1 <= newest <= PAGE_MESSAGES):
            raise _UnusableArgument(NOT_A_NUMBER)
        since_ts = ""
        if since := arguments.get("since"):
            try:
                at = datetime.fromisoformat(str(since))
                at = at if at.tzinfo else at.replace(tzinfo=await self._asker_zone(question))
                # Slack excludes the message at `oldest` itself.
                since_ts = f"{max(0.0, at.timestamp() - 0.000001):.6f}"
            except (ValueError, OverflowError, OSError):
                raise _UnusableArgument(NOT_A_TIME) from None
        page_ts, thread_ts = (str(arguments.get(name) or "") for name in ("page", "thread"))
        if not all(_TS.fullmatch(ts) for ts in (page_ts, thread_ts) if ts):
            raise _UnusableArgument(NOT_A_TS)
        channel_id = str(arguments.get("channel") or question.thread.channel_id)
        if link := str(arguments.get("link") or "").strip().strip("<>"):
            if (linked := linked_message(link)) is None:
                raise _UnusableArgument(NOT_A_LINK)
            channel_id, ts, in_thread = linked
            thread_ts = in_thread or ts
        await self._check_readable(question, channel_id)
        newest = newest or (PAGE_MESSAGES if since_ts or thread_ts or page_ts else DEFAULT_MESSAGES)
        return _PageRequest(channel_id, newest, since_ts, page_ts, thread_ts)

    async def _asker_zone(self, question: Question) -> tzinfo:
        await self.users.names([question.user_id])
        return self.users.zones([question.user_id]).get(question.user_id, UTC)

    async def _check_readable(self, question: Question, channel_id: str) -> None:
        """Raises _UnusableArgument unless everyone who can read the answer can also read the channel. Also raises
        RateLimited and Refused."""
        if channel_id == question.thread.channel_id:
            return
        is_members = not question.is_from_bot and await self.users.kind(question.user_id) is UserKind.MEMBER
        if not (is_members and await self.readers.has_only_insiders(question.thread)):
            raise _UnusableArgument(NOT_READABLE)
        try:
            channel = json_object(await self.client.call("conversations.info", channel=channel_id), "channel")
        except Refused as error:
            if error.reason.is_temporary:
                raise
            raise _UnusableArgument(NOT_READABLE) from None
        is_public = channel.get("is_private") is False and not (channel.get("is_im") or channel.get("is_mpim"))
        if not (is_public and channel.get("is_member") is True):
            raise _UnusableArgument(NOT_READABLE)

    async def _read_page(self, question: Question, answer: _AnswerKey, wanted: _PageRequest, until: float) -> _Page:
        page = _Page([])
        begins_ts, ends_ts = wanted.since_ts, question.ts
        if wanted.thread_ts:
            begins_ts = wanted.page_ts or wanted.since_ts
        else:
            ends_ts = wanted.page_ts or question.ts
        while len(page.messages) < wanted.newest:
            arguments = {"channel": wanted.channel_id, "limit": wanted.newest - len(page.messages)}
            arguments |= {"oldest": begins_ts or None, "latest": ends_ts, "ts": wanted.thread_ts or None}
            try:
                async with asyncio.timeout(until - self.client.clock.monotonic()):
                    found_page = await self._fetch_messages(answer, arguments)
            except (RateLimited, Refused, TimeoutError) as error:
                log.warning("channel %s read only in part: %s", wanted.channel_id, str(error) or "it took too long")
                page.is_cut = True
                page.is_forbidden = isinstance(error, Refused) and error.reason.is_unavailable
                break
            found = messages_in(found_page)
            page.has_more = bool(found_page.get("has_more")) and bool(found)
            if wanted.thread_ts:
                # Slack repeats the first message in each response.
                known = {message["ts"] for message in page.messages}
                page.messages += [message for message in found if message["ts"] not in known]
                begins_ts = found[-1]["ts"] if found else begins_ts
            else:
                page.messages = [*found[::-1], *page.messages]
                ends_ts = found[-1]["ts"] if found else ends_ts
            if not page.has_more:
                break
        return page

    async def _fetch_messages(self, answer: _AnswerKey, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if self._count_call(answer) >= MAX_CALLS:
            raise RateLimited("too many calls for one answer", 0.0)
        method = "conversations.replies" if arguments["ts"] else "conversations.history"
        return await self.client.call(method, **{name: value for name, value in arguments.items() if value})

    def _count_call(self, answer: _AnswerKey) -> int:
        """Counts a call, and returns the number of earlier calls for the same answer."""
        calls = self._calls.get(answer, 0)
        cache_newest(self._calls, answer, calls + 1)
        return calls

    async def _message_lines(
        self, question: Question, channel_id: str, found_messages: Sequence[Payload], max_chars: int | None = None
    ) -> list[tuple[Message, str]]:
        """Returns each message, except for notices, with its text for the model. `max_chars`: the maximum length of
        each text."""
        messages = [
            (self.history.message_of(question, found), count(found, "reply_count"))
            for found in found_messages
            if (string(found, "subtype") or None) in CONVERSATION_SUBTYPES and found["ts"] != question.ts
        ]
        messages = [(message, replies) for message, replies in messages if not message.is_notice]
        ids = [
            id_ for message, _ in messages[::-1] for id_ in (message.writer_id, *ids_to_name(message.full_text)) if id_
        ]
        names = await self.users.names(list(dict.fromkeys(ids)), in_channel=channel_id)
        zone = await self._asker_zone(question)
        base = await self.link_base(channel_id, question.ts)
        return [(message, _as_line(message, replies, names, zone, base, max_chars)) for message, replies in messages]

    async def _page_text(self, question: Question, wanted: _PageRequest, page: _Page) -> str:
        messages = await self._message_lines(question, wanted.channel_id, page.messages)
        in_order = messages if wanted.thread_ts else messages[::-1]
        lines: list[str] = []
        shown_ts: list[float] = []
        chars = 0
        page_ts = page.messages[-1 if wanted.thread_ts else 0]["ts"]
        has_more = page.has_more or page.is_cut
        for message, line in in_order:
            chars += len(line) + 2
            if chars > MAX_PAGE_CHARS:
                has_more = True
                break
            lines.append(line)
            shown_ts.append(float(message.ts))
            page_ts = message.ts
        if not lines and not has_more:
            return NOTHING_THERE
        lines = lines if wanted.thread_ts else lines[::-1]
        oldest = local_time(min(shown_ts, default=float(question.ts)), await self._asker_zone(question))
        data = result_for_model(
            "\n\n".join([page_heading(len(lines), oldest), *lines]), READ_CHANNEL, secrets.token_hex(8)
        )
        below = [MISSING] if page.is_cut else []
        below += [NEXT_PAGE.format(page=page_ts)] if has_more else []
        return "\n".join([data, *below])

    async def link_base(self, channel_id: str, ts: str) -> str:
        """Returns the common prefix of links to a channel's messages, or "" if Slack returns no link."""
        if not self._workspace_url:
            try:
                async with asyncio.timeout(TURN_WITHIN_S):
                    answer = await self.client.call("chat.getPermalink", channel=channel_id, message_ts=ts)
            except (RateLimited, Refused, TimeoutError):
                return ""
            self._workspace_url = string(answer, "permalink").partition("/archives/")[0]
        return f"{self._workspace_url}/archives/{channel_id}/p" if self._workspace_url else ""


def _as_line(
    message: Message, replies: int, names: Mapping[str, str], zone: tzinfo, base: str, max_chars: int | None
) -> str:
    writer = message.app_name or names.get(message.writer_id, message.writer_id) or "unknown"
    at = f"{local_time(float(message.ts), zone):%a %Y-%m-%d %H:%M}"
    link = message_link(base, message.channel_id, message.ts, message.thread_ts)
    counted = f"{replies} {'reply' if replies == 1 else 'replies'}" if replies else ""
    head = ", ".join(filter(None, (one_line(writer), at, f"ts {message.ts}", counted, link)))
    words = with_names(message.full_text, names)
    if max_chars:
        files = (f"[{file.name}, ID {file.id}]" for file in message.files)
        words = " ".join(filter(None, (beginning(words, max_chars), *files)))
    return f"{head}\n{quoted_for_model(words)}"
