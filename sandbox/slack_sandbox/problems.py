"""What went wrong for the app, in sentences for its author: the page and the terminal show them."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from slack_sandbox.web_api.http import LACKS_METHOD, CallRecord
from slack_sandbox.workspace import Json

QUIET_S = 10.0
"""How long after a mention's acknowledgment the app may be without any call. Bolt acknowledges before a listener runs,
so that Slack learns of no exception in it."""
_MAX_PROBLEMS = 50
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """A sentence, and how often it was true."""

    text: str
    times: int = 1


@dataclass
class Problems:
    """The newest problems, each once. `added` is called with a problem that is new."""

    added: list[Callable[[str], None]] = field(default_factory=list)
    quiet_s: float = QUIET_S
    _problems: deque[Problem] = field(default_factory=lambda: deque(maxlen=_MAX_PROBLEMS))
    _quiet: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Stops waiting for a call."""
        if self._quiet is not None:
            self._quiet.cancel()

    def acknowledged(self, event_type: str) -> None:
        """Explains a mention that no call follows."""
        if event_type != "app_mention":
            return
        self.close()
        text = (
            f"No call followed the event app_mention within {self.quiet_s:g} s. If the app meant to answer, its "
            "listener may have raised an exception after the acknowledgment: see the app's own output."
        )
        self._quiet = asyncio.get_running_loop().call_later(self.quiet_s, self._add, text)

    def called(self, call: CallRecord) -> None:
        """Takes note of a call, and explains it if the sandbox refused it."""
        self.close()
        if call.error == LACKS_METHOD:
            self._add(f"{call.method}: this sandbox doesn't have the method. Slack may have it. See README.md.")
        elif call.error is not None:
            detail = f" ({call.explanation})" if call.explanation else ""
            self._add(f"{call.method} was refused: {call.error}{detail}.")

    def not_acknowledged(self, what: str) -> None:
        """Explains an event or a press that the app left without an acknowledgment."""
        self._add(
            f"The app didn't acknowledge {what} in time. A listener may be missing, or have raised an exception: "
            "see the app's own output."
        )

    def newest_json(self) -> list[Json]:
        """Returns the newest problems, the newest first."""
        newest = list(self._problems)[-_SHOWN:]
        return [{"text": problem.text, "times": problem.times} for problem in reversed(newest)]

    def _add(self, text: str) -> None:
        known = next((problem for problem in self._problems if problem.text == text), None)
        if known is None:
            self._problems.append(Problem(text))
            for listener in self.added:
                listener(text)
            return
        self._problems.remove(known)
        self._problems.append(Problem(text, known.times + 1))
