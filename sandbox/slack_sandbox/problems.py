"""Explains to an app's author what went wrong, in sentences for the page and the terminal."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from slack_sandbox.web_api.http import UNSUPPORTED_METHOD, CallRecord
from slack_sandbox.workspace import Json

QUIET_S = 10.0
"""A mention counts as a problem if no call follows within this time after its acknowledgment. Bolt acknowledges an
event before a listener runs, so Slack doesn't notice an exception in the listener."""
_MAX_PROBLEMS = 50
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Problem:
    text: str
    times: int = 1


@dataclass
class Problems:
    """The newest problems without duplicates. `on_added` is called with a new problem."""

    on_added: list[Callable[[str], None]] = field(default_factory=list)
    quiet_s: float = QUIET_S
    _problems: deque[Problem] = field(default_factory=lambda: deque(maxlen=_MAX_PROBLEMS))
    _quiet: asyncio.TimerHandle | None = None

    def close(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()

    def on_acknowledged(self, event_type: str) -> None:
        """Reports a mention that isn't followed by a call."""
        if event_type != "app_mention":
            return
        self.close()
        text = (
            f"No call followed the event app_mention within {self.quiet_s:g} s. If the app meant to answer, its "
            "listener may have raised an exception after the acknowledgment: see the app's output."
        )
        self._quiet = asyncio.get_running_loop().call_later(self.quiet_s, self._add, text)

    def on_call(self, call: CallRecord) -> None:
        """Records a call, and explains it if the sandbox rejected it."""
        self.close()
        if call.error == UNSUPPORTED_METHOD:
            self._add(f"{call.method}: the sandbox doesn't support this method, although Slack might. See its README.")
        elif call.error is not None:
            detail = f" ({call.explanation})" if call.explanation else ""
            self._add(f"{call.method} was refused: {call.error}{detail}.")

    def on_not_acknowledged(self, what: str) -> None:
        """Reports an event or an interaction that the app didn't acknowledge."""
        self._add(
            f"The app didn't acknowledge {what} in time. A listener may be missing, or have raised an exception: "
            "see the app's output."
        )

    def newest_json(self) -> list[Json]:
        newest = list(self._problems)[-_SHOWN:]
        return [{"text": problem.text, "times": problem.times} for problem in reversed(newest)]

    def _add(self, text: str) -> None:
        known = next((problem for problem in self._problems if problem.text == text), None)
        if known is None:
            self._problems.append(Problem(text))
            for listener in self.on_added:
                listener(text)
            return
        self._problems.remove(known)
        self._problems.append(Problem(text, known.times + 1))
