"""What is written to a terminal that may not know it, and whether a browser can be opened from there."""

import sys

import pytest

from bot.cli import terminal
from bot.cli.terminal_output import TerminalOutput
from bot.models.events import Retrying
from tests.core.conversations import answer

URL = "https://api.slack.com/apps?new_app=1"


@pytest.mark.parametrize(
    ("url", "term", "shown"),
    [
        (URL, "xterm-256color", f"\x1b]8;;{URL}\x1b\\Slack\x1b]8;;\x1b\\"),
        (URL, "some-terminal-to-come", f"\x1b]8;;{URL}\x1b\\Slack\x1b]8;;\x1b\\"),
        (f"{URL}{'x' * terminal.MAX_LINK_CHARS}", "xterm-256color", "Slack"),
        (URL, "dumb", "Slack"),
        (URL, "linux", "Slack"),
        (URL, "", "Slack"),
    ],
)
def test_a_link_is_a_text_where_the_terminal_would_show_its_address_or_drop_it(url: str, term: str, shown: str) -> None:
    assert terminal.link(url, "Slack", {"TERM": term}) == shown


@pytest.mark.parametrize(
    ("term", "written"), [("xterm", "\x1b]52;c;4pyU\x07"), ("tmux-256color", "\x1b]52;c;4pyU\x07"), ("dumb", "")]
)
def test_a_text_for_the_clipboard_is_written_where_the_terminal_shows_nothing_of_it(
    capsys: pytest.CaptureFixture[str], term: str, written: str
) -> None:
    terminal.copy_to_clipboard("✔", {"TERM": term})
    assert capsys.readouterr().out == written


@pytest.mark.parametrize(
    ("platform", "env", "has_browser"),
    [
        ("linux", {}, False),
        ("linux", {"DISPLAY": ":0"}, True),
        ("linux", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("linux", {"SSH_CONNECTION": "a b", "BROWSER": "/opt/helper"}, True),
        ("darwin", {}, True),
        ("darwin", {"SSH_CONNECTION": "a b"}, False),
    ],
)
def test_a_browser_is_opened_only_where_somebody_sees_it(
    monkeypatch: pytest.MonkeyPatch, platform: str, env: dict[str, str], has_browser: bool
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert terminal.has_browser(env) == has_browser


HOSTILE = "a\x1b[2J\x1b]0;title\x07\x1b]8;;https://x.test\x1b\\b\x9b1m\rc\x00\x08\x7f\u0085\td\n"
HARMLESS = "a[2J]0;title]8;;https://x.test\\b1mc\td\n"


@pytest.mark.parametrize("at_end", [False, True])
def test_answer_in_a_terminal_has_no_control_sequences(capsys: pytest.CaptureFixture[str], at_end: bool) -> None:
    shown = TerminalOutput(at_end=at_end)
    shown.answer = answer()
    for character in HOSTILE:
        shown.append(character)
    shown.show(Retrying(detail=f"refused: {HOSTILE}"))
    shown.end()
    terminal.print_note(HOSTILE)
    written = capsys.readouterr()
    assert written.out == HARMLESS
    assert not set(written.err) & set("\x1b\x07\x9b\r\x00\x08\x7f\u0085")
    assert HARMLESS in written.err
