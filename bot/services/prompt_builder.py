"""Builds prompts: a question's conversation with names, files and transcripts, under its channel's instructions.

core/prompt.py has the order of a prompt's parts, and says why what a prompt has said is repeated by the next one.

A prompt is built even if parts are missing. While the database is away, the channel's settings, the recorded answers
and the pane context are read again for a few seconds, and then left out.

A new version of an answer doesn't read what the bot answered after its question.

A take-over may read an edited question before the edit's event arrives. The builder then records the edit as the event
would, so that no model continues an answer to other words.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from bot.clock import BACKOFF
from bot.core import prompt as prompts
from bot.core.channel_settings import ChannelSettings, prompt_version
from bot.core.conversation import Message, Note, Question, RecordedReply, is_bare
from bot.core.files import (
    CHECK_FILE_INFO,
    OpenedFile,
    Transcript,
    attach_files,
    choose_files,
    file_ids_since_answer,
    files_newest_first,
    is_canvas,
    open_to_readers,
    told_apart,
    truncate_files,
    wanted_by,
    with_linked_canvases,
)
from bot.core.job import Job
from bot.core.memory import MAX_TOKENS, NO_MEMORIES, SentMemories, ids_in, sent
from bot.core.prompt import Marks, PromptMessage
from bot.core.steps import kept_text
from bot.core.surfaces import in_pane, pane_context_line
from bot.core.triage import by_person, second_person_since
from bot.errors import StoreError
from bot.models.prompt import (
    OTHERS,
    OURS,
    Media,
    Offered,
    Origins,
    Prompt,
    TokenEstimate,
    WebSearch,
    newest_media_within,
    room_for_conversation,
    room_for_results,
    room_in_window,
    without_media,
)
from bot.reply.answer import Answer
from bot.reply.workspace import Workspace
from bot.services.answer_attempt import BuiltPrompt
from bot.services.ports import Activity, TranscriptTexts
from bot.services.transcripts import Transcription
from bot.store import Stores

log = logging.getLogger(__name__)

MAX_READS = 4
"""How often something is read from the database before the prompt does without it."""

RESTART_WITHIN_S = 3.0
"""How long an attempt whose question was edited waits to be canceled: its worker learns of the edit by heartbeat."""

T = TypeVar("T")


@dataclass(frozen=True)
class PromptSettings:
    """The settings that prompts depend on."""

    system_prompt: str
    history_tokens: int
    web_search: WebSearch | None = None
    """None: no channel may search the web."""
    reads_channel: bool = False
    """Whether a bare mention reads the posts before it."""
    pdf_texts: bool = False
    """Whether a model in use doesn't take PDFs, and gets their text."""
    step_tokens: Callable[[str | None], int | None] = lambda model: None
    """Returns the input of a request above which a channel's model costs more; None if there is none."""


@dataclass(frozen=True, slots=True)
class ReadFiles:
    """What was read of a conversation's files."""

    messages: Sequence[PromptMessage]
    """The conversation, each message with the contents of its files."""
    new: Sequence[OpenedFile] = ()
    """The files that came since the last answer."""


@dataclass(frozen=True, slots=True)
class _Instructions:
    """The system prompt of an answer."""

    text: str
    origins: Origins
    """Whose words these are."""
    version: str
    """Identifies what admins and the channel wrote of it."""


