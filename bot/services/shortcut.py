"""Posts questions on behalf of people: from the message shortcut, an emoji, a choice or a suggested prompt.

A question about a message is entered in a modal, posted once in the message's thread, and answered there. Slack waits
three seconds for a submitted modal, but chat.postMessage can take as long, its response can be lost, and the process
can die at any moment. A submitted question is therefore recorded as a job under the ID of its modal before the outbox
posts it. The modal shows the beginning of the message, and the record contains the whole message.

Every try checks access, because a modal can be open for hours. A retry first looks for the question in the message's
thread, where a post has the modal's ID. Typist can't search a person's direct message, so a post there is never
retried. Instead, Slack's event about the post shows where it is. If no event arrives, Typist sends the asker an error
message.

The other questions need no modal. Their IDs are derived from the emoji and the message, from the answer that offers the
choice, or from the click on a suggested prompt (welcome.py).

**Reactions**: adding the emoji that a channel chose asks about the message, on behalf of the person who adds the emoji.
Each message gets one answer per emoji, even if other people add the emoji too or Slack delivers an event again. Emoji
on the bot's own messages have no effect, and never approve a call. A reaction's event has no text, so the message is
read after the asker's access has been checked.

Adding an emoji takes one click, so a person can add dozens in a minute. Recording these questions before their events
are acknowledged is fast, but answering them uses up the workspace's rate limits, so each person has a limit.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from bot.core import texts
from bot.core.access import UserKind
from bot.core.actions import ActionResponse
from bot.core.choices import AwaitedChoice
from bot.core.conversation import SLACK_USER_IDS, Message, Question, ThreadKey, escape, ids_to_name
from bot.core.outbox import OUTBOX_HOLD_S, TRY_TIMEOUT_S, OutboxEntry
from bot.core.schedules import GRACE_S, Run
from bot.core.surfaces import CommandResponse, Invocation
from bot.core.unposted import MessageQuestion, QuotedMessage, direct_message_placeholder, post_text, reaction_view_id
from bot.errors import Backoff, RateLimited, Refusal, Refused, StoreError, TypistError
from bot.logs import of_job
from bot.reply.workspace import Workspace
from bot.retry import LOOKS, MAX_LOOKS
from bot.services.access_control import AccessControl, access_question
from bot.services.intake import Intake
from bot.services.notifications import Notifier
from bot.services.scheduled_runs import ScheduledRuns
from bot.slack.posted_questions import quote_of
from bot.slack.users import NAMES_WITHIN_S
from bot.slack.views.question import ASK_MODAL, SubmittedQuestion
from bot.store import Stores

log = logging.getLogger(__name__)

POST_TIMEOUT_S = 10.0
"""Time limit for sending a post. Slack responds within 15 s or never, so no response arrives after OUTBOX_HOLD_S."""
POST_BACKOFF = Backoff(4.0, OUTBOX_HOLD_S)
RUN_BACKOFF = Backoff(4.0, 180.0)
"""Delays between tries of a schedule's run, which is retried for GRACE_S because there is nobody to ask again."""
MAX_CLOCK_SKEW_S = 300.0
"""The maximum number of seconds that Slack's clock can be behind ours."""
MODAL_NAMES_TIMEOUT_S = 1.0
"""Time limit for names in the modal, whose trigger expires after three seconds."""
MAX_TRIES = 10
"""With growing delays, these tries take a few minutes. The response_url is valid for half an hour."""
MAX_REACTIONS = 10
"""Maximum number of messages that a person can ask about by emoji within WINDOW_S, per process. Without a limit, 200
emoji from one guest delayed a colleague by 20 s, because each one read a message; with the limit, by 2 s."""
WINDOW_S = 600.0


class PostUncertain(TypistError):
    """A question might have been posted already, so it isn't posted again."""


class NotAsked(TypistError):
    """A question isn't asked. The message is a sentence for the asker, or "" to say nothing."""


