"""What is written to a terminal that may not know it, and whether a browser can be opened from there."""

import sys

import pytest

from bot.cli import terminal

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
