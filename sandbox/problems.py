"""What went wrong for the app, in sentences for its author: the page and the terminal show them."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from sandbox.web_api.http import LACKS_METHOD, CallRecord
from sandbox.workspace import Json

_KEPT = 50
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
    _problems: deque[Problem] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def call_refused(self, call: CallRecord) -> None:
        """Explains a call that the sandbox refused."""
        if call.error == LACKS_METHOD:
            self._add(f"{call.method}: this sandbox doesn't have the method. Slack may have it. See docs/emulator.md.")
        elif call.error is not None:
            detail = f" ({call.explanation})" if call.explanation else ""
            self._add(f"{call.method} was refused: {call.error}{detail}.")

    def not_acknowledged(self, what: str) -> None:
        """Explains an event or a press that the app left without an acknowledgement."""
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
