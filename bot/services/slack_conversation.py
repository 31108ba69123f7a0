"""Reads a question's conversation from Slack and the database.

While the database is unavailable, reading records is retried for a few seconds, after which the prompt excludes them.
An attempt that takes over a job might read an edited question before the edit's event arrives. The attempt then records
the edit just as the event would, so that no model continues an answer to the unedited question.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial

from bot.clock import try_briefly
from bot.core import prompt as prompts
from bot.core.access import UserKind
from bot.core.canvases import CANVAS_RULE, canvas_requester, is_canvas
from bot.core.channel_settings import ChannelSettings
from bot.core.conversation import CHECK_FILE_INFO, File, Message, Note, Question
from bot.core.files import OpenedFile, choose_files, files_newest_first
from bot.core.job import Job
from bot.core.memory import NO_MEMORIES, SentMemories, ids_in_memories, memories_section
from bot.core.prompt import Conversation, CountTokens, PromptMarks, PromptMessage
from bot.core.schedules import RUN_RULE, run_times_text
from bot.core.silence import rule_note
from bot.core.steps import fixed_text, starting_text
from bot.core.surfaces import AppContext, pane_context_line, was_asked_in_pane
from bot.core.triage import Identity, is_from_person, second_writer_ts
from bot.errors import StoreError
from bot.models.prompt import INSTRUCTIONS, OTHERS, OURS
from bot.reply.workspace import Workspace
from bot.services.ports import Activity, People
from bot.services.transcripts import Transcription
from bot.store import Stores

RESTART_TIMEOUT_S = 3.0
"""Time for which an attempt whose question was edited waits for its worker's next heartbeat to cancel it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SlackConversation:
    stores: Stores
    workspace: Workspace
    transcription: Transcription

    @property
    def me(self) -> Identity:
        return self.workspace.me

    async def channel(self, question: Question) -> ChannelSettings:
        return await self.stores.channel_settings.read(question.thread.team_id, question.thread.channel_id)

    async def is_member(self, question: Question, *, now_within_s: float | None = None) -> bool:
        if question.is_from_bot:
            return False
        return await self.workspace.users.kind(question.user_id, now_within_s=now_within_s) is UserKind.MEMBER

    async def read(self, job: Job, *, posts_before: bool) -> Conversation:
        """Returns Slack's conversation with recorded answers. Records participants, and edits without an event."""
        question = job.question
        history = self.workspace.history
        shown = await (history.posts_before if posts_before else history.messages)(question)
        messages = prompts.with_earlier_questions(job, shown)
        if job.steps or starting_text(job) != fixed_text(job):
            await self._restart_if_edited(job, messages)
        conversation = await self.with_answers(job, messages)
        if not question.begins_thread:
            # For a question that begins a thread, `messages` can be posts from before the thread.
            await self._record_participants(question, messages)
        return conversation

    async def with_answers(self, job: Job, messages: Sequence[Message]) -> Conversation:
        question, read = job.question, self.stores.recorded_answers.replies
        known = None
        if not question.begins_thread:
            known = await try_briefly(
                lambda: read(question.thread, question.ts), self.stores.clock, "recorded answers not read"
            )
        return Conversation(question, messages, known or {}, [earlier.ts for earlier in job.earlier_questions])

    async def people(self, question: Question, ids: Sequence[str]) -> People:
        users = self.workspace.users
        channel_id = question.thread.channel_id
        looking_up = users.names(ids, in_channel=channel_id), users.channel(channel_id)
        names, channel = await asyncio.gather(*looking_up)
        return People(names, users.zones([*ids, question.user_id]), channel)

    async def memories(
        self, question: Question, marks: PromptMarks, count_tokens: CountTokens, limit_tokens: int
    ) -> SentMemories:
        """Returns the prompt's text about the place's memories. Excludes memories from before the channel was made
        public or private."""
        thread, users = question.thread, self.workspace.users
        kept = await try_briefly(
            lambda: self.stores.memories.of_place(thread.place), self.stores.clock, "memories not read"
        )
        if not kept:
            return NO_MEMORIES
        is_private = await users.is_private(thread.channel_id)
        shown = [memory for memory in kept if memory.is_private is is_private]
        names = await users.names(ids_in_memories(shown), in_channel=thread.channel_id)
        return memories_section(shown, names, marks, count_tokens, limit_tokens, question.user_id)

    async def note(self, job: Job, lines: Sequence[str]) -> Note:
        """Returns a note with lines about a scheduled run, a canvas and the asker's open channel, then `lines`."""
        question, run = job.question, None
        if question.schedule_id:
            run = await try_briefly(lambda: self.stores.schedules.run(job.id), self.stores.clock, "schedule not read")
        rule, rule_origins = run.only_if if run else "", OURS
        if question.is_held and not run:
            # Written by somebody who can change the channel's settings.
            rule, rule_origins = (await self.channel(question)).only_if, INSTRUCTIONS
        wants_canvas = canvas_requester((question, *job.earlier_questions), self.me.user_id)
        viewed_context = await self._pane_context(question) if self.me.has_pane and was_asked_in_pane(question) else ""
        ours = (
            RUN_RULE if question.schedule_id else "",
            CANVAS_RULE if self.workspace.canvases.can_write and wants_canvas else "",
            run_times_text(run) if run else "",
            rule_note(rule) if question.is_held and rule else "",
            viewed_context,
        )
        # The open channel's name is other people's text.
        return Note("\n".join(filter(None, (*ours, *lines))), OTHERS if viewed_context else rule_origins)

    async def _pane_context(self, question: Question) -> str:
        """Returns sentences about what is open next to the asker's pane, or "" if Typist can't see it."""
        person = question.thread.team_id, question.user_id
        read = self.stores.pane_context.read
        context = await try_briefly(lambda: read(*person), self.stores.clock, "pane context not read") or AppContext()
        channel_id = context.channel_id
        # Using a private channel's name is safe: the asker has the channel open, and nobody else reads the answer.
        names = await self.workspace.users.names([channel_id], in_channel=channel_id) if channel_id else {}
        title, _ = await self.workspace.canvases.title_and_link(context.canvas_id, question)
        return pane_context_line(context, names.get(channel_id, ""), title)

    async def files(
        self, job: Job, messages: Sequence[PromptMessage], memory: AsyncExitStack, show: Callable[[Activity], None]
    ) -> Mapping[str, OpenedFile]:
        shared, clock = files_newest_first(messages), self.stores.clock
        shared = (
            await try_briefly(
                lambda: self.transcription.with_known_transcripts(job, shared), clock, "transcripts not read"
            )
            or shared
        )
        reads_recordings = self.transcription.transcriber is not None
        wanted, unread = choose_files(shared, reads_recordings=reads_recordings)
        canvases = [file for file in wanted if is_canvas(file)]
        files = [file for file in wanted if not is_canvas(file)]
        read: dict[str, OpenedFile] = {}
        if files:
            transcribe = partial(self.transcription.transcribe, job, show) if reads_recordings else None
            reading = self.workspace.files.reading(files, job.question.user_id, transcribe=transcribe)
            read |= await memory.enter_async_context(reading)
        # In a channel shared with another organization, only files.info reports that a file is a canvas.
        canvases += [replace(one.file, access=CHECK_FILE_INFO) for one in read.values() if is_canvas(one.file)]
        read |= await self.workspace.canvases.read(canvases, job.question)
        return {**{file.id: read[file.id] for file in wanted}, **unread}

    async def keep_transcripts(self, job: Job, files: Sequence[File]) -> None:
        await try_briefly(lambda: self.transcription.record(job, files), self.stores.clock, "transcripts not recorded")

    async def _restart_if_edited(self, job: Job, messages: Sequence[Message]) -> None:
        """Records edits that no event has reported yet, and waits for the attempt to be canceled and restarted. A
        question can be edited while no process is running. The attempt must not continue the recorded text, which
        answers the original question. Returns if there are no new edits."""
        recorded = {question.ts: question for question in (job.question, *job.earlier_questions)}
        edited = [message for message in messages if message.edited_ts and message.ts in recorded]
        edited = [message for message in edited if not _has_text_of(recorded[message.ts], message)]
        for message in edited:
            question = replace(recorded[message.ts], text=message.full_text, files=message.files)
            question = replace(question, attached_chars=message.attached_chars)
            try:
                await self.stores.question_queue.edit(question, message.edited_ts)
            except StoreError as error:
                log.error("edit of the question not recorded: %s", error)
                return
        if edited:
            await self.stores.clock.sleep(RESTART_TIMEOUT_S)

    async def _record_participants(self, question: Question, messages: Sequence[Message]) -> None:
        """Records a thread in which several people wrote before the first question, and who started it."""
        by_people = [message for message in messages if is_from_person(message, self.me)]
        if since_ts := second_writer_ts(question, by_people):
            first_ts = question.thread.thread_ts
            starter = next((message.user_id for message in by_people if message.ts == first_ts), None)
            try:
                await self.stores.participants.mark_group(question.thread, since_ts, starter)
            except StoreError as error:
                log.error("participants of a thread not recorded: %s", error)


def _has_text_of(question: Question, message: Message) -> bool:
    """Returns whether a recorded question has the message's text, ignoring link previews, which come and go."""
    return question.text == message.full_text or f"{question.text}\n\n".startswith(f"{message.text}\n\n")
