"""Finds questions that no process received, and queues them for an answer (catch-up).

Slack stops delivering an event after its last try (store/listening.py). If no process received anything from Slack for
longer than Slack's tries take, one process searches the gap for questions once Slack is connected again:

1. In the conversations and threads of recent questions, newest first.
2. In all other direct messages, and then in all other channels that the bot is a member of.
3. In threads that began in the gap and whose first message doesn't mention the bot.

A message counts if a person wrote it in a direct message or mentioned the bot in it. Intake handles it like a live
message, and processes every message only once, so late deliveries and messages that are read twice change nothing.
Slack returns messages in their current state, so edits are included and deleted questions are missing.

Questions with an answer in Slack are skipped, even if the database doesn't contain the answer, because the database
might have been restored from a backup, or the question might have been erased.

Some questions aren't answered at once: old questions, questions that other people have replied to, and questions that
might have been answered. Once all other questions are queued, their askers are offered answers in separate posts, for
up to MAX_OFFERS questions per person. A conversation or thread is recorded as searched once its offers have been made.
Some calls per minute are reserved for live answers, which read conversations within the same rate limits.

Mentions in older threads in which the bot was never asked anything, and messages beyond MAX_PAGES, aren't found.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bot.clock import monotonic_began_at
from bot.core.caps import DAY_S, HOUR_S
from bot.core.conversation import Message, Question, ThreadKey, addressed_user_ids, is_direct_message
from bot.core.triage import is_from_person, thread_to_stop
from bot.errors import RateLimited, Refusal, Refused, StoreError, TypistError, trace_of
from bot.reply.posted import is_answered
from bot.reply.workspace import Workspace
from bot.retry import HISTORY_PAGE, Retrier
from bot.services.intake import Intake
from bot.slack.client import pages
from bot.slack.json_values import Payload, json_objects, messages_in, string
from bot.store import Stores
from bot.store.listening import MissedGap, Tally
from slack_pacing.budget import CALLS_PER_MINUTE

LOOK_S = 5.0
"""Interval at which the last contact with Slack is recorded."""
MAX_AGE_TO_ANSWER_S = 2 * HOUR_S
"""Maximum age of questions that are answered at once. Askers of older questions are offered an answer."""
CATCH_UP_TIMEOUT_S = HOUR_S
"""Time limit for one catch-up. Places that weren't searched in time are counted and logged."""
PAGE_MESSAGES = 200
MAX_PAGES = 5
MAX_OFFERS = 5
"""Maximum offers per person in one catch-up. Only the person's newest questions get an offer."""
MAX_THREADS = 200
RECENT_S = 14 * DAY_S
RESERVED_CALLS = 15
"""Calls per minute, out of 50 per method, that are reserved for live answers."""
EXTRA_WAITS = 2
"""Number of extra waits after a 429 response, each as long as the response's Retry-After."""
BUDGET_POLL_S = 0.5
CONVERSATION_TYPES = ("im", "mpim", "private_channel", "public_channel")
"""Conversation types. Each is listed separately, because Slack rejects a call if the scope for any type is missing."""

log = logging.getLogger(__name__)


class _CatchUpLost(Exception):
    """Another process has taken over the catch-up, or a new gap has appeared."""


class _ConversationsUnread(TypistError):
    """Slack didn't return some conversations but might return them later."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A place to search: a thread, or a conversation outside its threads."""

    channel_id: str
    thread_ts: str = ""

    @property
    def key(self) -> str:
        return f"{self.channel_id} {self.thread_ts}".strip()

    @staticmethod
    def of(key: str) -> "_Place":
        channel_id, _, thread_ts = key.partition(" ")
        return _Place(channel_id, thread_ts)


@dataclass(slots=True)
class _Results:
    threads_to_search: list[_Place] = field(default_factory=list)
    messages_to_offer: list[Message] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


@dataclass(slots=True)
class _Progress:
    missed: MissedGap
    places_with_offers: list[tuple[_Place, _Results]] = field(default_factory=list)
    failed: int = 0


