"""Builds prompts: a question's conversation with names, files and transcripts, and its channel's instructions.

core/prompt.py defines the order of a prompt's parts, and explains why the next prompt repeats them. An answer that
continues after a step keeps its first prompt (core/beginnings.py), which is rebuilt only if the conversation has files.
The prompt for a new version of an answer excludes the bot's messages after the question.

A prompt is built even if parts are missing. For example, if the database is unavailable, reading the channel's settings
is retried for a few seconds, and then the defaults apply.
"""

import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from bot.clock import Clock, try_briefly
from bot.core import alerts
from bot.core import prompt as prompts
from bot.core.beginnings import BuiltPrompt, latest_beginning, restore_prompt
from bot.core.channel_settings import ChannelSettings, prompt_version
from bot.core.channels import new_topic_text
from bot.core.conversation import Note, Question, RecordedReply, is_only_bot_mention
from bot.core.files import (
    OpenedFile,
    Transcript,
    attach_files,
    file_ids_since_answer,
    readable_file_ids,
    truncate_files,
    with_linked_canvases,
    with_numbered_names,
)
from bot.core.job import Job
from bot.core.memory import MAX_TOKENS
from bot.core.prompt import Conversation, PromptMarks, PromptMessage
from bot.core.steps import kept_text
from bot.models.prompt import (
    INSTRUCTIONS,
    OTHERS,
    OURS,
    Media,
    OfferedTools,
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
from bot.services.ports import Activity, ConversationSource, People, TranscriptTexts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PromptSettings:
    system_prompt: str
    history_tokens: int
    web_search: WebSearch | None = None
    """None if no channel can search the web."""
    reads_channel: bool = False
    """Whether the bot reads the posts before a mention without text."""
    needs_pdf_texts: bool = False
    """Whether a model in use doesn't support PDFs and gets their text instead."""
    step_tokens: Callable[[str | None], int | None] = lambda model: None
    """Returns the number of input tokens above which a channel's model charges more, or None if there is no such
    limit."""


@dataclass(frozen=True)
class PromptBuilder:
    conversation: ConversationSource
    settings: PromptSettings
    estimate: TokenEstimate
    clock: Clock

    async def build(
        self,
        answer: Answer,
        memory: AsyncExitStack,
        tools: OfferedTools,
        show: Callable[[Activity], None],
        window_tokens: int | None = None,
    ) -> BuiltPrompt:
        """Builds the prompt for an answer: instructions, conversation, files and notes, cut to fit the window.

        `show`: called with speech in recordings. `window_tokens`: the model's window, if it has rejected a longer
        prompt. File contents are counted as used memory until `memory` closes.
        """
        job, beginning = answer.job, "" if window_tokens else latest_beginning(answer.job.steps)
        built = await self._without_turns(job, tools)
        reads_posts = await self.includes_earlier_posts(job.question)
        # The conversation is also read for an answer that continues, because its question might have been edited.
        read = await self.conversation.read(job, posts_before=reads_posts)
        if beginning and not (kept := restore_prompt(beginning, built)).has_files:
            return kept
        system, marks = built.prompt.system, PromptMarks(built.prompt.code)
        conversation, people = await self._named_conversation(job, read, marks)
        zone = people.zones.get(job.question.user_id)
        note = await self.conversation.note(job, self._note_lines(job, tools, zone, reads_posts=reads_posts))
        if topic := new_topic_text(people.channel, tools, [message.note.text for message in conversation]):
            note = Note("\n".join(filter(None, (note.text, topic))), note.origins | OTHERS)
        # Less room for the conversation also means less room for memories.
        limit_tokens = min(MAX_TOKENS, self.settings.history_tokens // 3)
        memories = await self.conversation.memories(job.question, marks, self.estimate.tokens, limit_tokens)
        begin = "\n\n".join(filter(None, (marks.opening_mark(people.channel), memories.text)))
        taken_tokens = self._tokens_besides_conversation(answer, tools, note)
        question_tokens = room_for_conversation(self.settings.history_tokens, taken_tokens)
        window = self.estimate.smallest_window(window_tokens)
        instructions_tokens = self.estimate.tokens(system)
        ours_tokens = instructions_tokens + self.estimate.tokens(begin)
        fits_tokens = room_in_window(self.settings.history_tokens, window, ours_tokens)
        room_tokens = room_for_conversation(fits_tokens, taken_tokens)
        whole, new_files = await self._with_files(answer, conversation, memory, room_tokens, show)
        continued: Sequence[PromptMessage] = prompts.with_notes(whole, note, marks)
        if so_far := kept_text(job.continued_text):
            continued = prompts.with_continuation(continued, so_far, job.continued_origins)
        # Room is reserved for the text of PDFs, which replaces them only when the model is asked.
        media = [media for message in continued for media in message.media] if self.settings.needs_pdf_texts else []
        instead = (medium.text_alternative.text for medium in media if medium.text_alternative)
        room_tokens -= sum(map(self.estimate.tokens, instead))
        truncated = prompts.truncate(continued, self.estimate.tokens, room_tokens, question_tokens)
        shared_tokens = instructions_tokens + self.estimate.definitions_tokens(tools.definitions)
        turns = prompts.build_prompt(system, truncated, begin, memories.origins).turns
        key = prompts.cache_key(job.question.thread, system, tools.definitions, shared_tokens)
        prompt, as_texts = self._without_costly_pages(replace(built.prompt, turns=turns, cache_key=key), built.model)
        built = replace(built, prompt=prompt, new_files=new_files, note=note, memory_count=memories.count)
        built = replace(built, pdfs_as_text=as_texts, has_files=any(message.files for message in whole))
        return restore_prompt(beginning, built) if beginning else built

    async def _without_turns(self, job: Job, tools: OfferedTools) -> BuiltPrompt:
        question, channel = job.question, await self._settings_of(job.question)
        system = channel.system_prompt or self.settings.system_prompt
        prompt = Prompt(
            prompts.instructions(system, channel.length, has_tools=bool(tools.definitions)),
            (),
            tools=tools.definitions,
            web_search=None if channel.web_search is False else self.settings.web_search,
            effort=job.wish.effort or channel.effort,
            system_origins=INSTRUCTIONS if channel.system_prompt and not question.thread.in_direct_message else OURS,
            asker=prompts.asker_key(question.thread.team_id, question.user_id),
            code=PromptMarks.for_thread(question.thread).code,
        )
        length = prompts.length_rule(system, channel.length)
        return BuiltPrompt(prompt, channel.model, prompt_version("\n\n".join(filter(None, (system, length)))))

    def _without_costly_pages(self, prompt: Prompt, model: str | None) -> tuple[Prompt, tuple[str, ...]]:
        """Returns the prompt with text instead of PDFs if their pages would raise the price, and the names of these
        PDFs."""
        media = [media for turn in prompt.turns for media in turn.media]
        if not any(map(_has_pages, media)):
            # Most prompts have no PDFs, and looking up prices in a large table is slow.
            return prompt, ()
        step_tokens, tokens = self.settings.step_tokens(model), self.estimate.prompt_tokens(prompt)
        if step_tokens is None or tokens <= step_tokens:
            return prompt, ()
        taken_tokens = tokens - sum(map(self.estimate.media_tokens, media))
        kept = newest_media_within(prompt.turns, step_tokens - taken_tokens, self.estimate.media_tokens)
        return without_media(prompt, lambda media: media in kept or not _has_pages(media))

    def _tokens_besides_conversation(self, answer: Answer, tools: OfferedTools, note: Note) -> int:
        # Text from earlier attempts is sent with their steps (core/steps.py).
        left = answer.text[len(kept_text(answer.job.continued_text)) :]
        left_tokens = self.estimate.tokens(left) if left else 0
        return self.estimate.definitions_tokens(tools.definitions) + self.estimate.tokens(note.text) + left_tokens

    def is_shorter_for(self, window_tokens: int | None, *, has_results: bool) -> bool:
        """Returns whether a prompt for this window would contain less of the conversation than the current prompt.
        `has_results`: the prompt also contains tool results, which use the remaining room."""
        limit_tokens, known_tokens = self.settings.history_tokens, self.estimate.window_tokens
        if window_tokens is None or self.estimate.smallest_window(window_tokens) == known_tokens:
            return False
        is_less = room_in_window(limit_tokens, window_tokens, 0) < room_in_window(limit_tokens, known_tokens, 0)
        return is_less or has_results

    async def _settings_of(self, question: Question) -> ChannelSettings:
        found = await try_briefly(lambda: self.conversation.channel(question), self.clock, "channel settings not read")
        return found or ChannelSettings()

    async def includes_earlier_posts(self, question: Question) -> bool:
        """Returns whether to include a channel's last posts, for a bare mention that starts a thread."""
        is_new = question.begins_thread and not question.thread.in_direct_message
        has_more = question.files or question.attached_text.strip()
        return (
            self.settings.reads_channel
            and is_new
            and not has_more
            and is_only_bot_mention(question.own_text, self.conversation.me.user_id)
            and (await self._settings_of(question)).read_channel is not False
        )

    async def _named_conversation(
        self, job: Job, read: Conversation, marks: PromptMarks
    ) -> tuple[list[PromptMessage], People]:
        """Returns the conversation with names and times, and the people and channel that were looked up for it."""
        question, me = job.question, self.conversation.me
        # The model must not see earlier versions of the answer.
        whole = replace(read, replies={**read.replies, **dict.fromkeys(job.page_ts, RecordedReply(""))})
        conversation = prompts.prompt_messages(whole, me)
        people = await self.conversation.people(question, prompts.ids_to_look_up(conversation, me))
        named = prompts.resolve_names(conversation, {**people.names, me.user_id: me.name}, marks)
        return prompts.with_times(named, people.zones, marks), people

    def _note_lines(self, job: Job, tools: OfferedTools, zone: ZoneInfo | None, *, reads_posts: bool) -> list[str]:
        """Returns lines for the note about the question: a rule for a bare mention, missing tools, and the time."""
        late = prompts.time_if_late(job.question.ts, job.asked_at, self.clock.now())
        now = (
            prompts.time_text(prompts.local_time(late, zone), zone.key if zone else prompts.UNKNOWN_ZONE)
            if late
            else ""
        )
        bare = prompts.BARE_MENTION_RULE if reads_posts else ""
        alert = alerts.NOTE if job.question.alert_kind else ""
        return list(filter(None, (bare, alert, tools.missing_note, prompts.NOW.format(now=now) if now else "")))

    async def _with_files(
        self,
        answer: Answer,
        shared: Sequence[PromptMessage],
        memory: AsyncExitStack,
        room_tokens: int,
        show: Callable[[Activity], None],
    ) -> tuple[Sequence[PromptMessage], Sequence[OpenedFile]]:
        """Returns the conversation with file contents, and the files that are new since the last answer. Records speech
        in the new files."""
        conversation, job = with_linked_canvases(shared), answer.job
        if not any(message.files for message in conversation):
            return conversation, ()
        opened = with_numbered_names(await self.conversation.files(job, conversation, memory, show), conversation)
        pdf_tokens = 0 if self.settings.needs_pdf_texts else room_for_results(self.settings.history_tokens)
        opened = truncate_files(opened, self.estimate.tokens, room_tokens // 2, pdf_tokens)
        answer.open_files |= readable_file_ids(shared, opened)
        new = [opened[file_id] for file_id in dict.fromkeys(file_ids_since_answer(conversation))]
        heard = [(file.file, file.content.text) for file in new if isinstance(file.content, Transcript)]
        recorded = [replace(file, transcript=text) for file, text in heard]
        if heard:
            await self.conversation.keep_transcripts(job, recorded)
            show(TranscriptTexts([text for _, text in heard]))
        return attach_files(conversation, opened), new


def _has_pages(media: Media) -> bool:
    return media.text_alternative is not None and media.text_alternative.pages > 0
