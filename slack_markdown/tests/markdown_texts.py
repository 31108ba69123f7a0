"""Markdown texts for Hypothesis, and their pages."""

import random

from hypothesis import strategies as st

from slack_markdown.pages import Page, Pages

FAMILY = "👨‍👩‍👧‍👦"
ACCENTED = "e\u0301\u0323"


def paged(text: str, limit: int, step: int = 10**9) -> list[Page]:
    """Returns the pages of a text that arrives in deltas of `step` characters."""
    pages = Pages(limit)
    for start in range(0, len(text), step):
        pages.append(text[start : start + step])
    pages.finish()
    return [*pages.full_pages, pages.growing_page]


MARKDOWN = st.lists(
    st.sampled_from(
        [
            "# Heading\n", "\n", "\n\n", "word ", "A sentence. ", "- item\n", "1. item\n", "  - nested\n",
            "   1) deep\n", "```py\n", "```\n", "~~~\n", "> quote\n", "| a | b |\n", "|---|---|\n", "<!here>", "&lt;", "[a](http://b.c)",
            "***", "`", "\t", "\r\n", FAMILY, ACCENTED, "🇩🇪", "漢字。", "क्षि", "x" * 25,
        ]
    ),
    max_size=60,
).map("".join)  # fmt: skip


PIECES = [
    "`", "```", "*", "**", "_", "~~", "[", "](", "]", ")", "!", "<", ">", "&lt;", "&", "#", "\n", "\n\n", "\n- ",
    "\n1. ", "|", "\n|---|", "    ", "\t", "\\", "http://a.b", "<!channel>", "<@U1>", "<#C1|x>", "&#60;", "&amp;",
]  # fmt: skip
markdown_texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=40).map("".join)

ROW = "| a cell with some words | and *another* one |\n"
TABLE = f"| a | b |\n|---|---|\n{ROW * 3}"
HEADING = "## A heading of the answer\n"
LONG = {
    "headings": f"{HEADING}\nWords.\n\n" * 120,
    "headings alone": "# A\n" * 200,
    "headings that are underlined": "A heading\n===\n" * 120,
    "empty headings and words": "#\nwords\n" * 150,
    "headings, words and dividers": f"{HEADING}Words of it.\n\n---\n\n" * 60,
    "dividers": "words\n\n---\n\n" * 120,
    "headings among long paragraphs": f"{HEADING}\n{'word ' * 60}\n\n" * 60,
    "tables": f"{TABLE}\nWords.\n\n" * 4,
    "tables below headings": f"{HEADING}\n{TABLE}\n" * 4,
    "tables after each other": f"{TABLE}\n" * 4,
    "tables in a list": "".join(f"- item\n\n  | a | b |\n  |---|---|\n  | {n} | 2 |\n\n" for n in range(4)),
    "a table of many rows": f"| a | b |\n|---|---|\n{ROW * 350}",
    "a table of long rows": "| a | b |\n|---|---|\n" + f"| {'word ' * 120} | {'& ' * 40} |\n" * 60,
    "a table of one longest row": f"| a | b |\n|---|---|\n| {'word ' * 2_000} | b |\n| c | d |\n",
    "a table of many columns": "|a" * 30 + "|\n" + "|-" * 30 + "|\n" + ("|1" * 30 + "|\n") * 30,
    "a wide table in a quote": "> " + "|a" * 30 + "|\n> " + "|-" * 30 + "|\n> " + "|1" * 30 + "|\n",
    "a table without a final newline": f"{TABLE}\nWords.\n\n| a | b |\n|---|---|",
    "long headings": f"# {'word ' * 60}\nwords\n" * 30,
    "long headings that are underlined": f"{'word ' * 60}\n===\nwords\n" * 20,
    "long headings in a list": f"- # {'word ' * 60}\n  words\n" * 20,
    "less and more": "a < b > c & d > e\n" * 2_000,
    "code of arrows": "```\n" + "x -> y => z >>= w & v << 2\n" * 1_500 + "```\n",
    "code after code": "```py\nx = 1\n```\n" * 200,
    "code and words": "Do this:\n\n```sh\nls > x && cat < x\n```\n\n" * 120,
    "quotes": "> quoted words of somebody\n\nand mine\n\n" * 200,
    "CJK": "这是**粗体**和*斜体*，还有**重点**。\n" * 700,
    "bold": "**a** " * 5_000,
    "handles": "@here " * 3_000,
    "emoji": "👨‍👩‍👧‍👦 :wave: 👍🏽 " * 600,
}
"""Texts of several pages, keyed by the limit they reach."""


def drawn_answer(seed: int) -> str:
    """Returns a text with everything that Slack counts, in random order."""
    chance = random.Random(seed)
    pieces = [HEADING, "Words of it.\n\n", f"{'word ' * 50}\n\n", "---\n\n", f"{TABLE}\n", f"> {'q & a ' * 9}\n\n"]
    pieces += [
        "```py\nif a < b > c:\n    pass\n```\n\n",
        "- one\n- two\n  - three\n\n",
        "Title\n===\n",
        "这是**粗体**字。\n\n",
    ]
    pieces += [
        f"# {'long ' * 40}\n",
        ROW,
        "1. ## heading in a list\n\n   | a |\n   |---|\n\n",
        "[a]: https://a.example\n\n",
    ]
    return "".join(chance.choices(pieces, k=chance.randint(5, 150)))
