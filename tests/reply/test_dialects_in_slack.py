"""HTML, LaTeX and Slack's own markup in a model's answer, as Slack stores them."""

import re

import pytest

from bot.reply.messages import PageView
from slack_markdown.escaping import JOINER
from tests.reply.stored_messages import shown_text, stored


@pytest.mark.parametrize("written", ["<!here>", "<!channel|all>", "<@U0ADA>", "<@U0ADA|Ada>", "<!subteam^S1|@team>"])
@pytest.mark.parametrize(
    "around", ["{}", "**{}**", "<b>{}</b>", "> {}", "- {}", "[{}](https://a.b)", "<code>{}</code>"]
)
def test_mention_rings_nobody(around: str, written: str) -> None:
    message = str(stored(PageView(around.format(written))))
    assert not re.search(r"'type': '(user|broadcast|usergroup|channel)'", message)
    assert "ada" not in message.replace(JOINER, "") or "<@" not in message


def test_breaks_are_seen_as_lines() -> None:
    assert shown_text(stored(PageView("a<br>b"))) == "a\nb"
