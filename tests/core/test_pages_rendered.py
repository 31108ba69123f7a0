"""Pages that are rendered one by one show each word as the whole text does: in code, or in an item of its number."""

import random

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.core.reply.markdown.render import rendered
from tests.core.markdown_texts import paged

MARKDOWN = MarkdownIt("commonmark").enable("table")


class Author:
    """Writes Markdown with blocks in nested lists, in which each word occurs once."""

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
    """Returns each word's kind of block; for the first word of a list item, also the item's number and depth."""
    places: dict[str, tuple[object, ...]] = {}
    numbers: list[int | None] = []
    begins = False
    for token in MARKDOWN.parse(source):
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
    shown = [words(rendered(page.markdown, growing=False)) for page in pages]
    for page, places in zip(pages, shown, strict=True):
        first_word = page.source.split()[:1]
        differ = {word: (places[word], whole[word]) for word in places if places[word] != whole[word]}
        # A page may begin in the middle of an item, under the item's number.
        assert all(word in first_word or len(was) == 1 for word, (_, was) in differ.items()), differ
        assert all(now[0] == was[0] for now, was in differ.values()), differ
    assert set(whole) == set().union(*shown)
