"""The report of `typist replay`: what people and models wrote is text, and the page loads and runs nothing."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from bot.cli.replay_report import answer_values, labeled_totals, page, totals
from bot.core.usage import AnswerUsage, Thumb
from bot.errors import EndReason
from bot.store.replays import Given

HOSTILE = (
    "<script>document.title = 'run'</script>",
    '"><img src="https://tracker.example/x.png" onerror="document.title = \'run\'">',
    "</pre></section><style>body{display:none}</style><link rel=stylesheet href=https://tracker.example/x.css>",
    "<meta http-equiv=refresh content='0;url=https://tracker.example/'>",
    "{title} {0} {{}} &lt;b&gt; &amp;",
    "[a](javascript:alert(1)) \x1b[2J \u202egnp.exe \0",
)


def use(end: EndReason = EndReason.WHOLE, usd: float = 0.002, first_s: float | None = 0.5) -> AnswerUsage:
    return AnswerUsage(0.0, 0, "U1", "C1", "openai/<b>", end, 1_000, 200, usd, first_s)


def line(text: str = "Because.", now: Given | None = None, **known: Any) -> dict[str, Any]:
    given = Given(text, EndReason.WHOLE, 2.0, [use()])
    sides = {"then": answer_values(given), "now": answer_values(now or given)}
    about = {"job": 7, "asked": "2026-11-20T08:00:00.000000Z", "channel": "C1", "question": text, "thumbs_down": 0}
    return {**about, **sides, **known}


class Parts(HTMLParser):
    """What a page has: its tags, and the text of each block."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.blocks: list[str] = []
        self._in_block = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name == "href"]
        self._in_block = tag == "pre"
        if self._in_block:
            self.blocks.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_block = False

    def handle_data(self, data: str) -> None:
        if self._in_block:
            self.blocks[-1] += data


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_was_written_is_text(text: str) -> None:
    html = page(text, labeled_totals([line(text)], totals([use()])), [line(text, channel=text)], {text: text})
    parts = Parts(html)
    linked = line("Because https://a.example.")
    plain = Parts(page("", labeled_totals([linked], totals([use()])), [linked], {}))
    assert parts.tags <= plain.tags
    assert parts.attributes <= plain.attributes
    assert not parts.tags & {"script", "img", "link", "iframe", "form"}
    assert all(link.startswith("https://tracker.example/") for link in parts.links)
    [question] = parts.blocks
    assert question == text.replace("\x1b", "\ufffd").replace("\u202e", "\ufffd").replace("\0", "\ufffd")


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        (
            "| A | B |\n| - | - |\n| **1** | `x` |",
            "<table><tr><td>A</td><td>B</td></tr><tr><td><b>1</b></td><td><code>x</code></td></tr></table>",
        ),
        ("## How *to*\nRun **it**\nnow.", "<h3>How <i>to</i></h3><p> Run <b>it</b><br>now.</p>"),
        ("**a *b*** ~~c~~ 2 * 3 * 4 **d", "<p> <b>a <i>b</i></b> <s>c</s> 2 * 3 * 4 **d</p>"),
        ("`**x** <b>` \\*y\\* &amp; <b>", "<p> <code>**x** &lt;b&gt;</code> *y* &amp; &lt;b&gt;</p>"),
        ("- one\n  - two\n1. three", "<p>• one</p><p>&emsp;• two</p><p>1. three</p>"),
        ("```python\nx < 1\n```", '<pre dir="auto">x &lt; 1</pre>'),
        (
            "**[docs](https://example.com/?a=1&b=2)**",
            '<p> <b>docs (<a href="https://example.com/?a=1&amp;b=2" rel="noreferrer">'
            "https://example.com/?a=1&amp;b=2</a>)</b></p>",
        ),
        ("[docs](javascript:alert(1)) <ada@a.example>", "<p> docs (javascript:alert(1)) ada@a.example</p>"),
        ("> quoted", "<p>&gt; quoted</p>"),
        ("", ""),
    ],
    ids=["table", "heading", "emphasis", "inline code", "lists", "code", "link", "no link", "quote", "nothing"],
)
def test_answer_is_shown_as_its_markdown_says(markdown: str, html: str) -> None:
    given = Given(markdown, EndReason.WHOLE, 2.0, [use()])
    assert page("", [], [line(now=given)], {}).count(f'<div class="answer" dir="auto">{html}</div>') == 1


