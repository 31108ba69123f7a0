"""Pages fit, end at the best page break, repeat the opening of blocks that they continue, and join to the text."""

import random
import tracemalloc
from collections.abc import Iterable

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from slack_markdown.escaping import HAIR_SPACE
from slack_markdown.extent import Extent
from slack_markdown.pages import MAX_SENT, PAGE_BYTES, PAGE_CHARS, Page, Pages
from slack_markdown.render import max_sent_chars, render_page
from slack_markdown.tests.markdown_texts import ACCENTED, FAMILY, HEADING, LONG, MARKDOWN, TABLE, drawn_answer, paged

# The text before the break and the text after it. A page has 60 characters.
BREAKS = {
    "a heading before a paragraph": (
        "One paragraph is here, of some words.\n\n",
        "## A heading\n\nA paragraph.\n\nAnother, with words that are too many.",
    ),
    "a paragraph before a list item": (
        "- one\n- two is an item of this list\n\n",
        "A paragraph:\n- three\n- four is long enough to be over the page",
    ),
    "a list item before a line": (
        "- one, that is the first item here\n",
        "- two begins here\n  and goes on in a line\n  and another",
    ),
    "a line before a sentence": (
        "A line that is the first of the paragraph\n",
        "and another. It goes on. It goes on. It ends.",
    ),
    "a sentence before a word": (
        "This is a sentence of words, and it ends here. ",
        "This one is cut off at the limit of the page.",
    ),
    "a full stop in Chinese": ("他们说的话很长。" * 7, "他们说的话很长。" * 3),
    "a word": (
        "one two three four five six seven eight nine ten eleven ",
        "twelve thirteen fourteen",
    ),
    "a grapheme": ("x" * 60, "x" * 20),
    "a family is one grapheme": ("x" * 54, FAMILY * 5),
    "a letter with its accents is one grapheme": ("x" * 59, ACCENTED * 5),
    "a flag is one grapheme": ("x" * 59, "🇩🇪🇫🇷🇯🇵"),
    "a space with an accent is no page break": ("x" * 45 + " ", "y" * 10 + " \u0301" + "z" * 40),
    "no page ends with a heading": (
        "A paragraph of some words is here.\n\n",
        "### Heading\n\nAnd its paragraph is here, and goes on and on.",
    ),
    "code stays whole where it fits on the next page": (
        "This says what the code does, in words:\n\n",
        "```py\nfirst = 1\nsecond = 2\nthird = 3\n```\n",
    ),
    "a comment in code is no heading": (
        "```sh\nfirst line of it\nthe second line\nthe third one\n",
        "# a comment\nthe fourth line is longer\n```\n",
    ),
}


@pytest.mark.parametrize(("first", "rest"), BREAKS.values(), ids=BREAKS)
def test_page_ends_at_the_best_page_break(first: str, rest: str) -> None:
    assert paged(first + rest, 60)[0].source == first


# The source, and the second page. A page has 80 characters.
OPENED = {
    "a fence under its info string": (
        "Code:\n\n```python title=a\n" + "".join(f"line({n})\n" for n in range(10)) + "```\nDone.",
        "```python title=a\nline(6)\nline(7)\nline(8)\nline(9)\n```\nDone.",
    ),
    "a fence of tildes": (
        "~~~~sh\n" + "".join(f"echo {n}{n}{n}\n" for n in range(12)) + "~~~~",
        "~~~~sh\necho 888\necho 999\necho 101010\necho 111111\n~~~~",
    ),
    "a table with its header": (
        "| A | B |\n|---|:-:|\n" + "".join(f"| a{n} |  |\n" for n in range(1, 9)),
        "| A | B |\n|---|:-:|\n| a6 |  |\n| a7 |  |\n| a8 |  |\n",
    ),
    "a list with its own numbers": (
        "".join(f"{n}. number {n} is here\n" for n in range(1, 7)),
        "4. number 4 is here\n5. number 5 is here\n6. number 6 is here\n",
    ),
    "a list of ones keeps counting": (
        "".join(f"1. number {n} is here\n" for n in range(1, 7)),
        "4. number 4 is here\n1. number 5 is here\n1. number 6 is here\n",
    ),
    "an item that is cut goes on under its number": (
        "1. short\n2. " + "long words " * 9 + "\n3. short",
        "2. long words long words long words \n3. short",
    ),
    "a nested list in its item": (
        "1. first\n   - " + "a" * 30 + "\n   - " + "b" * 30 + "\n   - c\n2. second",
        "1.\n   - " + "b" * 30 + "\n   - c\n2. second",
    ),
    "a nested list of ones that is cut within a line": (
        "2. outer\n\n   9. a\n   1. " + "long words " * 7 + "\n   1. b",
        "2.\n   9.\n   1. long words long words \n   1. b",
    ),
    "code in a list": (
        "7. Do this:\n\n   ```sh\n" + "".join(f"   step {n}{n}{n}\n" for n in range(8)) + "   ```\n8. Done.",
        "7.\n   ```sh\n   step 444\n   step 555\n   step 666\n   step 777\n   ```\n8. Done.",
    ),
    "code in a quote": (
        "> As they say:\n>\n> ```sh\n" + "".join(f"> step {n}{n}{n}\n" for n in range(8)) + "> ```\nDone.",
        "> ```sh\n> step 444\n> step 555\n> step 666\n> step 777\n> ```\nDone.",
    ),
    "a list in a quote": (
        "".join(f"> 1. number {n} is here\n" for n in range(1, 7)),
        "> 4. number 4 is here\n> 1. number 5 is here\n> 1. number 6 is here\n",
    ),
    "a quote that is cut": (
        "> " + "long words " * 9 + "\n> so they say",
        "> long words long words \n> so they say",
    ),
}


