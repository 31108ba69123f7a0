"""Markdown texts for Hypothesis, and their pages."""

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
    return [*pages.full, pages.growing]


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
