"""Messages as HTML: the rendering of each block, and the escaping of everything else."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slack_sandbox.page.render import Renderer
from slack_sandbox.text.composer import compose
from slack_sandbox.workspace import Json, Message

RENDERER = Renderer(lambda: {"U0ADA": "ada", "C0GENERAL": "general", "D0ADA": "dm-ada"})
ADA = '<span class="mention" data-user="U0ADA">@ada</span>'


def typed(text: str) -> Json:
    """Returns the block for typed text."""
    _, (block,) = compose(text, lambda name: None)
    return block


def render_block(block: Json) -> str:
    return RENDERER.html(Message("C0GENERAL", "1.000000", "U0BOT", "", (block,)))


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*bold* _it_ ~gone~ `x < y`", "<strong>bold</strong> <em>it</em> <s>gone</s> <code>x &lt; y</code>"),
        ("2 * 3 * 4 and snake_case_name", "2 * 3 * 4 and snake_case_name"),
        ("one\ntwo", "one<br>two"),
        ("```\na *b*\n```", "<pre><code>a *b*</code></pre>"),
        ("so\n```\na\n```\nor b", "so<pre><code>a</code></pre>or b"),
        (
            "<@U0ADA> in <#C0GENERAL>",
            f'{ADA} in <a class="mention" href="/?channel=C0GENERAL" data-in="C0GENERAL">#general</a>',
        ),
        ("<!channel>", '<span class="mention">@channel</span>'),
        ("&lt;@U0ADA&gt; &amp;amp;", "&lt;@U0ADA&gt; &amp;amp;"),
        (
            "<https://a.example/?q=1&amp;r=2|here>",
            '<a href="https://a.example/?q=1&amp;r=2" target="_blank" rel="noopener noreferrer">here</a>',
        ),
        ("<javascript:alert(1)|here>", "here"),
        ("<img src=x onerror=alert(1)>", "img src=x onerror=alert(1)"),
    ],
)
def test_mrkdwn_is_rendered_as_html(text: str, html: str) -> None:
    assert RENDERER.mrkdwn(text) == html


@pytest.mark.parametrize(
    ("block", "html"),
    [
        ({"type": "section", "text": {"type": "mrkdwn", "text": "*a* <"}}, "<p><strong>a</strong> &lt;</p>"),
        ({"type": "section", "text": {"type": "plain_text", "text": "*a*"}}, "<p>*a*</p>"),
        ({"type": "section", "expand": True, "text": {"type": "plain_text", "text": "a" * 451}}, f"<p>{'a' * 451}</p>"),
        ({"type": "header", "text": {"type": "plain_text", "text": "Top"}}, "<h3>Top</h3>"),
        ({"type": "divider"}, "<hr>"),
        (
            {"type": "task_card", "task_id": "a", "title": "Look <up>", "status": "complete"},
            '<div class="context">✓ Look &lt;up&gt;</div>',
        ),
        (
            {"type": "plan", "title": "Find", "tasks": [{"type": "task_card", "title": "a", "status": "error"}]},
            '<div class="plan"><strong>Find</strong><div class="context">⚠ a</div></div>',
        ),
        (
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "by <@U0ADA>"}]},
            f'<div class="context">by {ADA}</div>',
        ),
        (
            {"type": "actions", "elements": [{"type": "button", "text": {"type": "plain_text", "text": "<Go>"}}]},
            '<div class="actions actions"><button type="button" class="button " data-block="" data-action="">'
            "&lt;Go&gt;</button></div>",
        ),
        ({"type": "rich_text", "elements": [{"elements": [{"type": "user", "user_id": "U0ADA"}]}]}, f"<p>{ADA}</p>"),
        (
            typed("so\n- a\n  3. b\n> c\n```\nd\n```"),
            '<p>so</p><ul class="indent-0"><li>a</li></ul><ol class="indent-1" start="3"><li>b</li></ol>'
            '<blockquote>c</blockquote><figure class="code"><pre tabindex="0"><code>d</code></pre></figure>',
        ),
        ({"type": "video"}, '<div class="context">[video]</div>'),
    ],
)
def test_block_is_rendered_as_html(block: Json, html: str) -> None:
    assert render_block(block) == html


class Tags(HTMLParser):
    """Collects tags, attributes and links."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes.update(name for name, _ in attrs)
        self.links.extend(value or "" for name, value in attrs if name == "href")


