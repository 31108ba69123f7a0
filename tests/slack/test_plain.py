"""What a message's `text` says: its blocks in words, shortened where it has to be."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.core import texts
from bot.slack import blockkit
from bot.slack.blockkit import Json
from bot.slack.plain import PLAIN_BYTES, text_of
from slack_markdown.escaping import JOINER
from slack_markdown.render import DONE, QUOTED, TABLE, TO_DO, render_page
from slack_sandbox.text.translation import translate

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
        (blockkit.rich_text_quote("a\nButtons: b.", "id"), "Quote: a\nQuote: Buttons: b."),
        (blockkit.rich_text_preformatted("a\n```\nb"), f"```\na\n`{JOINER}`{JOINER}`\nb\n```"),
        (blockkit.rich_text_links("Sources", [("https://a.example", "a")], "id"), "Sources\n1. a (https://a.example)"),
        (
            blockkit.rich_text([blockkit.rich_text_section(blockkit.time_element(61.0))]),
            "<!date^61^{date_pretty} at {time}|January 1 at 00:01 UTC>",
        ),
        (blockkit.chart("bar", "Use", ["Mon", "Tue"], [("usd", [1.5, 2])]), "Chart: Use"),
        (blockkit.pie_chart("Parts", ["a", "b"], [1_000, 2]), "Chart: Parts"),
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


INLINES = [
    *("{}", "**{}**", "*{}*", "~~{}~~", "`{}`", "[{}](https://{}.example)", "![{}](https://{}.example/a.png)"),
    *("[{}][ref]", "[ref]", "<https://{}.example>", "https://{}.example", "**{} ~~{}~~**", "~~{} **{}**~~"),
    *("`{}` ~~`{}`~~", "~~[{}](https://{}.example)~~"),
]
TOP = ["line", "lines", "code", "items", "quote", "table", "heading", "thematic_break"]


class Author:
    """Writes Markdown whose words are all different, so that a word's place in the text is certain."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.words = (f"w{number}" for number in range(10_000))

    def block(self, depth: int) -> str:
        kind = self.draw(st.sampled_from(TOP if depth == 2 else TOP[:5] if depth else TOP[:3]))
        return str(getattr(self, kind)(depth))

    def line(self, _depth: int = 0) -> str:
        forms = [self.draw(st.sampled_from(INLINES)) for _ in range(self.draw(st.integers(1, 3)))]
        return re.sub(r"\{\}", lambda _: next(self.words), " ".join(forms))

    def lines(self, _depth: int) -> str:
        return f"{self.line()}\n{self.line()}"

    def code(self, _depth: int) -> str:
        return f"```py\n{next(self.words)}\n{next(self.words)}\n```"

    def heading(self, _depth: int) -> str:
        return f"## {self.line()}"

    def thematic_break(self, _depth: int) -> str:
        return "---"

    def quote(self, depth: int) -> str:
        return "> " + self.block(depth - 1).replace("\n", "\n> ")

    def table(self, _depth: int) -> str:
        columns = self.draw(st.integers(1, 4))
        count = columns * self.draw(st.integers(1, 4))
        cells = [self.line() if self.draw(st.integers(0, 2)) else "" for _ in range(count)]
        cells[columns:columns] = ["--"] * columns
        return "\n".join(f"|{'|'.join(cells[at : at + columns])}|" for at in range(0, len(cells), columns))

    def items(self, depth: int) -> str:
        first = self.draw(st.sampled_from([0, 1, 9]))
        parts = []
        for number in range(first, first + self.draw(st.integers(1, 3))):
            task = self.draw(st.sampled_from(["", "[ ] ", "[x] "]))
            content = f"{task}{self.line()}" if task else self.block(depth - 1)
            mark = f"{number}. " if first else "- "
            parts.append(mark + content.replace("\n", "\n" + " " * len(mark)))
        return "\n".join(parts)


@st.composite
def markdown_of_all_constructs(draw: st.DrawFn) -> str:
    author = Author(draw)
    blocks = [author.block(2) for _ in range(draw(st.integers(1, 5)))]
    return "\n\n".join([*blocks, "[ref]: https://ref.example"])


def picture_in_words(blocks: Sequence[Json]) -> Iterator[str]:
    """Yields what Slack shows of blocks, in order: words, numbers, box states, beginnings of struck text."""
    for block in blocks:
        match block["type"]:
            case "header":
                yield from block["text"]["text"].split()
            case "table":
                yield from (word for row in block["rows"] for cell in row for word in picture_in_words([cell]))
            case "rich_text":
                yield from (word for element in block["elements"] for word in element_in_words(element))


def element_in_words(element: Json) -> Iterator[str]:
    if element["type"] == "rich_text_list":
        first = element.get("offset", 0) + 1
        for number, item in enumerate(element["elements"], start=first):
            yield from [f"{number}."] if element["style"] == "ordered" else []
            yield from element_in_words(item)
        return
    shown, was_struck = "", False
    for inline in element["elements"]:
        is_struck = bool(inline.get("style", {}).get("strike"))
        shown += "(struck " if is_struck and not was_struck else ""
        was_struck = is_struck
        text, url = inline.get("text", ""), inline.get("url", "")
        shown += f"{text} ({url})" if text and url else text or url
    yield from ({"☐": TO_DO.split()[-1], "☑": DONE.strip()}.get(word, word) for word in shown.split())


def bare(words: Iterator[str] | Sequence[str]) -> list[str]:
    return [stripped for word in words if (stripped := word.strip("():;,…"))]


@given(markdown_of_all_constructs())
def test_text_says_what_the_picture_says(markdown: str) -> None:
    """In order, and nothing else except words about the form: where a quote, a table and a column's cell begin."""
    page = render_page(markdown, growing=False)
    blocks = translate(page)
    shown, said = bare(picture_in_words(blocks)), bare(text_of([blockkit.markdown(page)]).split())
    left: Any = iter(said)
    missing = [word for word in shown if word not in left]
    assert not missing, (page, said)
    names = {word for block in blocks if block["type"] == "table" for word in bare(picture_in_words(block["rows"][0]))}
    form = {*bare(" ".join([QUOTED, TABLE, DONE, TO_DO, "struck out:", "-"]).split())}
    assert {*said} <= {*shown, *names, *form}, (page, said)
