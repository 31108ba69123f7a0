"""The people of a chaos run who decide about calls: at once or later, at times twice, and again if nothing happens."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from bot.core.actions import ReplyAction
from sandbox.server import Sandbox
from sandbox.workspace import Changed, Message, Posted, SlackError

WAIT_S = (0.0, 8.0)
"""How long people read before they press, from and to."""
AGAIN_S = 6.0
"""How long people wait for an effect before they press again: a process that dies takes a press along."""
DENIED_SHARE = 1 / 8
TWICE_SHARE = 1 / 3


class Approver:
    """Listens to a sandbox. `run` presses Approve, and at times Deny, as the person who asked the question."""

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
    """Yields the values of a message's Approve buttons."""
    elements: list[Mapping[str, Any]] = [element for block in message.blocks for element in block.get("elements", ())]
    yield from (str(element["value"]) for element in elements if element.get("action_id") == ReplyAction.APPROVE)
