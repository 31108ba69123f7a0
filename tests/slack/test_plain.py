"""What a message's `text` says: its blocks in words, shortened where it has to be."""

import pytest

from bot.core import texts
from bot.slack import blockkit
from bot.slack.blockkit import Json
from bot.slack.plain import PLAIN_BYTES, text_of
from slack_markdown.escaping import JOINER

SENTENCE = blockkit.section(blockkit.mrkdwn("<@U0ADA> asks *this*:"))
BUTTONS = blockkit.actions([blockkit.button("a", "Yes & no"), blockkit.button("b", "No")])


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (SENTENCE, "<@U0ADA> asks *this*:"),
        (blockkit.section(blockkit.plain_text("<@U0ADA> & @here")), f"&lt;@U0ADA> & @{JOINER}here"),
        ({**SENTENCE, "accessory": blockkit.button("a", "Stop")}, "<@U0ADA> asks *this*:\nButton: Stop."),
        (blockkit.header("A *title*"), "A *title*"),
        (blockkit.context(blockkit.plain_text("small")), "small"),
        (BUTTONS, "Buttons: Yes &amp; no, No."),
        (blockkit.actions([blockkit.users_select("a", "Who?"), blockkit.button("b", "Go")]), "Button: Go."),
        (blockkit.markdown("**Bold** [docs](https://a.example)"), "Bold docs (https://a.example)"),
        (blockkit.rich_text_quote("a\nButtons: b.", "id"), "&gt; a\n&gt; Buttons: b."),
        (blockkit.rich_text_preformatted("a\n```\nb"), f"```\na\n`{JOINER}`{JOINER}`\nb\n```"),
        (blockkit.rich_text_links("Sources", [("https://a.example", "a")], "id"), "Sources\n1. a (https://a.example)"),
        (blockkit.rich_text([blockkit.line(blockkit.moment(1.0, "{date}", "then"))]), "<!date^1^{date}|then>"),
        (blockkit.chart("bar", "Use", ["Mon", "Tue"], [("usd", [1.5, 2])]), "Use: Mon 1.5, Tue 2."),
        (blockkit.pie_chart("Parts", ["a", "b"], [1_000, 2]), "Parts: a 1,000, b 2."),
        (blockkit.divider(), ""),
    ],
)
def test_block_in_words(block: Json, said: str) -> None:
    assert text_of([block]) == said


@pytest.mark.parametrize("chars", [1, 2, 3, 4])
@pytest.mark.parametrize("long", ["word  ", "漢", "&", "<!date^1^{date}|a day> "])
def test_longest_part_is_shortened_first(long: str, chars: int) -> None:
    room = PLAIN_BYTES - len("\n\n".join([text_of([SENTENCE]), "", text_of([BUTTONS])]).encode())
    count = room // len(long.encode())
    fits = text_of([SENTENCE, blockkit.context(blockkit.mrkdwn(long * count)), BUTTONS])
    assert texts.answers.REST_IN_MESSAGE not in fits
    cut = text_of([SENTENCE, blockkit.context(blockkit.mrkdwn(long * (count + chars))), BUTTONS])
    first, body, buttons, last = cut.split("\n\n")
    assert (first, buttons, last) == (text_of([SENTENCE]), text_of([BUTTONS]), texts.answers.REST_IN_MESSAGE)
    assert body.endswith("…")
    assert not body.endswith(" …")
    assert body.count("<!date^") == body.count("a day>")
    assert PLAIN_BYTES - 200 < len(cut.encode()) <= PLAIN_BYTES


def test_many_short_parts_are_cut_at_the_end() -> None:
    cut = text_of([blockkit.section(blockkit.plain_text(f"part {number}")) for number in range(2_000)])
    assert cut.startswith("part 0\n\npart 1\n\n")
    assert cut.endswith(texts.answers.REST_IN_MESSAGE)
    assert len(cut.encode()) <= PLAIN_BYTES


def test_part_is_cut_within_a_word_that_fills_more_than_half_of_it() -> None:
    cut = text_of([blockkit.context(blockkit.mrkdwn(f"a {'x' * PLAIN_BYTES}"))])
    body, last = cut.split("\n\n")
    assert (body, last) == (f"a {'x' * (len(body) - 3)}…", texts.answers.REST_IN_MESSAGE)
    assert PLAIN_BYTES - 10 < len(cut.encode()) <= PLAIN_BYTES