@dataclass(frozen=True)
class MessageShortcut:
    """Records questions about messages, which the outbox posts. `check_now`: makes the outbox check at once."""

    stores: Stores
    workspace: Workspace
    access_control: AccessControl
    check_now: Callable[[], None]

    async def open(self, invocation: Invocation, message: Message) -> None:
        message = self.workspace.sign_in_urls.message_without_urls(message)
        if denial := await self._denial(invocation.user_id, invocation.channel_id):
            about = quote_of(message, invocation.response_url, {})
            await _tell_asker(self.workspace, self.access_control, invocation.user_id, about, denial)
            return
        names = await _mentioned_names(self.workspace, message, MODAL_NAMES_TIMEOUT_S)
        about = quote_of(message, invocation.response_url, names)
        view_id = await self.workspace.surfaces.open(invocation.trigger_id, ASK_MODAL.build(about, message.user_id))
        try:
            await self.stores.unposted_questions.draft(self.workspace.me.team_id, view_id, invocation.user_id, about)
        except StoreError as error:
            log.warning("message %s not recorded, its modal has only its beginning: %s", message.ts, error)

    async def ask(self, user_id: str, submitted: SubmittedQuestion) -> str:
        """Records the question from a modal. Returns an error message, or "" if there is none."""
        about = submitted.about
        if denial := await self._denial(user_id, about.channel_id):
            return await self.access_control.with_admin_names(denial)
        if self.workspace.sign_in_urls.has_url(submitted.text):
            return texts.accounts.PASTED_IN_MESSAGE
        try:
            await self.ask_once(user_id, submitted.view_id, about, submitted.text)
        except StoreError as error:
            log.warning("question about message %s not asked: %s", about.ts, error)
            return texts.shortcut.QUESTION_NOT_SAVED
        return ""

    async def ask_once(self, user_id: str, view_id: str, about: QuotedMessage, text: str) -> bool:
        """Records a question to be posted at once. Returns False if it was already asked. Raises StoreError."""
        team_id, text = self.workspace.me.team_id, self.workspace.sign_in_urls.without_urls(text)
        is_new = await self.stores.unposted_questions.ask(team_id, view_id, user_id, about, text)
        if is_new:
            self.check_now()
        return is_new

    async def ask_choice(self, awaited: AwaitedChoice, user_id: str) -> str:
        """Asks a choice's question on behalf of the person who clicked the choice. Returns an error message, or "" if
        there is none."""
        answer, thread = awaited.answer, awaited.answer.question.thread
        place = thread.channel_id, awaited.message_ts, thread.thread_ts or ""
        about = QuotedMessage(*place, "", "", offered_by=answer.job_id)
        is_asked = await self.ask_once(user_id, awaited.name, about, awaited.choice)
        with of_job(answer.job_id):
            log.info("choice of user %s %s", user_id, "asked" if is_asked else "comes too late")
        return "" if is_asked else texts.actions.ALREADY_CHOSEN

    async def on_question_posted(self, view_id: str, message: Message) -> None:
        """Records where the bot posted a question, from Slack's event about the post. Raises StoreError."""
        team_id = self.workspace.me.team_id
        await self.stores.unposted_questions.record_post(team_id, view_id, message.channel_id, message.ts)

    async def _denial(self, user_id: str, channel_id: str) -> str | None:
        asked = access_question(self.workspace, user_id, channel_id)
        return await self.access_control.denial(asked, is_press=True)