def test_what_differs_most_comes_first() -> None:
    refused = Given("", EndReason.REFUSED, None, [use(EndReason.REFUSED)])
    other = Given("It is so.", EndReason.WHOLE, 2.0, [use()], ("notes__list",) * 3)
    lines = [
        line(job=1),
        line(job=2, now=other),
        line(job=3, thumbs_down=1),
        line(job=4, now=refused),
        line(job=5, now=other, judge={"model": "openai/judge", "usd": 0.25, "verdict": "now"}),
        line(job=6, now=other, judge={"model": "openai/judge", "usd": 0.25, "verdict": "then"}),
        line(job=7, now=other, judge={"model": "openai/judge", "usd": 0.25, "verdict": "alike"}),
    ]
    lines[2]["link"] = "https://a.slack.com/archives/C1/p1"
    html = page("", [], lines, {}, ["A note."])
    assert [int(job) for job in re.findall(r"· job (\d) ", html)] == [4, 6, 3, 5, 2, 7, 1]
    assert [str(found) for found in re.findall('<section class="(.*?)"', html)] == [
        "",
        "tools",
        "down",
        *["tools"] * 3,
        "",
    ]
    assert html.count('<a href="https://a.slack.com/archives/C1/p1" rel="noreferrer">Open in Slack</a>') == 1
    assert re.findall("<h2>(.*?)</h2>", html) == [
        "Worse, or ended differently (2 of 7)",
        "Better, or disliked then (2 of 7)",
        "Different words (2 of 7)",
        "The same words (1 of 7)",
    ]
    assert html.count("· 3 tool calls<") == 4
    assert "<small>A note.</small>" in html


def test_sums_are_those_of_usage() -> None:
    failed = Given("", EndReason.REFUSED, None, [use(EndReason.REFUSED, usd=0.001, first_s=None)])
    slow = Given("word " * 20, EndReason.WHOLE, 9.0, [use(first_s=4.0)])
    lines = [line(), line("It is so.", failed), line(now=slow, then=answer_values(slow))]
    thumbs = [Thumb(0.0, "U1", "C1", None, -1)]
    # An answer of two attempts counts once in `answer_values`, and as in `typist usage` in the sums.
    uses = [use(), use(), use(EndReason.CUT)]
    assert labeled_totals(lines, totals(uses, thumbs)) == [
        ["", "then", "now"],
        ["answers", "2", "2"],
        ["failures", "1", "1"],
        ["refusals", "0", "1"],
        ["input tokens", "3,000", "3,000"],
        ["output tokens", "600", "600"],
        ["USD", "0.006000", "0.005000"],
        ["seconds to the first word (median)", "0.50", "2.25"],
        ["seconds in total (median)", "2.00", "5.50"],
        ["characters (median)", "9", "8"],
        ["👎", "1", ""],
    ]


@pytest.mark.parametrize(
    ("verdict", "said"),
    [("then", "then is better"), ("now", "now is better"), ("alike", "alike"), (None, "no verdict")],
)
def test_section_has_the_facts_of_its_question_and_of_both_answers(verdict: str | None, said: str) -> None:
    failed = Given("", EndReason.REFUSED, None, [use(EndReason.REFUSED, usd=0.001, first_s=None)])
    judge = {"model": "openai/judge", "usd": 0.25} | ({"verdict": verdict} if verdict else {})
    html = page("", [], [line(now=failed, judge=judge, thumbs_down=2)], {"C1": "#general"})
    used = "1,000 tokens in, 200 out"
    for words in (
        f"2026-11-20 08:00 UTC · #general · job 7 👎👎 · judge: {said}, $0.250000",
        f"then: openai/&lt;b&gt; · whole · $0.002000 · {used} · first word 0.50 s, all shown 2.00 s · 8 characters",
        f"now: openai/&lt;b&gt; · refused · $0.001000 · {used} · first word -, all written - · 0 characters",
    ):
        assert f"<small>{words}</small>" in html


def test_report_of_no_question_has_no_medians() -> None:
    assert labeled_totals([], totals([]))[-4:] == [
        ["seconds to the first word (median)", "-", "-"],
        ["seconds in total (median)", "-", "-"],
        ["characters (median)", "-", "-"],
        ["👎", "0", ""],
    ]