@pytest.mark.parametrize(("text", "second"), OPENED.values(), ids=OPENED)
def test_page_opens_again_the_blocks_that_it_continues(text: str, second: str) -> None:
    pages = paged(text, 80)
    assert pages[1].markdown == second
    assert "".join(page.source for page in pages) == text


def test_opening_that_would_fill_a_page_is_left_out() -> None:
    header = "| " + "head " * 20 + "|\n|---|\n"
    pages = paged(header + "| row of words |\n" * 30, 200)
    assert not any(page.opening.lines for page in pages)


def test_trailing_white_space_begins_no_page() -> None:
    assert len(paged("word " * 12 + " " * 30, 60)) == 1


TEXTS = MARKDOWN | st.text(max_size=300) | st.text("ab `~|-1.\n#>\u0301\u200d🇩👩", max_size=300)


@given(TEXTS, st.integers(20, 120), st.integers(1, 40))
@example("# Heading\n# Heading\n```py\n| a | b |\n***", 24, 1)
def test_pages_fit_and_join_to_the_text_for_any_deltas(text: str, limit: int, step: int) -> None:
    pages = paged(text, limit)
    assert "".join(page.source for page in pages) == text
    assert [text[page.start : page.end] for page in pages] == [page.source for page in pages]
    assert all(max_sent_chars(page.markdown.rstrip()) <= limit for page in pages)
    assert paged(text, limit, step) == pages


@given(TEXTS, st.integers(30, 120))
def test_page_break_cuts_no_grapheme(text: str, limit: int) -> None:
    begins, at = {0}, 0
    for grapheme in regex.findall(r"\X", text):
        if max_sent_chars(grapheme) > limit // 2:
            return
        at += len(grapheme)
        begins.add(at)
    at = 0
    for page in paged(text, limit):
        assert at in begins
        at += len(page.source)


def test_full_pages_never_change() -> None:
    pages = Pages(100)
    before: list[Page] = []
    for word in ("word " * 200).split(" "):
        pages.append(word + " ")
        assert pages.full_pages[: len(before)] == before
        before = list(pages.full_pages)


@pytest.mark.parametrize("character", ["x", "漢", "👩", "<", "&", "\ud800"])
def test_page_is_within_the_limits_of_characters_and_bytes(character: str) -> None:
    for page in paged(character * 30_000, PAGE_CHARS)[:-1]:
        assert max_sent_chars(page.markdown) <= PAGE_CHARS
        assert len(page.markdown.encode("utf-8", "surrogatepass")) <= PAGE_BYTES
        assert len(page.source) > 2_000


@pytest.mark.parametrize("piece", [*map(chr, range(128)), "漢", "👩", "](", "][", "<http://", "![", "```\n"])
def test_no_character_is_sent_as_more_than_most_sent(piece: str) -> None:
    assert max_sent_chars(piece) <= MAX_SENT * len(piece)
    assert max_sent_chars(piece) - len(piece) + len(piece.encode()) <= MAX_SENT * len(piece)


def bytes_of_pages(deltas: Iterable[str]) -> int:
    """Returns the memory used by the pages of these deltas, which nothing else keeps in memory."""
    tracemalloc.start()
    pages = Pages(max_full_pages=1)
    for delta in deltas:
        pages.append(delta)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held


def test_text_behind_the_pages_takes_no_more_memory_word_by_word_than_at_once() -> None:
    at_once = bytes_of_pages("".join(words) for words in [(f"w{number} " for number in range(20_000))])
    assert bytes_of_pages(f"w{number} " for number in range(20_000)) < 1.5 * at_once


PARSER = MarkdownIt("commonmark").enable("table")