@dataclass(frozen=True)
class QuestionPosts:
    stores: Stores
    workspace: Workspace
    intake: Intake
    access_control: AccessControl
    runs: ScheduledRuns

    async def post(self, entry: OutboxEntry) -> float | None:
        """Posts and queues a question, or gives up and sends the asker a message. Returns the delay before a retry, or
        None if no retry is needed."""
        question = await self.stores.unposted_questions.read(entry)
        if question is None:
            return None
        if question.schedule_id is not None:
            return await self._post_run(entry, question)
        is_temporary, sentence = True, texts.shortcut.QUESTION_MAYBE_ASKED
        try:
            async with asyncio.timeout(TRY_TIMEOUT_S):
                await self._post_and_queue(entry, question)
            return None
        except NotAsked as given_up:
            is_temporary, sentence = False, str(given_up)
        except (RateLimited, Refused) as error:
            log.warning("question about message %s not asked: %s", question.about.ts, error)
            reason = error.reason if isinstance(error, Refused) else None
            is_temporary = reason is None or not reason.is_final
            sentence = (
                texts.shortcut.MESSAGE_DELETED if reason is Refusal.OUTSIDE_THREAD else texts.shortcut.QUESTION_REFUSED
            )
        except (TimeoutError, StoreError, PostUncertain) as error:
            log.warning("question about message %s: maybe posted: %s", question.about.ts, error or "it took too long")
        if is_temporary and entry.tries < MAX_TRIES:
            return POST_BACKOFF.wait_s(entry.tries)
        if sentence != texts.shortcut.QUESTION_MAYBE_ASKED:
            await self.stores.unposted_questions.give_up(entry)
        if sentence:
            await _tell_asker(self.workspace, self.access_control, question.user_id, question.about, sentence)
        return None

    async def _post_run(self, entry: OutboxEntry, question: MessageQuestion) -> float | None:
        """Posts and queues a schedule's run, unless the run is skipped or nothing is new. Raises StoreError."""
        try:
            async with asyncio.timeout(TRY_TIMEOUT_S):
                if run := await self.runs.run_to_post(entry, has_worked=question.has_worked):
                    if question.is_held:
                        asked = replace(self._question(question, *run.temporary_place(entry.job_id)), is_held=True)
                    else:
                        asked = await self._post(entry, question, run)
                    name = "work" if question.is_held else "view"
                    await self.intake.enqueue(f"{name} {question.view_id}", asked, job_id=entry.job_id)
                    return None
        except (RateLimited, Refused, TimeoutError, PostUncertain) as error:
            log.warning("run %s not posted: %s", question.view_id, str(error) or "it took too long")
            refusal = error.reason if isinstance(error, Refused) else None
            is_final = refusal is not None and refusal.is_final
            if not is_final and self.stores.clock.now() < question.created_at + GRACE_S:
                return RUN_BACKOFF.wait_s(entry.tries)
            await self.runs.skip_run(entry, refusal)
        await self.stores.unposted_questions.give_up(entry)
        return None

    async def _post_and_queue(self, entry: OutboxEntry, question: MessageQuestion) -> None:
        await self._check_access(question)
        if question.about.quote is None:
            # The text of a message with a reaction is stored only in Slack.
            about = question.about
            message = await self.workspace.history.message(self.workspace.me.team_id, about.channel_id, about.ts)
            if message is None:
                log.debug("message %s can't be asked about", about.ts)
                raise NotAsked("")
            names = await _mentioned_names(self.workspace, message, NAMES_WITHIN_S)
            question = replace(question, about=quote_of(message, about.response_url, names))
        posted = await self._post(entry, question)
        await self.intake.enqueue(f"view {question.view_id}", posted, job_id=entry.job_id)
        if _is_direct(question):
            return
        is_elsewhere = posted.thread.channel_id != question.about.channel_id
        # People who clicked a button or added an emoji aren't told, because they see the thread.
        if is_elsewhere or question.about.response_url:
            sentence = texts.shortcut.ASKED_IN_DIRECT_MESSAGE if is_elsewhere else texts.shortcut.ASKED_IN_THREAD
            await _tell_asker(self.workspace, self.access_control, question.user_id, question.about, sentence)

    async def _check_access(self, question: MessageQuestion) -> None:
        """Raises NotAsked if the asker is denied. Explains denied reactions no more often than denied messages."""
        about, user_id = question.about, question.user_id
        by_reaction = about.quote is None
        # Bots can ask only with mentions, which are counted.
        if by_reaction and await self.workspace.users.kind(user_id) is UserKind.BOT:
            raise NotAsked("")
        thread = ThreadKey(self.workspace.me.team_id, about.channel_id, about.thread_ts or None)
        asked = Question(thread, about.ts, user_id, "")
        denial = await self.access_control.denial(asked)
        if denial and by_reaction:
            self.access_control.explain_denial(asked, denial)
        if denial:
            raise NotAsked("" if by_reaction else denial)

    async def _post(self, entry: OutboxEntry, question: MessageQuestion, run: Run | None = None) -> Question:
        """Posts the question in the thread or, if the bot can't post there, in the asker's direct message with a quote.
        A schedule's `run` is posted only in its channel."""
        if question.posted_message:
            return self._question(question, *question.posted_message)
        if question.has_begun_direct_post:
            raise PostUncertain("no event has told yet whether it is in the direct message")
        if _is_direct(question):
            return await self._post_directly(entry, question)
        about = question.about
        if entry.tries > 1 and (ts := await self._find_post(question)):
            return self._question(question, about.channel_id, ts)
        surfaces, is_in_time = self.workspace.surfaces, self._is_in_time(entry)
        try:
            if run is not None:
                people = filter(None, (run.schedule.user_id, run.schedule.changed_by))
                names = await self.workspace.users.names([*people])
                is_late = run.is_late(self.stores.clock.now())
                place = await surfaces.post_run(question, run, names, is_in_time, is_late=is_late)
            else:
                place = await surfaces.post_question(question, is_in_time, elsewhere=False)
            return self._question(question, *place)
        except Refused as refused:
            # A choice makes no sense without the answer that offers it, and a run belongs to its place.
            can_be_elsewhere = about.offered_by is None and run is None
            if refused.reason in (Refusal.CHANNEL_GONE, Refusal.FORBIDDEN) and can_be_elsewhere:
                return await self._post_directly(entry, question)
            if not refused.reason.is_temporary:
                raise
            log.info("question about message %s: maybe posted, looking: %s", about.ts, refused)
            if ts := await self._find_post(question):
                return self._question(question, about.channel_id, ts)
            raise

    async def _post_directly(self, entry: OutboxEntry, question: MessageQuestion) -> Question:
        if not await self.stores.unposted_questions.record_direct_post(entry, has_begun=True):
            raise PostUncertain("another process has it")
        try:
            place = await self.workspace.surfaces.post_question(question, self._is_in_time(entry), elsewhere=True)
        except (RateLimited, Refused) as error:
            if isinstance(error, Refused) and error.reason.is_temporary:
                raise PostUncertain(str(error)) from error
            await self.stores.unposted_questions.record_direct_post(entry, has_begun=False)
            raise
        return self._question(question, *place)

    def _is_in_time(self, entry: OutboxEntry) -> Callable[[], bool]:
        return lambda: self.stores.clock.now() < entry.due_at - OUTBOX_HOLD_S + POST_TIMEOUT_S

    async def _find_post(self, question: MessageQuestion) -> str | None:
        """Returns the ts of an earlier try's post, or None if Slack reports twice that no such post exists. Raises
        PostUncertain if Slack doesn't respond."""
        since = question.created_at - MAX_CLOCK_SKEW_S
        is_missing = False
        for look in range(1, MAX_LOOKS + 1):
            try:
                ts = await self.workspace.surfaces.find_question(question, since)
                if ts is not None or is_missing:
                    return ts
                is_missing = True
            except (RateLimited, Refused) as error:
                if isinstance(error, Refused) and error.reason in (Refusal.CHANNEL_GONE, Refusal.MESSAGE_GONE):
                    return None
                log.info("question about message %s: not looked for: %s", question.about.ts, error)
            if look < MAX_LOOKS:
                await self.stores.clock.sleep(LOOKS.wait_s(look))
        raise PostUncertain(f"Slack did not say in {MAX_LOOKS} looks")

    def _question(self, question: MessageQuestion, channel_id: str, ts: str) -> Question:
        if question.schedule_id is not None:
            # The answer is posted below the question, even in a direct message.
            thread, words = ThreadKey(self.workspace.me.team_id, channel_id, ts), escape(question.text)
            text = f"{texts.schedules.SCHEDULED_TASK}\n\n{words}"
            return Question(
                thread, ts, question.user_id, text, attached_chars=len(words), schedule_id=question.schedule_id
            )
        is_elsewhere = channel_id != question.about.channel_id
        words, quoted = post_text(question.about, question.text, elsewhere=is_elsewhere)
        in_pane = ts if self.workspace.me.has_pane else None
        thread_ts = in_pane if is_elsewhere else question.about.thread_ts or None
        thread = ThreadKey(self.workspace.me.team_id, channel_id, thread_ts)
        return Question(
            thread, ts, question.user_id, "\n\n".join(filter(None, (words, quoted))), attached_chars=len(quoted)
        )


