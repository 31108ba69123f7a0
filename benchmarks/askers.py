"""Simulates the people in a chaos run.

They write questions and remarks at their planned times, and edit and delete some of these. They also approve and deny
calls, at once or later, sometimes twice, and again if nothing happens.
"""

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.invariants import AskedQuestion, Remark
from benchmarks.message_recorder import MessageRecorder
from benchmarks.question_plan import (
    Change,
    OpenThread,
    PlannedQuestion,
    PlannedRemark,
    RemarkKind,
    Unmentioned,
    needs_a_name,
    why_unmentioned,
)
from bot.core.actions import ReplyAction
from slack_sandbox.server import Sandbox
from slack_sandbox.workspace import Changed, Message, Posted, SlackError

REDELIVERIES_S = (0.0, 5.0, 10.0, 20.0, 40.0)
"""Slack redelivers at once, after one minute and after five. Shortened, so that a run ends."""

BROADCAST_EVERY = 5
"""Every fifth question in a channel's thread is sent to the channel, too. Slack reports those twice."""


@dataclass
class Askers:
    """Writes to the sandbox by plan. `recorder` tells which questions the bot has answered so far."""

    sandbox: Sandbox
    recorder: MessageRecorder
    unmentioned: Counter[Unmentioned] = field(default_factory=Counter)
    """The number of questions in channels without a mention, by the reason why they need none."""
    _roots: dict[int, str] = field(default_factory=dict)
    """The root's ts by the thread's number."""
    _posts: dict[int, str] = field(default_factory=dict)
    """The ts of the remarks that are posts, by the remark's number."""
    _threads: defaultdict[str, OpenThread] = field(default_factory=lambda: defaultdict(OpenThread))
    """By the root's ts."""

    async def write_all(
        self, questions: Sequence[PlannedQuestion], remarks: Sequence[PlannedRemark]
    ) -> tuple[list[AskedQuestion], list[Remark]]:
        """Writes each message at its planned time. Returns the questions and remarks with what was changed of them."""
        began_s = time.monotonic()
        asked: list[asyncio.Task[AskedQuestion]] = []
        remarked: list[asyncio.Task[Remark]] = []
        plans: list[PlannedQuestion | PlannedRemark] = [*questions, *remarks]
        for plan in sorted(plans, key=lambda plan: plan.at_s):
            await asyncio.sleep(began_s + plan.at_s - time.monotonic())
            if isinstance(plan, PlannedQuestion):
                asked.append(asyncio.create_task(self._change_question(await self._ask(plan))))
            else:
                remarked.append(asyncio.create_task(self._change_remark(await self._remark(plan))))
        return list(await asyncio.gather(*asked)), list(await asyncio.gather(*remarked))

    async def _ask(self, plan: PlannedQuestion) -> AskedQuestion:
        """Writes a question, with a mention unless its place needs none."""
        direct = not plan.thread.channel
        channel = self.sandbox.workspace.channel(plan.thread.channel or self.sandbox.dm(plan.person)).id
        root = None if plan.thread.at_root else self._root(channel, self._roots.get(plan.thread.number))
        thread = None if root is None else self._threads[root]
        why = None
        if not direct:
            why = why_unmentioned(
                plan,
                thread,
                bot_wrote=root is not None and self._bot_wrote_in(channel, root),
                bot_answered_last=self._bot_answered_last(channel, thread),
            )
        if why is not None:
            self.unmentioned[why] += 1
        at_s = time.monotonic()
        text = plan.text if direct or why is not None else f"<@BOT> {plan.text}"
        broadcast = not direct and plan.number % BROADCAST_EVERY == 0
        ts = await self.sandbox.say(plan.person, channel, text, root, broadcast=broadcast)
        self._roots[plan.thread.number] = root or ts
        thread = self._threads[root or ts]
        thread.writers.add(plan.person)
        thread.askers.add(plan.person)
        thread.last_asked = (plan, ts)
        return AskedQuestion(plan, channel, ts, root if direct else root or ts, at_s)

    async def _remark(self, plan: PlannedRemark) -> Remark:
        """Writes a remark in such a way that no mode of triage takes it for a question."""
        channel = self.sandbox.workspace.channel(plan.thread.channel).id
        match plan.kind:
            case RemarkKind.POST:
                root = None
            case RemarkKind.REPLY:
                root = self._root(channel, self._posts.get(plan.number - 1))
            case _:
                root = self._root(channel, self._roots.get(plan.thread.number))
        if root is None:
            plan = replace(plan, kind=RemarkKind.POST)
        thread = None if root is None else self._threads[root]
        named = needs_a_name(plan, thread, bot_answered_last=self._bot_answered_last(channel, thread))
        text = plan.text(named=named)
        ts = await self.sandbox.say(plan.person, channel, text, root)
        if plan.kind is RemarkKind.POST:
            self._posts[plan.number] = ts
        thread = self._threads[root or ts]
        thread.writers.add(plan.person)
        thread.remarks += 1
        thread.last_asked = None
        return Remark(plan, channel, ts, root or ts, time.monotonic())

    def _root(self, channel: str, root: str | None) -> str | None:
        """Returns the root to reply to. None if the message has to open a thread: none is open, or its root is gone."""
        if root is None or not any(message.ts == root for message in self.sandbox.workspace.messages(channel)):
            return None
        return root

    def _bot_answered_last(self, channel: str, thread: OpenThread | None) -> bool:
        last_ts = thread.last_asked[1] if thread and thread.last_asked else ""
        return bool(last_ts) and bool(self.recorder.for_question(channel, last_ts))

    def _bot_wrote_in(self, channel: str, root: str) -> bool:
        return any(message.user_id == self.sandbox.bot_user_id for message in self.sandbox.messages(channel, root))

    async def _change_question(self, question: AskedQuestion) -> AskedQuestion:
        """Edits or deletes a question if that is planned, and returns it with the change.

        The first question of a thread is never deleted, because nothing in that thread could be answered afterwards.
        """
        plan, change = question.plan, question.plan.change
        opens_a_thread = question.thread_ts in (question.ts, None) and not plan.thread.at_root
        if change is None or (change == "delete" and opens_a_thread):
            return question
        messages = self.sandbox.workspace.messages(question.channel)
        before = next(message for message in messages if message.ts == question.ts).text
        text = before.replace(plan.text, plan.edited.text).replace(
            f"<@{self.sandbox.bot_user_id}>", f"@{self.sandbox.workspace.bot.name}"
        )
        await self._change(question.channel, question.ts, change, plan.change_s, text)
        return replace(question, changed=change, changed_s=time.monotonic())

    async def _change_remark(self, remark: Remark) -> Remark:
        """Edits or deletes a remark if that is planned, and returns it."""
        plan = remark.plan
        if plan.change is not None:
            await self._change(remark.channel, remark.ts, plan.change, plan.change_s, plan.edited_text)
        return remark

    async def _change(self, channel: str, ts: str, change: Change, after_s: float, text: str) -> None:
        """Deletes a message, or gives it a text. Waits until the bot has acknowledged the change."""
        await asyncio.sleep(after_s)
        # Slack's events have no order: a change that arrives before its question would be ignored.
        await self._until_acknowledged(("", "thread_broadcast"), ts)
        if change == "delete":
            await self.sandbox.delete(channel, ts)
        else:
            await self.sandbox.edit(channel, ts, text)
        # Slack turns a deleted message that has replies into a tombstone, with message_changed.
        await self._until_acknowledged(("message_changed", "message_deleted"), ts)

    async def _until_acknowledged(self, subtypes: Collection[str], ts: str) -> None:
        """Waits until the bot has acknowledged an event about a message, or Slack has given up redelivering it."""
        give_up_s = time.monotonic() + 2 * sum(REDELIVERIES_S)
        while time.monotonic() < give_up_s:
            events = [(delivery.payload["event"], delivery) for delivery in self.sandbox.deliveries]
            sent = [sent for event, sent in events if event.get("subtype", "") in subtypes and _message_ts(event) == ts]
            if any(delivery.acked_at_s is not None for delivery in sent):
                return
            await asyncio.sleep(0.1)