class Author:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._words = 0

    def text(self) -> str:
        return "".join(self._block(0, "") for _ in range(self._random.randint(10, 30)))

    def _block(self, depth: int, pad: str) -> str:
        kinds = [self._paragraph, self._code, self._table]
        if depth < 3 and self._random.random() < 0.5:
            return self._list(depth, pad)
        return "\n".join(pad + line for line in self._random.choice(kinds)().split("\n")) + "\n\n"

    def _sentence(self, most: int) -> str:
        first, self._words = self._words, self._words + self._random.randint(1, most)
        return " ".join(f"w{number}" for number in range(first, self._words))

    def _paragraph(self) -> str:
        return "\n".join(self._sentence(12) for _ in range(self._random.randint(1, 3)))

    def _code(self) -> str:
        lines = [self._random.choice(["", "    "]) + self._sentence(4) for _ in range(self._random.randint(1, 9))]
        return "\n".join(["```" + self._random.choice(["", "py", "sh title=x"]), *lines, "```"])

    def _table(self) -> str:
        rows = [f"| {self._sentence(1)} | {self._sentence(1)} |" for _ in range(self._random.randint(2, 9))]
        return "\n".join([rows[0], "|---|---|", *rows[1:]])

    def _list(self, depth: int, pad: str) -> str:
        first, step = self._random.choice([(1, 1), (8, 1), (1, 0), (0, 0)])
        out = ""
        for number in range(self._random.randint(1, 5)):
            marker = f"{first + number * step}." if first else "-"
            out += f"{pad}{marker} {self._sentence(8)}\n"
            if self._random.random() < 0.5:
                out += "\n" + self._block(depth + 1, pad + " " * (len(marker) + 1))
        return out + ("" if out.endswith("\n\n") else "\n")


def words(source: str) -> dict[str, tuple[object, ...]]:
    """Returns each word's block type; for the first word of a list item, also the item's number and depth."""
    places: dict[str, tuple[object, ...]] = {}
    numbers: list[int | None] = []
    begins = False
    for token in PARSER.parse(source):
        match token.type:
            case "ordered_list_open":
                numbers.append(int(token.attrs.get("start", 1)) - 1)
            case "bullet_list_open":
                numbers.append(None)
            case "ordered_list_close" | "bullet_list_close":
                numbers.pop()
            case "list_item_open":
                last = numbers[-1]
                numbers[-1], begins = None if last is None else last + 1, True
            case "inline" | "fence" | "code_block":
                kind = "text" if token.type == "inline" else "code"
                content = token.content.split()
                places |= dict.fromkeys(content, (kind,))
                if content and begins:
                    places[content[0]] = (kind, *numbers)
                begins = False
    return places


@given(st.integers(0, 10**6), st.sampled_from([500, 800]))
def test_pages_show_each_word_as_the_whole_text_does(seed: int, limit: int) -> None:
    text = Author(seed).text()
    whole, pages = words(text), paged(text, limit)
    shown = [words(render_page(page.markdown, growing=False)) for page in pages]
    for page, places in zip(pages, shown, strict=True):
        first_word = page.source.split()[:1]
        differ = {word: (places[word], whole[word]) for word in places if places[word] != whole[word]}
        # A page can begin in the middle of an item, under the item's number.
        assert all(word in first_word or len(was) == 1 for word, (_, was) in differ.items()), differ
        assert all(now[0] == was[0] for now, was in differ.values()), differ
    assert set(whole) == set().union(*shown)


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_pages_do_not_depend_on_deltas(text: str) -> None:
    whole = paged(text, PAGE_CHARS)
    assert "".join(page.source for page in whole) == text
    for step in (1 if len(text) < 5_000 else 53, 1_000):
        assert paged(text, PAGE_CHARS, step) == whole


@given(st.integers(0, 10**6), st.sampled_from([17, 127, 700]))
def test_pages_of_any_answer_do_not_depend_on_deltas(seed: int, step: int) -> None:
    text = drawn_answer(seed)
    assert paged(text, PAGE_CHARS, step) == paged(text, PAGE_CHARS)


def test_page_ends_before_the_heading_of_a_second_table() -> None:
    text = f"Words.\n\n{TABLE}\nMore words.\n\n{HEADING}\nOf this:\n\n{TABLE}"
    first, second = paged(text, PAGE_CHARS)
    assert second.source.startswith(HEADING)
    assert first.source.endswith("More words.\n\n")


@pytest.mark.parametrize(
    "written", ["snake_case 和 2*3*4", "`这**不是**粗体`", "```\n这**不是**粗体\n```", "没有**关闭"]
)
def test_text_without_emphasis_stays_unchanged(written: str) -> None:
    assert HAIR_SPACE not in render_page(written, growing=False)


def test_lines_are_counted_once() -> None:
    """Counting a growing page costs as much as counting its new lines."""
    reads = []

    class Counted(Extent):
        def _count_line(self, line: object) -> None:
            reads.append(line)
            super()._count_line(line)  # type: ignore[arg-type]

    pages = Pages()
    pages._extent = Counted()
    for number in range(400):
        pages.append(f"line {number}\n")
    assert len(reads) == 400
