"""Shows everything except replies: notices, posted questions, modals, App Home and the assistant pane.

Posts are sent to threads or are ephemeral, which means that only one person can see them and Slack never stores them.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import regex

from bot.core import texts
from bot.core.actions import ActionResponse
from bot.core.conversation import SLACK_USER_IDS, Question, ThreadKey, is_direct_message
from bot.core.prompt import CONVERSATION_SUBTYPES
from bot.core.schedules import Run
from bot.core.surfaces import CommandResponse, HomeView
from bot.core.unposted import MessageQuestion
from bot.errors import RateLimited, Refusal, Refused, trace_of
from bot.retry import EPHEMERAL, NOTICE, Retrier
from bot.slack import plain
from bot.slack.blockkit import Json
from bot.slack.client import NO_UNFURLS, PacedClient, SlackClient, only_while, pages
from bot.slack.history import LOOK_BACK_MESSAGES
from bot.slack.json_values import Payload, json_object, json_objects, messages_in, next_cursor, string, strings
from bot.slack.notices import action_message, action_text, command_message, follow_up_blocks
from bot.slack.posted_questions import modal_id_of, posted_question
from bot.slack.users import PEOPLE_PER_PAGE
from bot.slack.views.home import denied_view, home_view
from bot.slack.views.schedules import posted_run, restated_run
from slack_pacing.rates import WINDOW_S

log = logging.getLogger(__name__)


NOTICE_EVENT = "typist_notice"
DELIVERY_TIMEOUT_S = 600.0
"""Time limit for delivering a notice. At a launch, hundreds of people share the same 100 calls a minute."""
CHANNELS_PER_PAGE = 200
"""Number of channels per page, which is the maximum that Slack recommends."""
MAX_PER_PAGE = 999
MAX_CHANNEL_PAGES = 5
"""Maximum number of pages with one person's channels. All people share 50 calls a minute."""


class EphemeralMessages:
    """Shows messages to one person only. Nothing else calls chat.postEphemeral."""

    def __init__(self, client: PacedClient) -> None:
        self._client = client

    async def post(self, thread: ThreadKey, user_id: str, **message: Any) -> None:
        place = {"channel": thread.channel_id, "thread_ts": thread.thread_ts, "user": user_id}
        await self._client.call("chat.postEphemeral", **place, **message, **NO_UNFURLS)

    async def show_sentence(self, question: Question, sentence: str, blocks: list[Json] | None = None) -> None:
        """Shows a sentence to the asker where the question was written. Retries for up to DELIVERY_TIMEOUT_S. Slack
        can also lose the message. If the question isn't in a thread, the sentence is shown in the channel, because
        Slack doesn't show ephemeral messages in a thread without replies."""
        thread = question.thread
        if question.begins_thread:
            thread = ThreadKey(thread.team_id, thread.channel_id, None)
        message: Json = {"text": sentence} if blocks is None else plain.message(blocks)
        retrying = Retrier(EPHEMERAL, self._client.clock, f"user {question.user_id} is not told yet")
        try:
            async with asyncio.timeout(DELIVERY_TIMEOUT_S):
                await retrying.call(lambda: self.post(thread, question.user_id, **message))
        except (RateLimited, Refused, TimeoutError) as error:
            log.warning("user %s is not told: %s", question.user_id, error or "it took too long")
        except Exception as error:
            log.error("user %s is not told: %s", question.user_id, trace_of(error))


SESSIONS = "agents.sessions.setStatus"
SESSIONS_A_MINUTE = 20
"""Maximum number of new sessions, out of 50 calls a minute, so that ending a session doesn't have to wait. Answers
without a session have our own Stop button."""
NO_AGENT = ("not_allowed", "not_authorized")
"""Slack's errors for apps without agent_view. The second error isn't documented but was observed
(kirodotdev/KiroCrew#9822)."""
STOP_EVENT_MISSING = "missing_agent_session_stopped_event_subscription"
LOADING_MESSAGE_CHARS = 50
"""Maximum length of a loading message. Slack refuses longer ones (letta-ai/letta-code#3553)."""


