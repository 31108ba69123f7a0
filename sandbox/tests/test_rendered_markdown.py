"""Markdown on the page: its rendering, and protection against malicious content."""

import re
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slack_sandbox.blocks.stored import stored_markdown
from slack_sandbox.page.highlight import code_html
from slack_sandbox.page.render import Renderer

LINK = 'target="_blank" rel="noopener noreferrer"'
RENDERER = Renderer(lambda: {"U123": "ada", "C1": "general"})


def to_html(markdown: str) -> str:
    return RENDERER.blocks(stored_markdown(markdown))


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("**b** *i* ~~s~~ `c`", "<p><strong>b</strong> <em>i</em> <s>s</s> <code>c</code></p>"),
        ("one\ntwo", "<p>one<br>two</p>"),
        ("[a](https://a.b)", f'<p><a href="https://a.b" {LINK}>a</a></p>'),
        ("see https://a.b/c.", f'<p>see <a href="https://a.b/c" {LINK}>https://a.b/c</a>.</p>'),
        ("![chart](https://a.b/c.png)", f'<p><a href="https://a.b/c.png" {LINK}>chart</a></p>'),
        (
            "```klingon\nx < 1\n```",
            '<figure class="code"><figcaption>klingon</figcaption>'
            '<pre tabindex="0"><code>x &lt; 1</code></pre></figure>',
        ),
        (
            "```python\nx < 1\n```",
            '<figure class="code"><figcaption>python</figcaption><pre tabindex="0">'
            '<code>x &lt; <span class="code-number">1</span></code></pre></figure>',
        ),
        ("- [x] did\n- [ ] will", '<ul class="indent-0"><li>☑ did</li><li>☐ will</li></ul>'),
    ],
)
def test_markdown_is_rendered_as_html(markdown: str, html: str) -> None:
    assert to_html(markdown) == html


def test_table_is_aligned_without_style_attributes() -> None:
    html = to_html("|a|b|\n|:-|-:|\n|1|2|")
    assert '<th class="left">a</th>' in html
    assert '<td class="right">2</td>' in html


DATE = 'data-at="1392734382" data-format="{date_num}"'


@pytest.mark.parametrize(
    ("sent", "html"),
    [
        ("<!channel>", '<span class="mention">@channel</span>'),
        ("<!subteam^S1|@team>", '<span class="mention">@group</span>'),
        ("<@U123>", '<span class="mention" data-user="U123">@ada</span>'),
        ("<#C1|general>", '<a class="mention" href="/?channel=C1" data-in="C1">#general</a>'),
        ("<!date^1392734382^{date_num}|Feb 18>", f'<span class="date" {DATE}>Feb 18</span>'),
        ("<https://evil.example|a bank>", f'<a href="https://evil.example" {LINK}>a bank</a>'),
    ],
)
def test_unescaped_control_sequence_is_rendered_as_a_mention_link_or_date(sent: str, html: str) -> None:
    assert to_html(sent) == f"<p>{html}</p>"


@pytest.mark.parametrize(
    ("sent", "html"),
    [
        ("&lt;!channel&gt; &lt;@U123&gt;", "<p>&lt;!channel&gt; &lt;@U123&gt;</p>"),
        ("`a &lt; b`", "<p><code>a &amp;lt; b</code></p>"),
        ("a &lt; b", "<p>a &lt; b</p>"),
        ("&lt;!date^1^{date}|x> &lt;#C1>", "<p>&lt;!date^1^{date}|x&gt; &lt;#C1&gt;</p>"),
        ("&amp;lt;!here&amp;gt;", "<p>&amp;lt;!here&amp;gt;</p>"),
    ],
)
def test_escaped_control_sequence_is_text(sent: str, html: str) -> None:
    assert to_html(sent) == html


class Inspector(HTMLParser):
    """Collects all tags and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(attrs)


HARMLESS = re.compile(
    r"p|br|strong|em|s|code|a|span|pre|figure|figcaption|blockquote|hr|ul|ol|li|h[1-6]|div"
    r"|table|thead|tbody|tr|th|td"
)
ATTRIBUTES = {"href", "title", "rel", "target", "class", "role", "aria-label", "tabindex", "start"}


def assert_harmless(html: str) -> None:
    inspector = Inspector()
    inspector.feed(html)
    assert all(HARMLESS.fullmatch(tag) for tag in inspector.tags)
    for name, value in inspector.attributes:
        assert name in ATTRIBUTES or name.startswith("data-")
        if name == "href":
            assert str(value).lower().startswith(("http://", "https://", "mailto:"))


@pytest.mark.parametrize(
    "attack",
    [
        "<script>alert(1)</script>",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        '<img src=x onerror="alert(1)">',
        "[x](javascript:alert(1)) [y](JaVaScRiPt:alert(1)) [z](&#106;avascript:alert(1))",
        "![x](data:image/svg+xml;base64,AAAA)",
        "<javascript:alert(1)>",
        '[x](https://a.b "onmouseover=alert(1)")',
        '```"><script>alert(1)</script>\n```',
        '<@U1"onclick="alert(1)>',
        "[x]() ![x]() [x](<>)",
        "[x](//evil.example) [y](file:///etc/passwd)",
    ],
)
def test_malicious_markdown_is_rendered_harmless(attack: str) -> None:
    assert_harmless(to_html(attack))


PIECES = st.sampled_from(
    ["<", ">", "&lt;", "&gt;", "&amp;", "[x](", "![", "](", ")", "|", "|-|\n", "`", "```", "\n", "- [ ] ", "**"]
) | st.sampled_from(["javascript:", "https://a.b", "<@U1>", "<!here>", '"', "'", " ", "a", "onerror=", "\ue000"])


@given(st.lists(PIECES, max_size=30).map("".join))
def test_any_markdown_is_rendered_harmless(markdown: str) -> None:
    assert_harmless(to_html(markdown))


LANGUAGES = st.sampled_from(["python", "js", "rust", "json", "bash", "html", "diff", "sql", "nothing", ""])


@given(st.lists(PIECES | st.text(max_size=5), max_size=20).map("".join), LANGUAGES)
def test_highlighting_preserves_the_code(code: str, language: str) -> None:
    html = code_html(code, language)
    assert_harmless(html)
    assert unescape(re.sub("<[^>]*>", "", html)) == code