@dataclass(frozen=True, slots=True)
class Reaction:
    channel_id: str
    ts: str
    emoji: str
    """Without colons and skin tone."""
    user_id: str
    writer_id: str

    @property
    def question_id(self) -> str:
        return reaction_view_id(self.emoji, self.channel_id, self.ts)


@dataclass(frozen=True)
class Reactions:
    stores: Stores
    workspace: Workspace
    access_control: AccessControl
    notifier: Notifier
    shortcut: MessageShortcut
    _recent_reactions: deque[tuple[float, str, str]] = field(default_factory=deque, init=False)
    """Time (on the monotonic clock), person and question of each reaction in the last WINDOW_S."""

    async def on_added(self, reaction: Reaction, *, notify_unsaved: bool = False) -> None:
        """Asks about the message, without waiting for Slack, if the channel chose this emoji and the person has access.
        `notify_unsaved`: whether to notify the person if the database rejects the question. Raises StoreError."""
        if reaction.user_id in SLACK_USER_IDS or self.workspace.me.user_id in (reaction.user_id, reaction.writer_id):
            return
        settings = await self.stores.channel_settings.read(self.workspace.me.team_id, reaction.channel_id)
        if settings.reaction != reaction.emoji:
            return
        if not self._can_ask(reaction):
            return
        about = QuotedMessage(reaction.channel_id, reaction.ts, "", None, "")
        try:
            await self.shortcut.ask_once(
                reaction.user_id, reaction.question_id, about, texts.settings.REACTION_QUESTION
            )
        except StoreError:
            if notify_unsaved:
                self.notifier.tell_not_saved(self._question(reaction))
            raise

    def _can_ask(self, reaction: Reaction) -> bool:
        """Returns whether a person is known to have access, without calling Slack. Explains a denial to the person."""
        if self.workspace.users.known_kind(reaction.user_id) is UserKind.BOT:
            return False
        asked = self._question(reaction)
        if denial := self.access_control.known_denial(asked):
            self.access_control.explain_denial(asked, denial)
            return False
        if not self._is_within_limit(reaction):
            log.info("reaction of user %s ignored: too many", reaction.user_id)
            self.notifier.show_in_background(asked, texts.settings.TOO_MANY_REACTIONS, "too_many_reactions", WINDOW_S)
            return False
        return True

    def _question(self, reaction: Reaction) -> Question:
        in_channel = ThreadKey(self.workspace.me.team_id, reaction.channel_id, None)
        return Question(in_channel, reaction.ts, reaction.user_id, "")

    def _is_within_limit(self, reaction: Reaction) -> bool:
        """Counts a reaction, once per emoji and message. Returns False if the person has added too many reactions."""
        now = self.stores.clock.monotonic()
        while self._recent_reactions and self._recent_reactions[0][0] <= now - WINDOW_S:
            self._recent_reactions.popleft()
        asked = {question_id for _, user_id, question_id in self._recent_reactions if user_id == reaction.user_id}
        if reaction.question_id not in asked:
            if len(asked) >= MAX_REACTIONS:
                return False
            self._recent_reactions.append((now, reaction.user_id, reaction.question_id))
        return True


async def _mentioned_names(workspace: Workspace, message: Message, within_s: float) -> Mapping[str, str]:
    """Returns the names of people and channels that a message mentions, by ID. Excludes names that Slack doesn't return
    within `within_s`."""
    names: Mapping[str, str] = {}
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            names = await workspace.users.names(ids_to_name(message.full_text))
    return {workspace.me.user_id: workspace.me.name, **names}


async def _tell_asker(
    workspace: Workspace, access_control: AccessControl, user_id: str, about: QuotedMessage, sentence: str
) -> None:
    sentence = access_control.with_admin_mentions(sentence)
    if about.response_url:
        await workspace.surfaces.respond_to_command(about.response_url, CommandResponse(sentence))
        return
    # Slack shows no ephemeral messages in a thread without replies.
    thread_ts = None if about.ts == about.thread_ts else about.thread_ts or None
    thread = ThreadKey(workspace.me.team_id, about.channel_id, thread_ts)
    await workspace.surfaces.respond_to_action(thread, user_id, "", ActionResponse(sentence))


def _is_direct(question: MessageQuestion) -> bool:
    """Returns whether a question is posted in its asker's direct message, rather than only answered there."""
    return question.about.channel_id == direct_message_placeholder(question.user_id)
