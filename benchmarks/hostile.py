"""Measures that no text makes a function over text from outside take more than linear time.

Each shape is a text that repeats something hostile. Each function gets it in two sizes, one twice the other; a ratio of
their times above `MAX_RATIO` is a failure. Times below `SHORTEST_MS` aren't judged: they are noise, and nobody waits.
Run: python -m benchmarks.hostile (some minutes). It prints the worst rows, and exits with 1 if one fails.
"""

import gc
import math
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from bot.core.inbound import mentions
from bot.core.job import EndReason
from bot.core.reply import attachments, preview, resuming
from bot.core.reply.joins import TextEnd
from bot.core.reply.markdown import inline_parser, render
from bot.core.reply.markdown.escaping import mrkdwn, unlinked
from bot.core.reply.markdown.extent import Extent, has_paragraph
from bot.core.reply.markdown.links import bare_url, is_deceptive
from bot.core.reply.markdown.stable import stable_prefix
from bot.core.reply.pages import Pages
from bot.slack.format import message_text
from bot.slack.format.mrkdwn import labels

CHARS = 5_900
"""The smaller size. Twice as much is a full page."""
MAX_RATIO = 2.6
SHORTEST_MS = 3.0
REPEATS = 3
WORST_ROWS = 25

# What is repeated, by what it is. A pair is repeated inside out: openers, then closers. A triple has a first and a last
# part that come once.
SHAPES: dict[str, str | tuple[str, str] | tuple[str, str, str]] = {
    "words": "word ",
    "one word": "a",
    "one word, then punctuation": ("", "a", "1!é"),
    "capitals": "A",
    "underscores in a word": "a_",
    "digits": "7",
    "spaces": " ",
    "spaces in a line": ("a", " ", "b"),
    "tabs": "\t",
    "line breaks": "\n",
    "blank lines with spaces": " \n",
    "carriage returns": "\r",
    "dots": ".",
    "dots and letters": "a.",
    "hosts": "bank.com ",
    "one long host": ("[", "a.", "com](https://evil.example)"),
    "signs of addresses": "a@",
    "slashes": "/",
    "schemes": "a+",
    "URLs": "https://a.example/",
    "URLs in bold": "**https://a.example** ",
    "letters that NFKC makes longer": "㏂",
    "the longest letter of NFKC": "\ufdfa",
    "labels that NFKC makes longer": "[" + "㏂" * 150 + "](https://evil.example) ",
    "combining marks": "a" + "\u0301" * 20,
    "one letter with marks": ("a", "\u0301", ""),
    "right-to-left marks": "\u202ea\u202d",
    "invisible letters": "\u200b\u2060",
    "surrogates": "\ud83d",
    "emoji with joiners": "👩\u200d",
    "CJK": "世",
    "bold CJK": "世**界**",
    "open CJK emphasis": "世*界 ",
    "asterisks": "*",
    "open emphasis": "*a ",
    "open bold": "**a ",
    "emphasis that closes nothing": "a* ",
    "emphasis of all kinds": "*a _b ~~c ",
    "emphasis that might close": "*a_b*",
    "nested emphasis": ("*a ", " b*"),
    "runs of other lengths": "* ** *** **** ",
    "underscores": "_",
    "tildes": "~",
    "backticks": "`",
    "open code spans": "` `` ``` ",
    "code spans": "`a` ",
    "code spans of all lengths": " ".join("`" * n for n in range(1, 150)),
    "brackets": "[",
    "closing brackets": "]",
    "nested brackets": ("[", "]"),
    "nested links": ("[", "](a)"),
    "open links": "[a](",
    "open pointed links": "[a](<",
    "open titles": '[a](b "',
    "titles of all kinds": "[a](b \"' (",
    "open parentheses": ("[a]", "(", ""),
    "nested parentheses": ("[a](", "(a)", ")"),
    "links": "[a](b) ",
    "deceptive links": "[bank.com](https://evil.example) ",
    "images": "![",
    "nested images": ("![a", "](b)"),
    "images in links": "[![a](b)](c) ",
    "images behind exclamation marks": "!![a](b)",
    "exclamation marks": ("", "!", "[a](b)"),
    "backslashes": ("", "\\", "![a](b)"),
    "escaped brackets": "\\[",
    "definitions without an end": ("]:", "\\[", ""),
    "definitions": "[a]: b\n",
    "definitions of other labels": "".join(f"[{n}]: b{n}\n" for n in range(900)),
    "definitions and uses": ("[a]: <b>\n\n", "[a] ", ""),
    "uses in brackets": ("[a]: b\n\n", "[", "]"),
    "titles of definitions": '[a]: b "',
    "angle brackets": "<",
    "open autolinks": "<https://a",
    "autolinks": "<https://a.example> ",
    "mail addresses": "<a@b.example> ",
    "instructions": "<!channel> <@U1> ",
    "instructions in code": ("```\n", "<a:", "|\n"),
    "entities": "&amp;",
    "half entities": "&am",
    "ampersands": "&",
    "headings": "# a\n",
    "a heading with inner spaces": ("# a", " ", "#b"),
    "a heading with closing sequences": ("# ", "a # ", ""),
    "underlined headings": "a\n---\n",
    "thematic breaks": "---\n",
    "dashes": "-",
    "dashes in a line": "- ",
    "lists": "- a\n",
    "deep lists": "".join("  " * n + "- a\n" for n in range(60)),
    "lists in a line": "1. ",
    "numbers": "1.\n",
    "quotes": "> ",
    "lines of quotes": "> a\n",
    "lazy lines": ("> a\n", "b\n", ""),
    "deep quotes": ">" * 29 + " a\n",
    "tasks": "- [ ] a\n",
    "open fences": "```\n",
    "fences in lists": "- ```\n",
    "fences of all lengths": "".join("`" * n + "\n" for n in range(3, 100)),
    "one block of code": ("```\n", "code\n", ""),
    "indented code": "    a\n",
    "rows of pipes": "|\n",
    "rows without a delimiter": "| a | b |\n",
    "pipes": "|",
    "tables": "|a|\n|-|\n|b|\n\n",
    "one table": ("|a|b|\n|-|-|\n", "|c|d|\n", ""),
    "one wide table": ("|a" * 30 + "|\n" + "|-" * 30 + "|\n", "|c|d|\n", ""),
    "delimiter rows": "|-|\n",
    "one delimiter row": ("| a |\n", "|-", "x"),
    "mentions": "<@U123|ada> ",
    "half mentions": "<@U123|",
    "times": "<!date^1^{date}|x>",
    "text between fences": "a ``` b ",
    "sentence ends": "a. ",
    "sentence ends with brackets": (".", ")", "a"),
    "no-break spaces": "\u00a0",
    "line separators": "a\u2028",
}


