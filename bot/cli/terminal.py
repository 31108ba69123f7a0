"""Terminal features: shows a link, asks for confirmation, and uses the clipboard and the browser."""

import sys
import termios
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bot import logs
from bot.errors import SettingsError
from bot.text import without_controls

MAX_LINK_CHARS = 2_083
"""Maximum length of a link's URL. VTE terminals ignore links with longer URLs."""
_WITHOUT_OSC = ("", "dumb", "linux")
"""Values of TERM for terminals that show the escape sequences for links and the clipboard as text."""


def print_note(sentence: str) -> None:
    print(logs.line(without_controls(sentence), is_error=False), file=sys.stderr, flush=True)


def link(url: str, shown: str, env: Mapping[str, str]) -> str:
    """Returns text with a link (OSC 8), which terminals without links show as plain text."""
    if len(url) > MAX_LINK_CHARS or env.get("TERM", "") in _WITHOUT_OSC:
        return shown
    return f"\x1b]8;;{url}\x1b\\{shown}\x1b]8;;\x1b\\"


def copy_to_clipboard(text: str, env: Mapping[str, str]) -> None:
    """Asks the terminal to copy text to the clipboard (OSC 52). Many terminals don't allow this or don't confirm it."""
    if env.get("TERM", "") not in _WITHOUT_OSC:
        print(f"\x1b]52;c;{b64encode(text.encode()).decode()}\x07", end="", flush=True)


def has_browser(env: Mapping[str, str]) -> bool:
    """Returns whether a browser can be opened. Without a screen, Python would start a text browser in the terminal."""
    if env.get("BROWSER"):
        return True
    if sys.platform == "darwin":
        return "SSH_CONNECTION" not in env
    return bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY"))


def open_browser(url: str) -> bool:
    # Imported here because it searches for browsers.
    import webbrowser

    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False


@contextmanager
def set_echo(*, is_on: bool) -> Iterator[None]:
    """Turns the terminal's echo on or off within the context. A hidden question accepts input that was typed earlier. A
    question with a visible answer discards such input, because it was meant for an earlier question and might be a
    secret."""
    before = termios.tcgetattr(sys.stdin)
    changed = [*before[:3], before[3] | termios.ECHO if is_on else before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(sys.stdin, termios.TCSAFLUSH if is_on else termios.TCSADRAIN, changed)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def hidden_answer(question: str) -> str:
    """Asks for hidden input, in a context without echo. Raises EOFError."""
    print(question, end="", flush=True)
    answer = sys.stdin.readline()
    print()
    if not answer:
        raise EOFError
    return answer


def visible_answer(question: str) -> str:
    with set_echo(is_on=True):
        return input(question).strip()


def has_terminal() -> bool:
    """Returns whether stdin is a terminal. If stdin was already closed when the process started, `sys.stdin` is
    None."""
    return sys.stdin is not None and sys.stdin.isatty()


def confirm(question: str, action: str, shown: str = "") -> bool:
    """Shows what a question is about, and asks for confirmation. Raises SettingsError without a terminal."""
    if not has_terminal():
        why = f"There's no terminal for the confirmation. Use --yes to {action} without confirmation."
        raise SettingsError([question.removesuffix("Continue?") + why if question.endswith("Continue?") else why])
    print(shown, end="", flush=True)
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
