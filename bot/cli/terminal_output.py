"""Prints an answer to a terminal."""

from bot.cli.terminal import print_note
from bot.models.events import Retrying
from bot.services.ports import Activity
from bot.services.standalone import CollectedText
from bot.text import without_controls

NO_ANSWER = "No answer yet: {reason}. Trying again…"


class TerminalOutput(CollectedText):
    """Prints an answer to stdout as it arrives, and failures to stderr. `at_end`: whether to wait and print the whole
    answer at its end instead."""

    def __init__(self, *, at_end: bool = False) -> None:
        super().__init__()
        self._prints_at_end = at_end
        self._last_text = ""

    def append(self, text: str) -> None:
        super().append(text)
        text = without_controls(text)
        self._last_text = text or self._last_text
        if not self._prints_at_end:
            print(text, end="", flush=True)

    def show(self, activity: Activity) -> None:
        if isinstance(activity, Retrying):
            print_note(NO_ANSWER.format(reason=activity.detail.rstrip(".")))

    def end(self, *, is_whole: bool = True) -> None:
        if self._prints_at_end and is_whole and self.answer is not None:
            print(without_controls(self.answer.text), end="")
        if is_whole or (self._last_text and not self._prints_at_end):
            print(end="" if is_whole and self._last_text.endswith("\n") else "\n", flush=True)