class Pane:
    """The assistant pane: suggestions, statuses and titles. Methods raise RateLimited and Refused. Statuses and
    sessions need chat:write; the rest needs assistant:write. Slack has announced the end of assistant.threads.* for
    February 2027. Titles have a successor in agents.sessions.*, but statuses don't."""

    def __init__(self, client: PacedClient) -> None:
        self._client = client
        self.has_sessions = True
        """Whether the app has agent sessions, which is assumed until Slack refuses one."""
        self._begun_at = deque([-math.inf] * SESSIONS_A_MINUTE, maxlen=SESSIONS_A_MINUTE)
        """Start times of the last sessions, on the monotonic clock."""

    async def suggest(self, channel_id: str, thread_ts: str | None) -> None:
        """Shows suggested prompts in a thread or, if `thread_ts` isn't given, in the whole direct message."""
        await self._client.call(
            "assistant.threads.setSuggestedPrompts",
            channel_id=channel_id,
            thread_ts=thread_ts,
            prompts=texts.welcome.suggested_prompts(),
            title=texts.welcome.PANE_HEADING,
        )

    async def set_status(self, thread: ThreadKey, status: str) -> None:
        """Shows a status in any thread until the bot posts, for up to two minutes. "" removes the status. The status is
        sent as plain text, because Slack doesn't decode entities or emoji names in it. Without loading messages, Slack
        shows its own phrases in channels (slack-go/slack#1487)."""
        loading = loading_message(status) or None
        await self._client.call(
            "assistant.threads.setStatus", status=status, loading_messages=loading, **_thread_arguments(thread)
        )

    async def set_title(self, thread: ThreadKey, title: str) -> None:
        """Sets the thread's title in the pane's list, using the agent's session if there is one."""
        if self.has_sessions:
            try:
                await self._client.call("agents.sessions.rename", title=title, **_thread_arguments(thread))
                return
            except Refused as error:
                # Slack returns not_authorized to apps without agent_view, and also to an agent for a thread without a
                # session (agentconnect-md/agentconnect#1600).
                if error.reason.is_temporary:
                    raise
        await self._client.call("assistant.threads.setTitle", title=title, **_thread_arguments(thread))

    async def begin_session(self, thread: ThreadKey) -> bool | None:
        """Shows Slack's Stop button in an agent's thread. Returns False if the button isn't shown, or None if no
        session was begun. Only apps with agent_view have sessions, so Slack isn't asked again after it has refused one.
        Slack doesn't show its Stop button for apps that aren't subscribed to the button's event."""
        now = self._client.clock.monotonic()
        has_room = now >= self._begun_at[0] + WINDOW_S and self._client.budget.spare_calls(SESSIONS) > 0
        if not (self.has_sessions and has_room):
            return None
        self._begun_at.append(now)
        try:
            answer = await self._set_session(thread, "processing")
        except Refused as error:
            if error.error not in NO_AGENT:
                raise
            self.has_sessions = False
            return None
        return STOP_EVENT_MISSING not in str(answer.get("warning"))

    async def end_session(self, thread: ThreadKey, *, is_waiting: bool = False) -> None:
        """Removes Slack's Stop button. `is_waiting`: whether the session shows that it is waiting for a person."""
        if self.has_sessions:
            await self._set_session(thread, "suspended" if is_waiting else "active")

    async def _set_session(self, thread: ThreadKey, status: str) -> dict[str, Any]:
        return await self._client.call(SESSIONS, status=status, **_thread_arguments(thread))


def loading_message(status: str) -> str:
    """Returns a status in the form of a loading message. Commas are removed, because they separate messages, and the
    text is cut based on its UTF-16 length."""
    text = status.replace(",", "").strip()
    if _utf16_units(text) <= LOADING_MESSAGE_CHARS:
        return text
    kept, units = [], 1  # of the ellipsis
    for grapheme in regex.findall(r"\X", text[:LOADING_MESSAGE_CHARS]):
        units += _utf16_units(grapheme)
        if units > LOADING_MESSAGE_CHARS:
            break
        kept.append(grapheme)
    return f"{''.join(kept).rstrip(' …')}…"


