"""Questions that Typist posts for their askers: their ids, and what their posts say."""

from dataclasses import replace

import pytest

from bot.core import texts
from bot.core.unposted import (
    REMINDER_CHARS,
    QuotedMessage,
    direct_message_placeholder,
    emoji_of,
    is_suggested,
    post_text,
    reaction_view_id,
    suggestion_view_id,
)

ABOUT = QuotedMessage("C1", "2.5", "1.5", "It &lt;failed>\nagain", "https://slack.example/r")
QUOTE = "&gt; It &lt;failed&gt;\n&gt; again"


@pytest.mark.parametrize(
    ("about", "is_elsewhere", "quoted"),
    [
        (ABOUT, True, QUOTE),
        (ABOUT, False, "&gt; It &lt;failed&gt; again"),
        (replace(ABOUT, thread_ts="2.5"), False, ""),
        (replace(ABOUT, thread_ts="2.5"), True, QUOTE),
        (replace(ABOUT, thread_ts=""), False, "&gt; It &lt;failed&gt; again"),
        (replace(ABOUT, quote=None), True, ""),
        (replace(ABOUT, quote=None), False, ""),
        (replace(ABOUT, quote="x" * 201), False, f"&gt; {'x' * (REMINDER_CHARS - 1)}…"),
        (replace(ABOUT, quote="x" * 201), True, f"&gt; {'x' * 201}"),
    ],
)
def test_post_quotes_its_message_but_where_readers_have_it_above(
    about: QuotedMessage, is_elsewhere: bool, quoted: str
) -> None:
    assert post_text(about, "Why < & >?", elsewhere=is_elsewhere) == ("Why &lt; &amp; &gt;?", quoted)


def test_post_of_a_choice_has_the_choice_as_others_words() -> None:
    offered = replace(ABOUT, offered_by=0)
    assert post_text(offered, "A & B", elsewhere=True) == (texts.shortcut.MY_CHOICE, "A &amp; B")


def test_id_says_how_a_question_was_asked() -> None:
    reacted, pressed = reaction_view_id("+1", "C1", "2.5"), suggestion_view_id("D1", "U1", 3, "119.9")
    assert (reacted, pressed) == ("reaction:+1:C1:2.5", "suggestion:D1:U1:3:1")
    assert [suggestion_view_id("D1", "U1", 3, at)[-1] for at in ("60.0", "119.999999", "120.0")] == ["1", "1", "2"]
    assert [(emoji_of(id_), is_suggested(id_)) for id_ in (reacted, pressed, "V1", "suggestions:x")] == [
        ("+1", False),
        ("", True),
        ("", False),
        ("", False),
    ]
    assert direct_message_placeholder("U1") == "DU1"