PIECES = st.sampled_from(
    ["<", ">", "|", "&", '"', "'", "`", "```", "*", "_", "\n", "@U0ADA", "!x", "#", "javascript:", "https://a", "a b"]
)


@given(st.lists(PIECES, max_size=20).map("".join))
def test_text_never_becomes_other_markup(text: str) -> None:
    tags = Tags()
    tags.feed(RENDERER.mrkdwn(text))
    assert tags.names <= {"strong", "em", "s", "code", "pre", "br", "span", "a"}
    assert tags.attributes <= {"class", "data-user", "data-in", "href", "target", "rel"}
    assert all(link.startswith(("https:", "/?channel=")) for link in tags.links)


ATTACHED = [
    (
        {"is_share": True, "author_name": "Ada", "text": "Ship *it*?\nnow", "channel_id": "C0GENERAL"},
        '<div class="author">Ada</div><div class="said">Ship <strong>it</strong>?<br>now</div>'
        '<div class="context">Posted in <a class="mention" href="/?channel=C0GENERAL" data-in="C0GENERAL">#general</a>'
        "</div>",
    ),
    (
        {"title": "Log", "title_link": "https://a.example", "text": "1 &lt; 2", "fallback": "a log"},
        '<div class="title"><a href="https://a.example" target="_blank" rel="noopener noreferrer">Log</a></div>'
        '<div class="said">1 &lt; 2</div>',
    ),
    ({"fields": [{"title": "Free", "value": "0 %"}]}, '<div class="said"><strong>Free</strong><br>0 %</div>'),
    ({"blocks": [{"type": "header", "text": {"type": "plain_text", "text": "Red"}}]}, "<h3>Red</h3>"),
    ({"fallback": "&lt;script&gt;x"}, '<div class="said">&lt;script&gt;x</div>'),
]


@pytest.mark.parametrize(("attachment", "html"), ATTACHED)
def test_attachment_is_rendered_below_the_message(attachment: Json, html: str) -> None:
    message = Message("C0GENERAL", "1.000000", "U0ADA", "see", attachments=(attachment,))
    assert RENDERER.html(message) == f'see<div class="attachment">{html}</div>'


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({}, ["general", "dm-ada"]),
        ({"filter": {"include": ["public", "private"]}}, ["general"]),
        ({"filter": {"include": ["im"]}}, ["dm-ada"]),
        ({"filter": {"exclude_bot_users": True}}, ["general", "dm-ada"]),
    ],
)
def test_filter_says_which_conversations_a_menu_lists(more: Json, names: list[str]) -> None:
    menu = {"type": "conversations_select", "action_id": "where", **more}
    html = render_block({"type": "actions", "elements": [menu]})
    assert [name for name in ("general", "dm-ada", "ada") if f">{name}</option>" in html] == names


BARS: Json = {
    "type": "data_visualization",
    "title": "Used <per> day",
    "chart": {
        "type": "bar",
        "series": [{"name": "Tokens", "data": [{"label": "Nov 9", "value": 1_234}, {"label": "Nov 10", "value": 617}]}],
        "axis_config": {"categories": ["Nov 9", "Nov 10", "Nov 11"]},
    },
}


def test_bar_chart_is_a_table_with_a_bar_for_each_number() -> None:
    html = render_block(BARS)
    assert "<caption>Used &lt;per&gt; day</caption>" in html
    assert re.findall(r'row">([^<]*)</th>.*?width="([^"]*)".*?</svg>([^<]*)</td>', html) == [
        ("Nov 9", "100.0", "1,234"),
        ("Nov 10", "50.0", "617"),
        ("Nov 11", "0.0", "0"),
    ]


def test_other_charts_are_tables_of_their_numbers() -> None:
    pie = {**BARS, "chart": {"type": "pie", "segments": [{"label": "A", "value": 2.5}]}}
    assert '<th scope="row">A</th><td>2.5</td>' in render_block(pie)
    line = render_block({**BARS, "chart": {**BARS["chart"], "type": "line"}})
    assert '<th scope="row">Nov 10</th><td>617</td>' in line
    assert "<svg" not in line