def _notice_metadata(key: str) -> Json:
    return {"event_type": NOTICE_EVENT, "event_payload": {"notice": key}}


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _thread_arguments(thread: ThreadKey) -> dict[str, str | None]:
    return {"channel_id": thread.channel_id, "thread_ts": thread.thread_ts}


class Surfaces:
    """Modals, App Home, responses, channels and posted questions.

    Methods raise RateLimited and Refused. Methods that respond to a person's action only log Slack's refusals, because
    the action has already taken effect. Slack opens a modal only within three seconds of the action that created the
    trigger. Reading a channel and its members needs the scopes channels:read, groups:read and mpim:read.
    """

    def __init__(
        self,
        client: SlackClient,
        paced: PacedClient,
        ephemeral: EphemeralMessages,
        bot_user_id: str,
    ) -> None:
        self._client = client
        self._paced = paced
        self._ephemeral = ephemeral
        self._bot_user_id = bot_user_id
        self._non_human_ids = {*SLACK_USER_IDS, bot_user_id}

    async def open(self, trigger_id: str, view: Json, *, in_modal: bool = False) -> str:
        """Opens a modal, on top of the current one if `in_modal` is set. Returns the modal's view ID. Triggers expire
        within seconds."""
        method = "views.push" if in_modal else "views.open"
        answer = await self._client.call(method, trigger_id=trigger_id, view=view)
        return string(json_object(answer, "view"), "id")

    async def update(self, view_id: str, view: Json) -> None:
        try:
            await self._client.call("views.update", view_id=view_id, view=view)
        except (RateLimited, Refused) as error:
            # Slack can't find a view that the user has closed.
            log.info("modal not updated: %s", error)

    async def publish_home(self, user_id: str, content: HomeView | str) -> None:
        view = denied_view(content) if isinstance(content, str) else home_view(content)
        await self._paced.call("views.publish", user_id=user_id, view=view)

    async def respond_to_command(self, response_url: str, response: CommandResponse) -> None:
        """Responds to a command. Slack accepts five responses per response_url, within half an hour."""
        await self._respond(response_url, command_message(response))

    async def respond_to_action(
        self, thread: ThreadKey, user_id: str, response_url: str, response: ActionResponse
    ) -> None:
        """Responds to an action. Markdown is sent as an ephemeral message, because a response_url only supports plain
        text. If Slack refuses that message, its text is sent to the response_url. Slack's own Stop button has no
        response_url."""
        if response.markdown or not response_url:
            as_blocks = action_message(response) if response_url else {"text": action_text(response)}
            try:
                await self._ephemeral.post(thread, user_id, **as_blocks)
                return
            except (RateLimited, Refused) as error:
                log.warning("response to a click not shown in the thread: %s", error)
                if not response_url:
                    return
        message = {
            "text": action_text(response),
            "response_type": "ephemeral",
            "replace_original": response.replaces_response,
            "thread_ts": thread.thread_ts,
        }
        below = follow_up_blocks(response) if response.follow_ups else ()
        await self._respond(response_url, message | (plain.message(below) if below else {}))

    async def delete_ephemeral(self, response_url: str) -> None:
        await self._respond(response_url, {"delete_original": True})

    async def _respond(self, response_url: str, message: Json) -> None:
        try:
            await self._client.respond(response_url, message)
        except Refused as error:
            log.warning("response not sent: %s", error)

    async def creator(self, channel_id: str) -> str | None:
        """Returns the ID of a channel's creator, "" if Slack doesn't report it, or None if the bot can't see the
        channel."""
        try:
            answer = await self._paced.call("conversations.info", channel=channel_id)
        except Refused as error:
            if error.reason.is_temporary:
                raise
            return None if error.reason is Refusal.CHANNEL_GONE else ""
        return string(json_object(answer, "channel"), "creator")

    async def user_in_direct_message(self, channel_id: str) -> str:
        """Returns the other user in a direct message, or "" if Slack doesn't report them. Needs the scope im:read."""
        try:
            answer = await self._paced.call("conversations.info", channel=channel_id)
        except Refused as error:
            if error.reason.is_temporary or error.reason is Refusal.CHANNEL_GONE:
                raise
            return ""
        return string(json_object(answer, "channel"), "user")

    async def channels_of(self, user_id: str, types: str = "public_channel,private_channel") -> frozenset[str]:
        """Returns a person's public channels, and the private channels that both the person and the bot are in.
        `types`: Slack's types, separated by commas. Excludes archived channels. A very long list is cut off."""
        found: list[str] = []
        arguments = {"user": user_id, "types": types, "exclude_archived": True, "limit": CHANNELS_PER_PAGE}
        async for page in pages(self._paced.call, "users.conversations", MAX_CHANNEL_PAGES, **arguments):
            found += (string(channel, "id") for channel in json_objects(page, "channels"))
        return frozenset(found)

    async def has_messages(self, channel_id: str, before_ts: str | None = None) -> bool:
        """Returns whether anyone other than the bot and Slack has recently written in a direct message. `before_ts`:
        ignores this message and later ones."""
        answer = await self._paced.call(
            "conversations.history", channel=channel_id, latest=before_ts, limit=LOOK_BACK_MESSAGES
        )
        return any(string(message, "user") not in self._non_human_ids for message in messages_in(answer))

    async def post_in_channel(self, channel_id: str, message: Json) -> str:
        retrying = Retrier(NOTICE, self._paced.clock, f"channel {channel_id} is not told yet")
        _, ts = await retrying.call(lambda: self._paced.post(channel_id, None, **message))
        return ts

    async def notify(self, recipient: str, message: Json, key: str, is_current: Callable[[], bool]) -> None:
        """Posts a message (in a thread if it has a `thread_ts`), and stores `key` in its metadata so that the message
        can be found later. Tries again without the chart if Slack refuses it, as Slack does in some workspaces."""
        thread_ts = message.get("thread_ts")
        message = {name: value for name, value in message.items() if name != "thread_ts"}
        marked = partial(self._paced.post, recipient, thread_ts, metadata=_notice_metadata(key))
        with only_while(is_current):
            try:
                await marked(**message)
            except Refused as refused:
                blocks = [block for block in message.get("blocks", ()) if block["type"] != "data_visualization"]
                if refused.reason is not Refusal.UNREADABLE or blocks == message.get("blocks"):
                    raise
                log.warning("notification sent without its chart: %s", refused)
                await marked(**plain.message(blocks))

    async def is_notified(self, recipient: str, message: Json, key: str, since: float) -> bool:
        """Returns whether `notify` has posted a message with this key since a time. Returns False if Slack refuses to
        list messages."""
        try:
            channel_id = recipient if recipient[0] not in "UW" else await self._direct_message(recipient)
            thread_ts, metadata = message.get("thread_ts"), {"include_all_metadata": True}
            messages = await self._messages_since(since, channel_id, thread_ts, **metadata) if channel_id else []
        except Refused as refused:
            if refused.reason.is_temporary:
                raise
            log.warning("not looked for a notification to %s, sending it: %s", recipient, refused)
            return False
        return any(posted.get("metadata") == _notice_metadata(key) for posted in messages)

    async def _messages_since(
        self, since: float, channel_id: str, thread_ts: str | None, **arguments: bool
    ) -> list[Payload]:
        method = "conversations.replies" if thread_ts else "conversations.history"
        place = {"channel": channel_id, "ts": thread_ts or None, "oldest": f"{since:.6f}"}
        return messages_in(await self._paced.call(method, **place, limit=LOOK_BACK_MESSAGES, **arguments))

    async def _direct_message(self, user_id: str) -> str:
        """Returns the channel ID of a person's direct message with the bot, or "" if there isn't one. Needs the scope
        im:read."""
        async for page in pages(self._paced.call, "users.conversations", types="im", limit=MAX_PER_PAGE):
            for one in json_objects(page, "channels"):
                if string(one, "user") == user_id:
                    return string(one, "id")
        return ""

    async def react(self, channel_id: str, ts: str, emoji: str) -> None:
        try:
            await self._paced.call("reactions.add", channel=channel_id, timestamp=ts, name=emoji)
        except Refused as error:
            if error.error != "already_reacted":
                raise

    async def delete_post(self, channel_id: str, ts: str) -> None:
        await self._paced.call("chat.delete", channel=channel_id, ts=ts)

    async def post_question(
        self, question: MessageQuestion, is_current: Callable[[], bool], *, elsewhere: bool
    ) -> tuple[str, str]:
        """Posts a question in the message's thread or in the asker's direct message. Returns the channel ID and ts.
        `is_current`: called right before sending. If it returns False, nothing is sent and Refused is raised."""
        about = question.about
        channel_id, thread_ts = (question.user_id, None) if elsewhere else (about.channel_id, about.thread_ts or None)
        message = posted_question(question, elsewhere=elsewhere)
        with only_while(is_current):
            return await self._paced.post(channel_id, thread_ts, **message)

    async def post_run(
        self,
        question: MessageQuestion,
        run: Run,
        names: Mapping[str, str],
        is_current: Callable[[], bool],
        *,
        is_late: bool,
    ) -> tuple[str, str]:
        message = posted_run(question, run, names, is_late=is_late)
        with only_while(is_current):
            return await self._paced.post(question.about.channel_id, None, **message)

    async def restate_run(self, channel_id: str, ts: str, schedule_id: int, stopped_by: str) -> None:
        """Updates a run's post to show who stopped the schedule or, if `stopped_by` is "", that nobody has. Doesn't
        change messages that aren't a run's post."""
        answer = await self._paced.call("conversations.history", channel=channel_id, latest=ts, inclusive=True, limit=1)
        for message in messages_in(answer):
            if message["ts"] == ts and message.get("user") == self._bot_user_id and modal_id_of(message):
                shown = restated_run(message, schedule_id, stopped_by)
                await self._paced.call("chat.update", channel=channel_id, ts=ts, **shown)

    async def is_in_channel(self, user_id: str, channel_id: str) -> bool:
        """Returns whether a person is a member of a channel, or True if there are too many members to read."""
        page: Payload = {}
        arguments = {"channel": channel_id, "limit": PEOPLE_PER_PAGE}
        async for page in pages(self._paced.call, "conversations.members", MAX_CHANNEL_PAGES, **arguments):
            if user_id in strings(page, "members"):
                return True
        return bool(next_cursor(page))

    async def is_among_direct_messages(self, channel_id: str) -> bool:
        """Returns whether Slack lists a conversation under Direct messages, which includes group messages. Returns True
        if Slack refuses to describe the conversation. Raises RateLimited."""
        if is_direct_message(channel_id):
            return True
        try:
            answer = await self._paced.call("conversations.info", channel=channel_id)
        except Refused as error:
            log.warning("channel %s counts as a direct message: %s", channel_id, error)
            return True
        return bool(json_object(answer, "channel").get("is_mpim"))

    async def has_news(self, channel_id: str, since: float) -> bool:
        """Returns whether anybody other than the bot and Slack has written in a channel or its threads since a time."""
        answer = await self._paced.call("conversations.history", channel=channel_id, limit=LOOK_BACK_MESSAGES)

        def is_news(message: Mapping[str, Any]) -> bool:
            is_post = message.get("subtype") in CONVERSATION_SUBTYPES
            is_by_others = is_post and string(message, "user") not in self._non_human_ids
            if is_by_others and float(message["ts"]) > since:
                return True
            # Slack lists some of the people who replied, but not the times of their replies.
            is_replied = float(string(message, "latest_reply") or 0.0) > since
            return is_replied and not set(strings(message, "reply_users")) <= self._non_human_ids

        return any(map(is_news, messages_in(answer)))

    async def find_question(self, question: MessageQuestion, since: float) -> str | None:
        """Returns the ts of the message in which a question was posted since a time (in seconds since the epoch), or
        None if there isn't one."""
        found = await self._messages_since(since, question.about.channel_id, question.about.thread_ts)
        # Another app could give its message the same block_id.
        messages = [message for message in found if message.get("user") == self._bot_user_id]
        return next((str(message["ts"]) for message in messages if modal_id_of(message) == question.view_id), None)
