"""From a question to what the model is given: its conversation with files and names, as its channel has it."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import TypeVar

from bot.core.assistant_pane import in_pane, pane_context_line
from bot.core.conversation import Job, Message, Prompt, Question
from bot.core.inbound import prompt as prompts
from bot.core.inbound import shared_files
from bot.core.inbound.batch import with_earlier_questions
from bot.core.inbound.channel_settings import ChannelSettings, prompt_version
from bot.core.inbound.files import OpenedFile, choose_files
from bot.core.inbound.prompt import PromptMessage
from bot.core.inbound.tokens import TokenEstimate
from bot.core.inbound.triage import Identity, by_person, second_person_since
from bot.core.reply.draft import Draft
from bot.errors import StoreError
from bot.ports.channel_settings import ChannelSettingsReader
from bot.ports.clock import Clock
from bot.ports.files import Files
from bot.ports.history import History
from bot.ports.message_edits import QuestionEdits
from bot.ports.pane_context import PaneContextReader
from bot.ports.participants import GroupThreads
from bot.ports.recorded_answers import ThreadReplies

READ_AGAIN_S = (0.5, 1.0, 2.0, 5.0)
"""How long to wait for a database that is away, before we do without."""

RESTART_WITHIN_S = 3.0
"""How long an attempt whose question was edited waits to be broken off: its worker learns of it with a heartbeat."""

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Manner:
    """How answers are to be: what those who run the bot decide."""

    system_prompt: str
    history_tokens: int


@dataclass(frozen=True, slots=True)
class Brief:
    """A question as its model is asked it."""

    prompt: Prompt
    model: str | None
    """The channel's own; None: as it is for all."""
    prompt_version: str
    opened: Sequence[OpenedFile]
    """The files that the answer has to account for."""


@dataclass(frozen=True)
class PromptBuilder:
    """Prepares questions for a model; holds what that needs of the world."""

    recorded: ThreadReplies
    questions: QuestionEdits
    channel_settings: ChannelSettingsReader
    pane_context: PaneContextReader
    group_threads: GroupThreads
    history: History
    files: Files
    clock: Clock
    me: Identity
    manner: Manner
    estimate: TokenEstimate

    async def brief(self, draft: Draft, held: AsyncExitStack) -> Brief:
        """What a draft is to be written, or gone on with, from; what its files take of the memory is `held`."""
        job = draft.job
        channel = await self._channel_settings(job.question)
        system = channel.system_prompt or self.manner.system_prompt
        messages = with_earlier_questions(job, await self.history.messages(job.question))
        if draft.resumes:
            await self._restart_if_edited(job, messages)
        conversation = await self._conversation(job, messages)
        opened = await self._opened(conversation, held)
        request = prompts.RESUME_REQUEST if draft.resumes else prompts.CONTINUE_REQUEST
        continued = prompts.with_continuation(shared_files.attach_files(conversation, opened), draft.start, request)
        truncated = prompts.truncate(continued, self.estimate.tokens, self.manner.history_tokens)
        new_files = [opened[file_id] for file_id in dict.fromkeys(shared_files.file_ids_since_answer(conversation))]
        instructions = "\n\n".join(filter(None, (system, await self._pane_context(job.question))))
        prompt = replace(
            prompts.build_prompt(instructions, truncated), cache_key=prompts.cache_key(job.question.thread)
        )
        return Brief(prompt, channel.model, prompt_version(system), new_files)

    async def _pane_context(self, question: Question) -> str:
        """What the person has before them beside our pane, if we are told of it and may know its name."""
        if not (self.me.has_pane and in_pane(question)):
            return ""
        person = question.thread.team_id, question.user_id
        channel_id = await self._read("pane context", lambda: self.pane_context.read(*person))
        names = await self.history.names([channel_id]) if channel_id else {}
        return "".join(map(pane_context_line, names.values()))

    async def _restart_if_edited(self, job: Job, messages: Sequence[Message]) -> None:
        """Records edits that the history shows and no event has told yet, and waits for the restart that follows.

        A question can be edited while no process runs. The text on record answers the question as it was, so the
        attempt must not continue it. Returns where nothing was edited, or where the edit turns out to be known.
        """
        recorded = {question.ts: question for question in (job.question, *job.earlier)}
        edited = [message for message in messages if message.edited_ts and message.ts in recorded]
        edited = [message for message in edited if not _has_text_of(recorded[message.ts], message)]
        for message in edited:
            question = replace(recorded[message.ts], text=message.whole, files=message.files)
            try:
                await self.questions.edit(question, message.edited_ts)
            except StoreError as error:
                log.error("job %d: edit of its question not recorded: %s", job.id, error)
                return
        if edited:
            await self.clock.sleep(RESTART_WITHIN_S)

    async def _conversation(self, job: Job, messages: Sequence[Message]) -> list[PromptMessage]:
        question = job.question
        # What an earlier version of this answer said is not before the model.
        replies = {**await self._replies(question), **dict.fromkeys(job.page_ts, "")}
        await self._record_participants(question, messages)
        conversation = prompts.prompt_messages(prompts.Conversation(question, messages, replies), self.me)
        names = await self.history.names(prompts.ids_to_look_up(conversation, self.me))
        return prompts.resolve_names(conversation, {**names, self.me.user_id: self.me.name})

    async def _opened(self, messages: Sequence[PromptMessage], held: AsyncExitStack) -> Mapping[str, OpenedFile]:
        """The files; of what the model may be given at once, their texts take no more than half."""
        wanted, unread = choose_files(shared_files.files_newest_first(messages))
        read = await held.enter_async_context(self.files.reading(wanted)) if wanted else {}
        return shared_files.truncate_files({**read, **unread}, self.estimate.tokens, self.manner.history_tokens // 2)

    async def _record_participants(self, question: Question, messages: Sequence[Message]) -> None:
        """Others may have written in the thread before we were asked in it: then its follow-ups need a mention."""
        if since_ts := second_person_since(question, [each for each in messages if by_person(each, self.me)]):
            try:
                await self.group_threads.mark_group(question.thread, since_ts)
            except StoreError as error:
                log.error("participants of a thread not recorded: %s", error)

    async def _replies(self, question: Question) -> Mapping[str, str]:
        """Without the database, our own answers are what Slack shows of them."""
        return await self._read("recorded answers", lambda: self.recorded.replies(question.thread, question.ts)) or {}

    async def _channel_settings(self, question: Question) -> ChannelSettings:
        """Without the database, what holds for all channels."""
        team_id, channel_id = question.thread.team_id, question.thread.channel_id
        read = await self._read("channel settings", lambda: self.channel_settings.read(team_id, channel_id))
        return read or ChannelSettings()

    async def _read(self, what: str, read: Callable[[], Awaitable[T]]) -> T | None:
        """None where the database stays away: the question is answered all the same."""
        for delay_s in READ_AGAIN_S:
            try:
                return await read()
            except StoreError as error:
                log.error("%s not read, retrying: %s", what, error)
                await self.clock.sleep(delay_s)
        return None


def _has_text_of(question: Question, message: Message) -> bool:
    """Whether a recorded question still says what the message says; previews below it come and go."""
    return question.text == message.whole or f"{question.text}\n\n".startswith(f"{message.text}\n\n")
