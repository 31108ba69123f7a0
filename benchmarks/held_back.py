"""Measures how many characters of a growing construct arrive without changing the displayed text.

    python -m benchmarks.held_back

Each construct is long, so that its end arrives late. With edits, Slack should show as much of the construct as
possible. A stream can only append, so text that might still change has to wait.
"""

import sys
from collections.abc import Callable

from slack_markdown.render import render_page, stable_prefix

TARGET_CHARS = 30
WORDS = "the quick brown fox jumps over a lazy dog and then it goes on with more words that nobody needs to read "
TERMS = r"a + b_1 \cdot c^2 - "
LINES = f"{TERMS}\n" * 30
CONSTRUCTS = {
    "a link's words": f"See [{WORDS * 2}](https://a.example) and so on.",
    "an image's words": f"See ![{WORDS}](https://a.example/a.png) and so on.",
    "bold words of a link": f"- **[{WORDS}](https://a.example)** and so on.",
    "words in brackets": f"He said [sic {WORDS * 3}",
    r"a formula in \( \)": rf"We have \({TERMS * 15}d\) and so on.",
    r"a formula in \[ \]": f"So:\n\n\\[\n{LINES}d\n\\]\n\nAnd so on.",
    "a formula in $$": f"So:\n\n$$\n{LINES}d\n$$\n\nAnd so on.",
    "an environment": f"So:\n\n\\begin{{align}}\n{LINES}\\end{{align}}\n\nAnd so on.",
    "bold words": f"It is **{WORDS * 2}** and so on.",
    "code": f"Run `{WORDS * 2}` and so on.",
    "a table's row": f"| a | b |\n|---|---|\n| {WORDS} | {WORDS} |\n",
    "a fence": f"```python\n{LINES}```\nAnd so on.",
}


def by_edits(text: str) -> str:
    """Returns what an edit shows of a text that grows."""
    return render_page(text, growing=True)


def longest_run(shown: Callable[[str], str], text: str) -> int:
    """Returns the most characters that come, one after the other, without a change of what is shown."""
    longest, since, last = 0, 0, ""
    for end in range(1, len(text) + 1):
        if (now := shown(text[:end]).strip()) != last:
            longest, since, last = max(longest, end - since), end, now
    return max(longest, len(text) - since)


def main() -> int:
    """Prints the table; returns 1 if an edit holds back more than the target."""
    print(f"{'characters without a change':30}{'by edits':>10}{'by streams':>12}")
    most = 0
    for name, text in CONSTRUCTS.items():
        edits, streams = longest_run(by_edits, text), longest_run(stable_prefix, text)
        most = max(most, edits)
        print(f"{name:30}{edits:>10}{streams:>12}")
    print(f"At most {most} by edits (target: {TARGET_CHARS}).")
    return int(most > TARGET_CHARS)


if __name__ == "__main__":
    sys.exit(main())
