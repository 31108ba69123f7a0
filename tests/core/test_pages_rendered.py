"""Pages rendered one by one show each word as the whole would: code as code, and items with their numbers."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bot.core.reply.markdown.render import rendered
from tests.core.test_pages import paged

MARKDOWN = MarkdownIt("commonmark").enable("table")


class Author:
    """Writes Markdown of blocks in lists in lists; each word of it is there once."""

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

    def _said(self, most: int) -> str:
        first, self._words = self._words, self._words + self._random.randint(1, most)
        return " ".join(f"w{number}" for number in range(first, self._words))

    def _paragraph(self) -> str:
        return "\n".join(self._said(12) for _ in range(self._random.randint(1, 3)))

    def _code(self) -> str:
        lines = [self._random.choice(["", "    "]) + self._said(4) for _ in range(self._random.randint(1, 9))]
        return "\n".join(["```" + self._random.choice(["", "py", "sh title=x"]), *lines, "```"])

    def _table(self) -> str:
        rows = [f"| {self._said(1)} | {self._said(1)} |" for _ in range(self._random.randint(2, 9))]
        return "\n".join([rows[0], "|---|---|", *rows[1:]])

    def _list(self, depth: int, pad: str) -> str:
        first, step = self._random.choice([(1, 1), (8, 1), (1, 0), (0, 0)])
        out = ""
        for number in range(self._random.randint(1, 5)):
            marker = f"{first + number * step}." if first else "-"
            out += f"{pad}{marker} {self._said(8)}\n"
            if self._random.random() < 0.5:
                out += "\n" + self._block(depth + 1, pad + " " * (len(marker) + 1))
        return out + ("" if out.endswith("\n\n") else "\n")


def words(source: str) -> dict[str, tuple[object, ...]]:
    """What each word is part of; the first of an item also with the item's number and depth."""
    found: dict[str, tuple[object, ...]] = {}
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
                said = token.content.split()
                found |= dict.fromkeys(said, (kind,))
                if said and begins:
                    found[said[0]] = (kind, *numbers)
                begins = False
    return found


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([500, 800]))
def test_pages_show_each_word_as_the_whole_text_does(seed: int, limit: int) -> None:
    text = Author(seed).text()
    whole, pages = words(text), paged(text, limit)
    read = [words(rendered(page.markdown, growing=False)) for page in pages]
    for page, found in zip(pages, read, strict=True):
        begun = page.source.split()[:1]
        differ = {word: (found[word], whole[word]) for word in found if found[word] != whole[word]}
        # The rest of an item's words may begin a page, under the item's number.
        assert all(word in begun or len(was) == 1 for word, (_, was) in differ.items()), differ
        assert all(now[0] == was[0] for now, was in differ.values()), differ
    assert set(whole) == set().union(*read)