def _message_ts(event: Mapping[str, Any]) -> str:
    """Returns the ts of the message that an event is about."""
    changed = event.get("message") or event.get("previous_message") or event
    return str(changed.get("ts", ""))


WAIT_S = (0.0, 8.0)
"""How long people read before they press, from and to."""
AGAIN_S = 6.0
"""How long people wait before they press again. A press is lost if the process that got it dies."""
DENIED_SHARE = 1 / 8
TWICE_SHARE = 1 / 3


class Approver:
    """Presses Approve, and sometimes Deny, as the person who asked the question."""

    def __init__(self, sandbox: Sandbox, rng: random.Random) -> None:
        self.presses: Counter[str] = Counter()
        """How often each button was pressed."""
        self._sandbox = sandbox
        self._rng = rng
        self._asking: dict[str, Message] = {}
        """The newest message that has buttons for a call, by the buttons' value."""
        self._new: asyncio.Queue[str] = asyncio.Queue()
        sandbox.workspace.listeners.append(self._on_change)

    async def run(self) -> None:
        """Decides about calls until it is canceled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._decide(await self._new.get()))

    def _on_change(self, change: object) -> None:
        if isinstance(change, Posted | Changed):
            for value in _asked_about(change.message):
                if value not in self._asking:
                    self._new.put_nowait(value)
                self._asking[value] = change.message

    async def _decide(self, value: str) -> None:
        """Presses until the message no longer asks about the call."""
        await asyncio.sleep(self._rng.uniform(*WAIT_S))
        action = ReplyAction.DENY if self._rng.random() < DENIED_SHARE else ReplyAction.APPROVE
        times = 2 if self._rng.random() < TWICE_SHARE else 1
        while self._is_shown(value):
            self.presses[action] += times
            await asyncio.gather(*(self._press(self._asking[value], action, value) for _ in range(times)))
            await asyncio.sleep(AGAIN_S)

    async def _press(self, message: Message, action: str, value: str) -> None:
        # The question or its reply may be gone by now.
        with suppress(SlackError):
            await self._sandbox.client(self._asker(message)).press(message.channel, message.ts, action, value)

    def _is_shown(self, value: str) -> bool:
        asked = self._asking[value]
        with suppress(SlackError):
            return value in _asked_about(self._sandbox.workspace.message(asked.channel, asked.ts))
        return False

    def _asker(self, message: Message) -> str:
        """Returns the name of the person who wrote the question that a reply's metadata names. Raises SlackError."""
        question_ts = (message.metadata or {})["event_payload"]["question_ts"]
        workspace = self._sandbox.workspace
        return workspace.user(workspace.message(message.channel, question_ts).user_id).name


def _asked_about(message: Message) -> Iterator[str]:
    """Yields the values of a message's Approve buttons, each of which may be about several calls."""
    elements: list[Mapping[str, Any]] = [element for block in message.blocks for element in block.get("elements", ())]
    buttons = (element for element in elements if element.get("action_id") == ReplyAction.APPROVE)
    yield from (value for button in buttons for value in str(button["value"]).split())
