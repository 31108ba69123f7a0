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
        self._at_once = at_end
        self._wrote = ""

    def append(self, text: str) -> None:
        super().append(text)
        text = without_controls(text)
        self._wrote = text or self._wrote
        if not self._at_once:
            print(text, end="", flush=True)

    def show(self, activity: Activity) -> None:
        if isinstance(activity, Retrying):
            print_note(NO_ANSWER.format(reason=activity.detail.rstrip(".")))

    def end(self, *, is_whole: bool = True) -> None:
        if self._at_once and is_whole and self.answer is not None:
            print(without_controls(self.answer.text), end="")
        if is_whole or (self._wrote and not self._at_once):
            print(end="" if is_whole and self._wrote.endswith("\n") else "\n", flush=True)
