"""What `typist init` does with a terminal: reads a line, shows a link, and reaches the clipboard and the browser."""

import select
import signal
import socket
import sys
import termios
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

MAX_LINK_CHARS = 2_083
"""Terminals on VTE ignore a link with a longer address."""
_WITHOUT_OSC = ("", "dumb", "linux")
"""Values of TERM whose terminals would show a sequence for links and the clipboard, or parts of it, as text."""


def link(url: str, shown: str, env: Mapping[str, str]) -> str:
    """Returns a text that a terminal shows as a link (OSC 8), where it can. It shows the text alone otherwise."""
    if len(url) > MAX_LINK_CHARS or env.get("TERM", "") in _WITHOUT_OSC:
        return shown
    return f"\x1b]8;;{url}\x1b\\{shown}\x1b]8;;\x1b\\"


def copy(text: str, env: Mapping[str, str]) -> None:
    """Has the terminal put a text on the clipboard (OSC 52). Nobody learns whether it did: many don't allow it."""
    if env.get("TERM", "") not in _WITHOUT_OSC:
        print(f"\x1b]52;c;{b64encode(text.encode()).decode()}\x07", end="", flush=True)


def has_browser(env: Mapping[str, str]) -> bool:
    """Returns whether a browser can show something to whoever sits at the terminal.

    Without a screen, Python would start a browser of text in the terminal itself.
    """
    if env.get("BROWSER"):
        return True
    if sys.platform == "darwin":
        return "SSH_CONNECTION" not in env
    return bool(env.get("DISPLAY") or env.get("WAYLAND_DISPLAY"))


def browse(url: str) -> bool:
    """Opens a page in the browser, and returns whether one was started."""
    # Only now: it looks for browsers.
    import webbrowser

    try:
        return webbrowser.open(url)
    except (webbrowser.Error, OSError):
        return False


def typed(prompt: str, *, is_secret: bool = False) -> str:
    """Shows a prompt and returns the line that is typed, which isn't shown if it is a secret.

    `input` and `getpass` miss a Ctrl-C between the prompt and their read: Python has noted the signal by then, but
    handles it only after the read, which waits for a line. Here a signal ends the wait as a line does.

    Raises:
        KeyboardInterrupt: at Ctrl-C.
        EOFError: at Ctrl-D, or when the terminal is gone.
    """
    with _signals() as signals, _echo(not is_secret):
        print(prompt, end="", flush=True)
        ready, _, _ = select.select([sys.stdin, signals], [], [])
        if signals in ready:
            raise KeyboardInterrupt
        line = sys.stdin.readline()
        if is_secret:
            print()
    if not line:
        raise EOFError
    return line


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """Yields a socket that can be read as soon as a signal came."""
    theirs, ours = socket.socketpair()
    with theirs, ours:
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno())
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(-1)


@contextmanager
def _echo(is_on: bool) -> Iterator[None]:
    """Lets the terminal show what is typed, or not, and leaves it as it was."""
    before = termios.tcgetattr(sys.stdin)
    meanwhile = termios.tcgetattr(sys.stdin)
    if not is_on:
        # The fourth has the local modes.
        meanwhile[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, meanwhile)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