def _paged(text: str) -> None:
    pages = Pages()
    for start in range(0, len(text), 300):
        pages.append(text[start : start + 300])
    pages.close()


FUNCTIONS: dict[str, Callable[[str], object]] = {
    "rendered": lambda text: render.rendered(text, growing=False),
    "rendered growing": lambda text: render.rendered(text, growing=True),
    "stable_prefix": stable_prefix,
    "inlines": lambda text: inline_parser.parse_inlines(text, {}, growing=False),
    "Pages": _paged,
    "Extent": lambda text: Extent().read(text),
    "has_paragraph": has_paragraph,
    "is_deceptive": lambda text: is_deceptive(text, "https://evil.example/"),
    "is_deceptive to": lambda text: is_deceptive("bank.com", text),
    "bare_url": bare_url,
    "TextEnd": lambda text: TextEnd(text).missing_before("The "),
    "last_word": lambda text: TextEnd(text).last_word,
    "continued": lambda text: resuming.continued(text, EndReason.LENGTH_LIMIT),
    "long_code": lambda text: attachments.long_code(text, "1.0"),
    "first_words": lambda text: preview.first_words(text, growing=True),
    "mrkdwn": mrkdwn,
    "unlinked": unlinked,
    "body_of": lambda text: message_text.body_of({"text": text}),
    "labels": labels,
    "with_names": lambda text: mentions.with_names(text, {}),
    "ids_to_name": mentions.ids_to_name,
    "without_address": lambda text: mentions.without_address(text, "U123"),
}


class Row(NamedTuple):
    """A function's times for one shape: in milliseconds of the larger size, and the ratio of both."""

    ratio: float
    larger_ms: float
    shape: str
    function: str

    @property
    def failed(self) -> bool:
        return self.ratio > MAX_RATIO and self.larger_ms > SHORTEST_MS


def text_of(shape: str, chars: int) -> str:
    """Returns a shape's text of about this many characters."""
    parts = SHAPES[shape]
    if isinstance(parts, str):
        return (parts * (chars // len(parts) + 1))[:chars]
    if len(parts) == 2:
        opener, closer = parts
        count = chars // len(opener + closer)
        return opener * count + closer * count
    first, repeated, last = parts
    return first + (repeated * (chars // len(repeated) + 1))[: chars - len(first + last)] + last


def milliseconds(function: Callable[[str], object], text: str) -> float:
    """Returns the shortest time that a function takes for a text."""
    best = math.inf
    for _ in range(REPEATS):
        for cached in vars(render).values():
            if hasattr(cached, "cache_clear"):
                cached.cache_clear()
        started = time.perf_counter()
        try:
            function(text)
        except RecursionError:
            return math.inf
        best = min(best, (time.perf_counter() - started) * 1e3)
        if best > 500 or best < SHORTEST_MS / 10:
            break
    return best


def measured(shape: str, function: str) -> Row:
    larger = milliseconds(FUNCTIONS[function], text_of(shape, 2 * CHARS))
    if larger <= SHORTEST_MS:
        return Row(0.0, larger, shape, function)
    return Row(larger / milliseconds(FUNCTIONS[function], text_of(shape, CHARS)), larger, shape, function)


def main() -> int:
    gc.disable()
    rows = [measured(shape, function) for function in FUNCTIONS for shape in SHAPES]
    failed = sorted((row for row in rows if row.failed), reverse=True)
    slow = sorted(rows, key=lambda row: -row.larger_ms)[:WORST_ROWS]
    print(f"{len(SHAPES)} shapes, {len(FUNCTIONS)} functions, {2 * CHARS:,} characters; {len(failed)} rows failed")
    for row in [*failed, *slow]:
        print(f"{row.larger_ms:9.1f} ms  x{row.ratio:4.1f}  {row.function:18} {row.shape}{'  FAILED' * row.failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