@dataclass(eq=False)
class CatchUp:
    stores: Stores
    workspace: Workspace
    intake: Intake
    heard_at: Callable[[], float | None]
    """Returns when this process last received anything from Slack, on the monotonic clock, or None."""
    hours: int
    """Maximum age of questions to search for; 0 turns the catch-up off."""
    _recorded_at: float | None = field(default=None, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    async def run(self) -> None:
        try:
            while True:
                try:
                    await self._check()
                except StoreError as error:
                    log.error("catch-up: database unavailable, retrying: %s", error)
                await self.stores.clock.sleep(LOOK_S)
        finally:
            if self._task is not None:
                self._task.cancel()
                await asyncio.gather(self._task, return_exceptions=True)

    async def _check(self) -> None:
        listening, team_id = self.stores.listening, self.workspace.me.team_id
        heard_at = self.heard_at()
        if heard_at is not None and heard_at != self._recorded_at:
            await listening.record_message_time(team_id, monotonic_began_at(self.stores.clock) + heard_at)
            self._recorded_at = heard_at
        if self._task is not None and not self._task.done():
            if not await listening.extend_hold(team_id):
                self._task.cancel()
        elif self._recorded_at is not None and (missed := await listening.claim_gap(team_id)):
            self._task = asyncio.create_task(self._try_to_catch_up(missed))

    async def _try_to_catch_up(self, missed: MissedGap) -> None:
        """Tries to catch up. After a failure, any process can continue once the lock has expired."""
        try:
            await self._catch_up(missed)
        except _CatchUpLost:
            log.info("catch-up: another process continues it")
        except TypistError as error:
            log.warning("catch-up: going on later: %s", error)
        except Exception as error:
            log.error("catch-up: failed, going on later: %s", trace_of(error))

    async def _catch_up(self, missed: MissedGap) -> None:
        if not self.hours:
            await self.stores.listening.end_catch_up(missed)
            return
        log.info("catch-up: nothing came from Slack for %.0f min, looking for missed questions", missed.away_s / 60)
        now = self.stores.clock.now()
        oldest = max(missed.since, now - self.hours * HOUR_S)
        progress = _Progress(missed)
        try:
            async with asyncio.timeout(max(0.0, missed.ends_at + CATCH_UP_TIMEOUT_S - now)):
                await self._search_all(progress, oldest)
        except TimeoutError:
            log.warning("catch-up: given up after %.0f min", CATCH_UP_TIMEOUT_S / 60)
        missed = await self._offer_answers(progress.missed, progress.places_with_offers)
        if progress.failed:
            raise _ConversationsUnread(f"{progress.failed} conversations were not read")
        missed = missed.after("", (), Tally(unread=len({*missed.ahead} - missed.done)))
        if not await self.stores.listening.end_catch_up(missed):
            raise _CatchUpLost
        tally = missed.tally
        log.info(
            "catch-up: complete: away_min=%.0f looked_at=%d unread=%d answered=%d offered=%d. "
            "Mentions in older threads without Typist can't be seen.",
            missed.away_s / 60,
            tally.looked_at,
            tally.unread,
            tally.answered,
            tally.offered,
        )

    async def _search_all(self, progress: _Progress, oldest: float) -> None:
        """Searches every place once. A place without offers is recorded as searched immediately."""
        gap = f"{oldest:.6f}", f"{progress.missed.ends_at:.6f}"
        left = deque(await self._places(progress.missed, oldest))
        # Places are listed first, because the time limit ends the listing, too, and places that aren't reached must be
        # counted.
        progress.missed = replace(progress.missed, ahead=tuple(place.key for place in left))
        await self._record(progress.missed)
        while left:
            place = left.popleft()
            if place.key in progress.missed.done:
                continue
            try:
                found = await self._search_place(place, gap)
            except (RateLimited, Refused) as error:
                log.warning("catch-up: channel %s not read: %s", place.channel_id, error)
                progress.failed += 1
                continue
            left.extend(found.threads_to_search)
            if found.messages_to_offer:
                progress.places_with_offers.append((place, found))
            else:
                progress.missed = _with_searched_place(progress.missed, place, found)
                await self._record(progress.missed)

    async def _offer_answers(self, missed: MissedGap, places: Sequence[tuple[_Place, _Results]]) -> MissedGap:
        """Offers answers to questions, oldest first. Returns the recorded progress."""
        messages = [message for _, found in places for message in found.messages_to_offer]
        newest = _newest_per_person(messages)
        if messages:
            log.info("catch-up: questions to offer answers to: %d of %d", len(newest), len(messages))
        offered = [await self._pass_to_intake(message, offer_first=True) for message in newest]
        for place, found in places:
            missed = _with_searched_place(missed, place, found)
        if places:
            missed = replace(missed, tally=missed.tally + Tally(offered=sum(offered)))
            await self._record(missed)
        return missed

    async def _record(self, missed: MissedGap) -> None:
        if not await self.stores.listening.record_progress(missed):
            raise _CatchUpLost

    async def _places(self, missed: MissedGap, oldest: float) -> list[_Place]:
        team_id = self.workspace.me.team_id
        since = self.stores.clock.now() - RECENT_S
        recent: list[_Place] = []
        for thread in await self.stores.listening.threads_since(team_id, since, MAX_THREADS):
            recent.append(_Place(thread.channel_id))
            # Newer threads are found when their conversations are searched.
            if thread.thread_ts is not None and float(thread.thread_ts) < oldest:
                recent.append(_Place(thread.channel_id, thread.thread_ts))
        others = [_Place(channel_id) for channel_id in await self._list_conversations()]
        return list(dict.fromkeys((*recent, *others, *map(_Place.of, missed.ahead))))

    async def _list_conversations(self) -> list[str]:
        found: list[str] = []
        for kind in CONVERSATION_TYPES:
            arguments: dict[str, Any] = {"types": kind, "exclude_archived": True, "limit": PAGE_MESSAGES}
            try:
                async for page in pages(self._call, "users.conversations", **arguments):
                    found += filter(None, (string(channel, "id") for channel in json_objects(page, "channels")))
            except Refused as refused:
                _raise_if_temporary(refused)
                log.warning("catch-up: conversations of type %s not listed: %s", kind, refused)
        return found

    async def _search_place(self, place: _Place, gap: tuple[str, str], outside: Sequence[Payload] = ()) -> _Results:
        """Queues the recent questions in a place, so that they are answered. Returns threads to search, questions to
        offer answers for, and a tally. `gap`: the ts after which questions are searched for, and the ts up to which our
        messages count as answers. `outside`: our messages outside the thread, if they might answer its first
        message."""
        oldest, heard_again = gap
        read, is_all = await self._read_messages(place, oldest)
        at_place = _Results(tally=Tally(looked_at=1, unread=not is_all))
        messages: list[Message] = []
        for found in read:
            messages.append(self._message_of(place, found))
            # Yields to the loop, because a thousand long messages take a while.
            await asyncio.sleep(0)
        by_people = (message for message in messages if place.thread_ts and is_from_person(message, self.workspace.me))
        last_ts = {message.user_id: message.ts for message in by_people}
        ours = [found for found in read if self._is_ours(found) and found["ts"] <= heard_again]
        on_record = await self._recorded_replies(
            place, {place.thread_ts, ""} if outside else {place.thread_ts} if ours else ()
        )
        for message, found in zip(messages, read, strict=True):
            thread = _Place(place.channel_id, message.thread_ts or "")
            is_root = message.thread_ts == message.ts
            has_replies = not is_root or string(found, "latest_reply") > oldest
            if message.ts <= oldest:
                continue
            if thread == place or not (thread.thread_ts and has_replies):
                is_replied_to = any(ts > message.ts for writer, ts in last_ts.items() if writer != message.user_id)
                if not self._is_for_us(message):
                    continue
                answered = is_answered(message.ts, [*ours, *(outside if is_root else ())], on_record)
                is_old = self.stores.clock.now() - float(message.ts) > MAX_AGE_TO_ANSWER_S
                if answered is None or (not answered and (is_replied_to or is_old)):
                    at_place.messages_to_offer.append(message)
                elif not answered:
                    at_place.tally += Tally(answered=await self._pass_to_intake(message, offer_first=False))
            elif is_root and self._is_for_us(message):
                # The thread is searched at once, because its replies show whether this message was answered.
                in_thread = await self._search_place(thread, gap, ours if is_direct_message(place.channel_id) else ())
                at_place.messages_to_offer += in_thread.messages_to_offer
                at_place.tally += in_thread.tally
            else:
                at_place.threads_to_search.append(thread)
        at_place.threads_to_search = list(dict.fromkeys(at_place.threads_to_search))
        return at_place

    async def _recorded_replies(self, place: _Place, threads: Iterable[str]) -> set[str]:
        """Returns the ts of our recorded messages in a conversation's threads. The thread "" is the conversation
        outside threads."""
        keys = (ThreadKey(self.workspace.me.team_id, place.channel_id, thread_ts or None) for thread_ts in threads)
        return {ts for key in keys for ts in await self.stores.recorded_answers.replies(key)}

    def _is_ours(self, found: Payload) -> bool:
        me = self.workspace.me
        return string(found, "user") == me.user_id or string(found, "bot_id") == me.bot_id

    async def _pass_to_intake(self, message: Message, *, offer_first: bool) -> bool:
        """Passes a message to intake. Returns whether the message is a new question. Raises StoreError."""
        return await self.intake.receive(
            f"catch-up {message.channel_id} {message.ts}", message, offer_first=offer_first
        )

    def _is_for_us(self, message: Message) -> bool:
        """Returns whether a person wrote a message to the bot. Excludes "stop", because there is no answer left to
        stop."""
        me = self.workspace.me
        is_to_us = message.channel_type == "im" or me.user_id in addressed_user_ids(message.text)
        return is_to_us and is_from_person(message, me) and thread_to_stop(message, me) is None

    def _message_of(self, place: _Place, found: Payload) -> Message:
        at = Question(ThreadKey(self.workspace.me.team_id, place.channel_id, None), found["ts"], "", "")
        message = self.workspace.history.message_of(at, found)
        # Keeping the bot ID excludes questions that we posted for people: shortcut.py creates their jobs.
        bot_id = string(found, "bot_id") or None
        kind = "im" if is_direct_message(place.channel_id) else "channel"
        return replace(message, channel_type=kind, bot_id=bot_id)

    async def _read_messages(self, place: _Place, oldest: str) -> tuple[list[Payload], bool]:
        """Returns a place's messages since `oldest`, oldest first, and whether the list is complete. A thread's first
        message is always included. Raises RateLimited, and Refused if a retry might help."""
        read: dict[str, Payload] = {}
        bounds: dict[str, Any] = {"oldest": oldest, "include_all_metadata": True}
        for _ in range(MAX_PAGES):
            method, arguments = "conversations.history", {"channel": place.channel_id, "limit": PAGE_MESSAGES}
            if place.thread_ts:
                method, arguments = "conversations.replies", {**arguments, "ts": place.thread_ts}
            try:
                answer = await self._call(method, **arguments, **bounds)
            except Refused as refused:
                _raise_if_temporary(refused)
                log.warning("catch-up: channel %s can't be read: %s", place.channel_id, refused)
                return _oldest_first(read), False
            page = messages_in(answer)
            new = [message for message in page if message["ts"] not in read]
            read |= {message["ts"]: message for message in new}
            if not answer.get("has_more") or not new:
                return _oldest_first(read), True
            # Slack returns conversations newest first, and threads oldest first.
            bounds |= {"oldest" if place.thread_ts else "latest": page[-1]["ts"]}
        return _oldest_first(read), False

    async def _call(self, method: str, **arguments: Any) -> Payload:
        """Calls Slack once enough calls are left for live answers. Raises RateLimited and Refused."""
        clock, client = self.stores.clock, self.workspace.paced

        async def call_when_spare() -> Payload:
            while method in CALLS_PER_MINUTE and client.budget.spare_calls(method) <= RESERVED_CALLS:
                await clock.sleep(BUDGET_POLL_S)
            try:
                return await client.call(method, **arguments)
            except RateLimited as error:
                # If Slack allows an app one call a minute, live answers get the next few.
                await clock.sleep(EXTRA_WAITS * error.retry_after_s)
                raise

        return await Retrier(HISTORY_PAGE, clock, "a missed conversation can't be read").call(call_when_spare)


def _with_searched_place(missed: MissedGap, place: _Place, found: _Results) -> MissedGap:
    return missed.after(place.key, [thread.key for thread in found.threads_to_search], found.tally)


def _newest_per_person(messages: Sequence[Message]) -> list[Message]:
    """Returns the newest MAX_OFFERS messages of each person, oldest first."""
    counts = Counter[str | None]()
    newest: list[Message] = []
    for message in sorted(messages, key=lambda message: float(message.ts), reverse=True):
        counts[message.user_id] += 1
        if counts[message.user_id] <= MAX_OFFERS:
            newest.append(message)
    return newest[::-1]


def _raise_if_temporary(refused: Refused) -> None:
    if refused.reason.is_temporary or refused.reason is Refusal.TOKEN_GONE:
        raise refused


def _oldest_first(read: dict[str, Payload]) -> list[Payload]:
    return [read[ts] for ts in sorted(read)]
