"""Carries out commands about memories in a channel or direct message.

A model can only propose memories, with a tool whose calls always need approval. Only current members of the workspace
can change memories. Each memory records whether its channel was private, so no memory is saved until Slack has reported
that.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from bot.clock import keep_trying
from bot.core import texts
from bot.core.calls import NO_SUCH_TOOL, CallResult, CallState, ToolUse
from bot.core.channel_settings import SettingsPlace
from bot.core.conversation import Question, escape, is_direct_message, message_link
from bot.core.job import Job, Notice, NoticeKind, sentence_notice
from bot.core.memory import (
    MAX_CHARS,
    TOOLS,
    Memory,
    MemoryCommand,
    RememberOutcome,
    Verb,
    ids_in_memories,
    memory_command,
    reason_not_to_keep,
    text_on_one_line,
    visible_chars,
)
from bot.core.surfaces import CommandResponse, Invocation
from bot.core.texts.access import Denial
from bot.errors import Refusal, Refused
from bot.models.prompt import OfferedTools
from bot.reply.workspace import Workspace
from bot.services.access_control import SHORT_LOOKUP_TIMEOUT_S, AccessControl, access_question
from bot.services.answer_attempt import CommandResult
from bot.slack.views.memory import MEMORY, SubmittedMemories
from bot.slack.views.modal import sentence_modal
from bot.store import Stores

MEMBER_CHECK_TIMEOUT_S = 10.0
CHANNEL_TYPES = "public_channel,private_channel,mpim"

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MemoryCommands:
    stores: Stores
    workspace: Workspace
    access_control: AccessControl

    async def carry_out(self, job: Job) -> CommandResult | None:
        """Carries out a job's messages if all are commands. Returns None if a model must read the messages. If an
        edited message is no longer a command, the memory that it created is removed."""
        questions = (*job.earlier_questions, job.question)
        commands = [memory_command(question, self.workspace.me) for question in questions]
        pairs = list(zip(questions, commands, strict=True))
        changed = [question for question, command in pairs if command is None or reason_not_to_keep(command.text)]
        for question in changed if job.version else ():
            await self._keep_trying(partial(self.stores.memories.take_back, question, question.user_id))
        if not all(commands):
            return None
        return CommandResult.combine(
            [await self._carry_out(question, command) for question, command in pairs if command]
        )

    async def _carry_out(self, question: Question, command: MemoryCommand) -> CommandResult:
        if refusal := await self._refusal(question):
            return CommandResult(sentence_notice(refusal))
        log.info("message %s is a command: %s", question.ts, command.verb)
        match command.verb:
            case Verb.RECALL:
                return await self._list_memories(question)
            case Verb.FORGET if not command.number:
                return CommandResult(sentence_notice(texts.memory.FORGET_WHICH))
            case Verb.REMEMBER if why := reason_not_to_keep(command.text):
                return CommandResult(sentence_notice(why))
            case Verb.FORGET:
                return await self._forget(question, command.number)
        remembered = await self._remember(question, command.text, is_proposed=False)
        kind = NoticeKind.REMEMBERED if remembered.item_no else NoticeKind.SENTENCE
        return CommandResult((Notice(kind, remembered.text),))

    async def _forget(self, question: Question, number: int) -> CommandResult:
        """Forgets a memory and shows its text, because the number might refer to a different memory in an older
        list."""
        forget, users = self.stores.memories.forget, self.workspace.users
        gone = await self._keep_trying(lambda: forget(question.thread.place, number, question.user_id))
        if gone is None:
            return CommandResult(sentence_notice(texts.memory.nothing_to_forget(number)))
        is_private = await users.is_private(question.thread.channel_id)
        names = await users.names(ids_in_memories([gone]), in_channel=question.thread.channel_id)
        text = text_on_one_line(gone.text, names) if gone.is_private is is_private else ""
        return CommandResult((Notice(NoticeKind.FORGOTTEN, texts.memory.forgotten_notice(number, text), number),))

    async def definitions(self, question: Question) -> OfferedTools:
        """Returns the tool that proposes a memory. A scheduled run doesn't get the tool, because no reader is present
        to decide."""
        return OfferedTools((TOOLS[question.thread.in_direct_message],) if question.schedule_id is None else ())

    async def call(self, use: ToolUse) -> CallResult:
        question, definition = use.question, TOOLS[use.question.thread.in_direct_message]
        is_ours = (use.tool, use.definition_hash) == (definition.name, definition.definition_hash)
        if question.schedule_id is not None or not is_ours:
            return CallResult.failed(NO_SUCH_TOOL)
        # Escaped, so that a model can't write mentions.
        return await self._remember(question, escape(use.arguments["text"]), is_proposed=True)

    async def open(self, user_id: str, trigger_id: str, place: SettingsPlace, *, in_modal: bool = False) -> str:
        """Shows a place's memories in a modal. Returns an error message in mrkdwn, or "" if there is none. `in_modal`:
        whether to open the modal on top of the settings modal. Raises RateLimited, Refused and StoreError."""
        if refusal := await self._modal_refusal(user_id, place.channel_id):
            return refusal
        memories = await self.stores.memories.of_place((self.workspace.me.team_id, place.channel_id))
        if not memories:
            return texts.memory.NOTHING_REMEMBERED
        is_private = await self.workspace.users.is_private(place.channel_id)
        if is_private is None:
            return texts.memory.MEMORY_UNAVAILABLE
        base = await self.workspace.channel_reader.link_base(place.channel_id, memories[0].ts)
        view = MEMORY.build(place, memories, base, is_private=is_private)
        await self.workspace.surfaces.open(trigger_id, view, in_modal=in_modal)
        return ""

    async def on_command(self, invocation: Invocation) -> str:
        place = SettingsPlace(invocation.channel_id, invocation.response_url)
        return await self.open(invocation.user_id, invocation.trigger_id, place)

    async def open_on_settings(self, user_id: str, trigger_id: str, place: SettingsPlace) -> None:
        if sentence := await self.open(user_id, trigger_id, place, in_modal=True):
            view = sentence_modal(sentence, texts.memory.MEMORY_TITLE)
            await self.workspace.surfaces.open(trigger_id, view, in_modal=True)

    async def save(self, user_id: str, submitted: SubmittedMemories) -> str:
        """Saves a person's changes from the modal. Returns an error message, or "" if there is none. Checks the place
        and the person's rights again, because a modal can stay open for hours and its values can be forged."""
        place = submitted.place
        if refusal := await self._modal_refusal(user_id, place.channel_id):
            return await self.access_control.with_admin_names(refusal)
        if too_long := [
            chars for text in submitted.changed_texts.values() if (chars := visible_chars(text)) > MAX_CHARS
        ]:
            return texts.memory.memory_too_long(too_long[0], MAX_CHARS)
        is_private = await self.workspace.users.is_private(place.channel_id)
        if is_private is None:
            return texts.memory.MEMORY_UNAVAILABLE
        store, here = self.stores.memories, (self.workspace.me.team_id, place.channel_id)
        hidden = [one.id for one in await store.of_place(here) if one.is_private is not is_private]
        kept = [id_ for id_ in hidden if id_ in submitted.listed_ids] if submitted.keeps_hidden else []
        if not await store.change(here, user_id, submitted.changed_texts, kept, is_private=is_private):
            return texts.memory.NO_ROOM_FOR_CHANGES
        log.info("user %s changed the memories of channel %s", user_id, place.channel_id)
        if place.response_url:
            response = CommandResponse(texts.memory.MEMORY_SAVED)
            await self.workspace.surfaces.respond_to_command(place.response_url, response)
        return ""

    async def _modal_refusal(self, user_id: str, channel_id: str) -> str:
        """Returns why a person can't see or change a place's memories, or "" if they can."""
        if refusal := await self._refusal(access_question(self.workspace, user_id, channel_id), is_press=True):
            return refusal
        surfaces = self.workspace.surfaces
        try:
            if is_direct_message(channel_id):
                return (
                    ""
                    if await surfaces.user_in_direct_message(channel_id) == user_id
                    else texts.memory.NOT_YOUR_DIRECT_MESSAGE
                )
            return (
                "" if channel_id in await surfaces.channels_of(user_id, CHANNEL_TYPES) else texts.memory.NOT_IN_CHANNEL
            )
        except Refused as error:
            if error.reason is Refusal.CHANNEL_GONE:
                return texts.memory.NOT_YOUR_DIRECT_MESSAGE
            raise

    async def _refusal(self, question: Question, *, is_press: bool = False) -> str:
        within_s = SHORT_LOOKUP_TIMEOUT_S if is_press else MEMBER_CHECK_TIMEOUT_S
        denial = await self.access_control.denial(question, now_within_s=within_s, members_only=True, is_press=is_press)
        return texts.memory.ONLY_MEMBERS_REMEMBER if denial is Denial.NOT_A_MEMBER else denial or ""

    async def _remember(self, question: Question, text: str, *, is_proposed: bool) -> CallResult:
        """Stores a note as a memory in the question's channel or direct message. The result's text is user-facing."""
        channel_id, users = question.thread.channel_id, self.workspace.users
        is_private = await users.is_private(channel_id)
        if is_private is None:
            return CallResult.failed(texts.memory.MEMORY_UNAVAILABLE)
        remember = self.stores.memories.remember
        done = await self._keep_trying(lambda: remember(question, text, is_private=is_private, is_proposed=is_proposed))
        if done.outcome is RememberOutcome.FULL:
            return CallResult.failed(texts.memory.memory_full(done.number))
        if done.outcome is RememberOutcome.DELETED:
            return CallResult.failed(texts.shortcut.MESSAGE_DELETED)
        if done.outcome is RememberOutcome.KNOWN:
            return CallResult(CallState.DONE, texts.memory.already_remembered(done.number))
        name = (await users.names([channel_id], in_channel=channel_id)).get(channel_id, "")
        here = texts.memory.OUR_DIRECT_MESSAGE if question.thread.in_direct_message else texts.memory.THIS_CHANNEL
        # Slack's name for a group message, such as mpdm-ada--grace-1, isn't shown to users.
        is_named = name and not name.startswith("mpdm-")
        sentence = texts.memory.remembered_notice(f"#{name}" if is_named else here, done.number)
        return CallResult(CallState.DONE, sentence, item_no=done.number)

    async def _list_memories(self, question: Question) -> CommandResult:
        thread = question.thread
        memories = await self._keep_trying(lambda: self.stores.memories.of_place(thread.place))
        if not memories:
            return CommandResult(sentence_notice(texts.memory.NOTHING_REMEMBERED))
        is_private = await self.workspace.users.is_private(thread.channel_id)
        if is_private is None:
            return CommandResult(sentence_notice(texts.memory.MEMORY_UNAVAILABLE))
        names = await self.workspace.users.names(ids_in_memories(memories), in_channel=thread.channel_id)
        base = await self.workspace.channel_reader.link_base(thread.channel_id, question.ts)
        lines = [_memory_line(memory, names, base, thread.channel_id, is_private) for memory in memories]
        are_hidden = any(memory.is_private is not is_private for memory in memories)
        return CommandResult(
            sentence_notice(texts.memory.MEMORIES_HIDDEN[is_private] if are_hidden else ""), "\n".join(lines)
        )

    async def _keep_trying(self, operation: Callable[[], Awaitable[T]]) -> T:
        return await keep_trying(operation, self.stores.clock, "memories not read or written")


def _memory_line(memory: Memory, names: Mapping[str, str], base: str, channel_id: str, is_private: bool) -> str:
    text = text_on_one_line(memory.text, names) if memory.is_private is is_private else texts.memory.HIDDEN
    person, changed_by = (names.get(id_, id_) for id_ in (memory.user_id, memory.changed_by))
    said = texts.memory.memory_attribution(
        person, texts.times.format_date(memory.created_at), changed_by, is_proposed=memory.is_proposed
    )
    return texts.memory.memory_line(
        memory.number, text, said, message_link(base, channel_id, memory.ts, memory.thread_ts)
    )