@dataclass(frozen=True)
class PromptBuilder:
    """Builds prompts from Slack's history, the recorded answers and the channel's settings."""

    stores: Stores
    workspace: Workspace
    settings: PromptSettings
    estimate: TokenEstimate
    transcription: Transcription

    async def build(
        self,
        answer: Answer,
        memory: AsyncExitStack,
        tools: Offered,
        show: Callable[[Activity], None],
        window_tokens: int | None = None,
    ) -> BuiltPrompt:
        """Returns the prompt for an answer, without what earlier attempts left of this version of the answer.

        `tools`: what the model may call. `show` is told what is heard of recordings. `window_tokens`: what the model
        takes, if it has refused a longer prompt.

        The files' contents count as used memory until `memory` closes.
        """
        job = answer.job
        channel = await self._channel(job.question)
        reads_posts = await self.reads_posts_before(job.question)
        messages = prompts.with_earlier_questions(job, await self._history(job.question, reads_posts=reads_posts))
        if answer.resumes or job.steps:
            await self._restart_if_edited(job, messages)
        marks = Marks.of(job.question.thread)
        conversation = await self._conversation(job, messages, marks)
        note = await self._note(job, tools, reads_posts=reads_posts)
        instructions = self._instructions(job, channel, tools)
        memories = await self._memories(job.question, marks)
        begin = _joined(marks.begin, memories.text)
        taken_tokens = self._taken_tokens(answer, tools, note)
        question_tokens = room_for_conversation(self.settings.history_tokens, taken_tokens)
        window = self.estimate.window_with(window_tokens)
        instructions_tokens = self.estimate.tokens(instructions.text)
        ours_tokens = instructions_tokens + self.estimate.tokens(begin)
        fits_tokens = room_in_window(self.settings.history_tokens, window, ours_tokens)
        room_tokens = room_for_conversation(fits_tokens, taken_tokens)
        read_files = await self._with_files(answer, conversation, memory, room_tokens, show)
        continued: Sequence[PromptMessage] = prompts.with_notes(read_files.messages, note, marks)
        if so_far := kept_text(job):
            continued = prompts.with_continuation(continued, so_far, job.so_far_origins)
        # It takes the place of the PDF only when the model is asked.
        media = [media for message in continued for media in message.media] if self.settings.pdf_texts else []
        instead = (medium.alternative.text for medium in media if medium.alternative)
        room_tokens -= sum(map(self.estimate.tokens, instead))
        truncated = prompts.truncate(continued, self.estimate.tokens, room_tokens, question_tokens)
        shared_tokens = instructions_tokens + self.estimate.definitions_tokens(tools.definitions)
        prompt = replace(
            prompts.build_prompt(instructions.text, truncated, begin, OTHERS if memories.text else OURS),
            cache_key=prompts.cache_key(job.question.thread, instructions.text, tools.definitions, shared_tokens),
            asker=prompts.asker_key(job.question.thread.team_id, job.question.user_id),
            tools=tools.definitions,
            web_search=None if channel.web_search is False else self.settings.web_search,
            effort=job.wish.effort or channel.effort,
            system_origins=instructions.origins,
            code=marks.code,
        )
        prompt, as_texts = self._below_step(prompt, channel.model)
        told = read_files.new, note, memories.count, as_texts
        return BuiltPrompt(prompt, channel.model, instructions.version, *told)

    def _below_step(self, prompt: Prompt, model: str | None) -> tuple[Prompt, tuple[str, ...]]:
        """Returns the prompt with texts in place of PDFs whose pages would raise its price, and their names."""
        media = [media for turn in prompt.turns for media in turn.media]
        if not any(map(_has_pages, media)):
            # Most prompts have none, and prices are looked up in a large table.
            return prompt, ()
        step_tokens, tokens = self.settings.step_tokens(model), self.estimate.prompt_tokens(prompt)
        if step_tokens is None or tokens <= step_tokens:
            return prompt, ()
        taken_tokens = tokens - sum(map(self.estimate.media_tokens, media))
        kept = newest_media_within(prompt.turns, step_tokens - taken_tokens, self.estimate.media_tokens)
        return without_media(prompt, lambda media: media in kept or not _has_pages(media))

    def _taken_tokens(self, answer: Answer, tools: Offered, note: Note) -> int:
        """Returns the tokens that a request needs beside its system prompt and the conversation."""
        # What earlier attempts left comes with their steps (core/steps.py).
        left = answer.text[len(kept_text(answer.job)) :]
        left_tokens = self.estimate.tokens(left) if left else 0
        return self.estimate.definitions_tokens(tools.definitions) + self.estimate.tokens(note.text) + left_tokens

    def _instructions(self, job: Job, channel: ChannelSettings, tools: Offered) -> _Instructions:
        system = channel.system_prompt or self.settings.system_prompt
        length = prompts.length_rule(system, channel.length)
        # In a channel, its creator may have written the instructions, who need not be an admin of Typist.
        is_others = bool(channel.system_prompt) and not job.question.thread.in_direct_message
        return _Instructions(
            prompts.instructions(system, channel.length, has_tools=bool(tools.definitions)),
            OTHERS if is_others else OURS,
            prompt_version(_joined(system, length)),
        )

    def is_shorter_for(self, window_tokens: int | None, *, has_results: bool) -> bool:
        """Returns whether a prompt for this window has less of the conversation than one as of now.

        `has_results`: it also has results of tools, which take what room is left.
        """
        limit_tokens, known_tokens = self.settings.history_tokens, self.estimate.window_tokens
        if window_tokens is None or self.estimate.window_with(window_tokens) == known_tokens:
            return False
        is_less = room_in_window(limit_tokens, window_tokens, 0) < room_in_window(limit_tokens, known_tokens, 0)
        return is_less or has_results

    async def _history(self, question: Question, *, reads_posts: bool) -> list[Message]:
        """Returns what Slack has of a question's conversation, or of its channel's posts before it."""
        history = self.workspace.history
        return await (history.posts_before if reads_posts else history.messages)(question)

    async def _channel(self, question: Question) -> ChannelSettings:
        """Returns the settings of a question's channel. Without the database, it has none of its own."""
        thread, read = question.thread, self.stores.channel_settings.read
        found = await self._read("channel settings", lambda: read(thread.team_id, thread.channel_id))
        return found or ChannelSettings()

    async def reads_posts_before(self, question: Question) -> bool:
        """Whether the prompt has a channel's last posts: the question begins a thread, and is a bare mention."""
        is_new = question.begins_thread and not question.thread.in_direct_message
        has_more = question.files or question.attached.strip()
        return (
            self.settings.reads_channel
            and is_new
            and not has_more
            and is_bare(question.own_text, self.workspace.me.user_id)
            and (await self._channel(question)).read_channel is not False
        )

    async def _memories(self, question: Question, marks: Marks) -> SentMemories:
        """Returns what a prompt says of the place's memories: of none that was said to other readers than now."""
        thread = question.thread
        kept = await self._read("memories", lambda: self.stores.memories.of(thread.place))
        if not kept:
            return NO_MEMORIES
        is_private = await self.workspace.users.is_private(thread.channel_id)
        shown = [memory for memory in kept if memory.is_private is is_private]
        names = await self.workspace.users.names(ids_in(shown), in_channel=thread.channel_id)
        # Where conversations are short, memories have less room, too.
        limit_tokens = min(MAX_TOKENS, self.settings.history_tokens // 3)
        return sent(shown, names, marks, self.estimate.tokens, limit_tokens)

    async def _pane_context(self, question: Question) -> str:
        """Returns a sentence about the channel that the asker has open beside the pane; "" if its name isn't known."""
        if not (self.workspace.me.has_pane and in_pane(question)):
            return ""
        person = question.thread.team_id, question.user_id
        channel_id = await self._read("pane context", lambda: self.stores.pane_context.read(*person))
        # It is the asker who has it open, and nobody else reads the answer.
        names = await self.workspace.users.names([channel_id], in_channel=channel_id) if channel_id else {}
        return "".join(map(pane_context_line, names.values()))

    async def _restart_if_edited(self, job: Job, messages: Sequence[Message]) -> None:
        """Records edits that the history shows and no event has reported, and waits for the restart that follows.

        A question can be edited while no process runs. The text on record answers the question as it was, so the
        attempt must not continue it. Returns if nothing was edited, or if the edit was known already.
        """
        recorded = {question.ts: question for question in (job.question, *job.earlier)}
        edited = [message for message in messages if message.edited_ts and message.ts in recorded]
        edited = [message for message in edited if not _has_text_of(recorded[message.ts], message)]
        for message in edited:
            question = replace(recorded[message.ts], text=message.whole, files=message.files)
            question = replace(question, attached_chars=message.attached_chars)
            try:
                await self.stores.question_queue.edit(question, message.edited_ts)
            except StoreError as error:
                log.error("edit of the question not recorded: %s", error)
                return
        if edited:
            await self.stores.clock.sleep(RESTART_WITHIN_S)

    async def _conversation(self, job: Job, messages: Sequence[Message], marks: Marks) -> list[PromptMessage]:
        question = job.question
        # If the database stays away, the prompt has our answers as Slack shows them.
        replies = self.stores.recorded_answers.replies
        thread, ts = question.thread, question.ts
        read = await self._read("recorded answers", lambda: replies(thread, ts)) if messages else None
        # The model must not see earlier versions of this answer.
        known = {**(read or {}), **dict.fromkeys(job.page_ts, RecordedReply(""))}
        if not question.begins_thread:
            # What a bare mention reads was written before the thread.
            await self._record_participants(question, messages)
        batch_ts = [earlier.ts for earlier in job.earlier]
        whole = prompts.Conversation(question, messages, known, batch_ts)
        conversation = prompts.prompt_messages(whole, self.workspace.me)
        ids = prompts.ids_to_look_up(conversation, self.workspace.me)
        names = await self.workspace.users.names(ids, in_channel=question.thread.channel_id)
        named = prompts.resolve_names(conversation, {**names, self.workspace.me.user_id: self.workspace.me.name}, marks)
        return prompts.with_times(named, self.workspace.users.zones(ids), marks)

    async def _note(self, job: Job, tools: Offered, *, reads_posts: bool) -> Note:
        """Returns what the prompt says about the question alone: rules, a run's times, the open channel, what is new.

        The asker's time zone was looked up with the names.
        """
        question, schedules = job.question, self.stores.schedules
        zone = self.workspace.users.zones([question.user_id]).get(question.user_id)
        late = prompts.late_time(question.ts, job.asked_at, self.stores.clock.now())
        now = prompts.moment(prompts.local_time(late, zone), zone.key if zone else prompts.UNKNOWN_ZONE) if late else ""
        run = await self._read("schedule", lambda: schedules.run(job.id)) if question.schedule else None
        wants_canvas = wanted_by((question, *job.earlier), self.workspace.me.user_id)
        pane = await self._pane_context(question)
        lines = (
            prompts.BARE_MENTION_RULE if reads_posts else "",
            prompts.RUN_RULE if question.schedule else "",
            prompts.CANVAS_RULE if self.workspace.canvases.may_write and wants_canvas else "",
            prompts.run_times(run) if run else "",
            tools.missing,
            pane,
            prompts.NOW.format(now=now) if now else "",
        )
        # Slack says the name of the channel that is open.
        return Note("\n".join(filter(None, lines)), OTHERS if pane else OURS)

    async def _with_files(
        self,
        answer: Answer,
        shared: Sequence[PromptMessage],
        memory: AsyncExitStack,
        room_tokens: int,
        show: Callable[[Activity], None],
    ) -> ReadFiles:
        """Returns a conversation with its files' contents, and records what was heard in those that are new."""
        conversation, job = with_linked_canvases(shared), answer.job
        if not any(message.files for message in conversation):
            return ReadFiles(conversation)
        opened = await self._opened(job, conversation, memory, show)
        pdf_tokens = 0 if self.settings.pdf_texts else room_for_results(self.settings.history_tokens)
        opened = truncate_files(opened, self.estimate.tokens, room_tokens // 2, pdf_tokens)
        answer.open_files |= open_to_readers(shared, opened)
        new = [opened[file_id] for file_id in dict.fromkeys(file_ids_since_answer(conversation))]
        heard = [(file.file, file.content.text) for file in new if isinstance(file.content, Transcript)]
        recorded = [replace(file, transcript=text) for file, text in heard]
        await self._read("transcripts", lambda: self.transcription.record(job, recorded))
        if heard:
            show(TranscriptTexts([text for _, text in heard]))
        return ReadFiles(attach_files(conversation, opened), new)

    async def _opened(
        self,
        job: Job,
        messages: Sequence[PromptMessage],
        memory: AsyncExitStack,
        show: Callable[[Activity], None],
    ) -> Mapping[str, OpenedFile]:
        """Returns the conversation's files by id."""
        shared = files_newest_first(messages)
        shared = await self._read("transcripts", lambda: self.transcription.known(job, shared)) or shared
        hears = self.transcription.transcriber is not None
        wanted, unread = choose_files(shared, hears=hears)
        canvases = [file for file in wanted if is_canvas(file)]
        files = [file for file in wanted if not is_canvas(file)]
        read: dict[str, OpenedFile] = {}
        if files:
            transcribe = partial(self.transcription.hear, job, show) if hears else None
            reading = self.workspace.files.reading(files, job.question.user_id, transcribe=transcribe)
            read |= await memory.enter_async_context(reading)
        # Of a file in a channel shared with another organization, only files.info says that it is a canvas.
        canvases += [replace(one.file, access=CHECK_FILE_INFO) for one in read.values() if is_canvas(one.file)]
        read |= await self.workspace.canvases.read(canvases, job.question)
        in_order = {file.id: read[file.id] for file in wanted}
        return told_apart({**in_order, **unread}, messages)

    async def _record_participants(self, question: Question, messages: Sequence[Message]) -> None:
        """Records a thread in which several people wrote before the first question, and who began it."""
        by_people = [message for message in messages if by_person(message, self.workspace.me)]
        if since_ts := second_person_since(question, by_people):
            first_ts = question.thread.thread_ts
            starter = next((message.user_id for message in by_people if message.ts == first_ts), None)
            try:
                await self.stores.participants.mark_group(question.thread, since_ts, starter)
            except StoreError as error:
                log.error("participants of a thread not recorded: %s", error)

    async def _read(self, what: str, read: Callable[[], Awaitable[T]]) -> T | None:
        """Returns what `read` returns, None if the database stays away."""
        for failures in range(1, MAX_READS + 1):
            try:
                return await read()
            except StoreError as error:
                log.error("%s not read, retrying: %s", what, error)
                await self.stores.clock.sleep(BACKOFF.wait_s(failures))
        return None


def _has_pages(media: Media) -> bool:
    """Returns whether it is a PDF whose text can stand in place of its pages."""
    return media.alternative is not None and media.alternative.pages > 0


def _joined(*paragraphs: str) -> str:
    return "\n\n".join(filter(None, paragraphs))


def _has_text_of(question: Question, message: Message) -> bool:
    """Returns whether a recorded question has the message's text. Link previews below the text come and go."""
    return question.text == message.whole or f"{question.text}\n\n".startswith(f"{message.text}\n\n")
