"""Markdown to HTML, as Slack's `markdown` block renders it, made safe to insert into a page.

Slack unescapes `&lt;`, `&gt;` and `&amp;` in what an app sends before it reads the Markdown, also inside
code. A bare `<!channel>` or `<@U123>` is a live control sequence: it notifies people, whatever markup is
around it; a bare `<https://a.b|label>` is a link. The same characters sent escaped are only text.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererProtocol
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

from sandbox.highlight import code_html

_LIVE: Final = "\ue000"  # private use: marks the `<` of a control sequence that Slack would obey
_CONTROL: Final = re.compile(r"<(?=(?:@[UW]|#C|!|(?:https?://|mailto:)[^<>\n|]*\|)[^<>\n]*>)")
_ESCAPED: Final = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}
_SAFE_SCHEME: Final = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_BARE_URL: Final = re.compile(r"https?://[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]}*_]", re.IGNORECASE)
_TASK: Final = re.compile(r"\[([ xX])\] ")
_ALIGN: Final = re.compile(r"text-align:(left|center|right)")


def to_html(markdown: str) -> str:
    """Safe HTML for `markdown`, as an app sends it: no script, style attribute, image or foreign scheme.

    Mentions come out as `<span class="mention" data-user="U123">@U123</span>` (`data-channel` for channels,
    neither for groups), so that a page can put the name in.
    """
    live = _CONTROL.sub(f"<{_LIVE}", markdown.replace(_LIVE, ""))
    html: str = _MARKDOWN.render(re.sub(r"&(?:lt|gt|amp);", lambda found: _ESCAPED[found[0]], live))
    return html.replace(_LIVE, "").strip()


def _mention(state: StateInline, silent: bool) -> bool:
    """Inline rule: a `<` marked as live, up to its `>`, is a mention or a link with a label."""
    if not state.src.startswith(f"<{_LIVE}", state.pos):
        return False
    end = state.src.find(">", state.pos)
    if end < 0 or end >= state.posMax:
        return False
    if not silent:
        content = state.src[state.pos + 2 : end]
        if content[0] in "@#!":
            state.push("mention", "", 0).content = content
        else:
            _push_link(state, *content.split("|", 1))
    state.pos = end + 1
    return True


def _push_link(state: StateInline, address: str, label: str) -> None:
    state.push("link_open", "a", 1).attrs = {"href": _MARKDOWN.normalizeLink(address)}
    state.push("text", "", 0).content = label
    state.push("link_close", "a", -1)


def _render_mention(_renderer: RendererProtocol, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    target, _, label = tokens[index].content.partition("|")
    kind, name = target[0], target[1:].partition("^")
    if target.startswith("!date^"):
        return f'<span class="date">{escapeHtml(label)}</span>'
    if kind == "!":
        return f'<span class="mention">@{escapeHtml((label or name[2] or name[0]).lstrip("@"))}</span>'
    sign, data = ("#", "channel") if kind == "#" else ("@", "user")
    shown = escapeHtml(label or name[0])
    return f'<span class="mention" data-{data}="{escapeHtml(name[0])}">{sign}{shown}</span>'


def _mark_tasks(state: StateCore) -> None:
    """Core rule: a list item that begins with `[ ]` or `[x]` gets a box instead."""
    for item, _, inline in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        found = _TASK.match(inline.content)
        if item.type != "list_item_open" or inline.type != "inline" or not found or not inline.children:
            continue
        first = inline.children[0]
        if first.type != "text" or not first.content.startswith(found[0]):
            continue
        first.content = first.content[len(found[0]) :]
        item.attrJoin("class", "task")
        inline.children.insert(0, Token("task_box", "", 0, content="done" if found[1] in "xX" else "open"))


def _render_task_box(_renderer: RendererProtocol, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    state = tokens[index].content
    return f'<span class="box {state}" role="img" aria-label="{state}">{"☑" if state == "done" else "☐"}</span> '


def _link_bare_urls(state: StateCore) -> None:
    """Core rule: an address written out in text is a link, as in Slack."""
    for block in state.tokens:
        if block.type != "inline" or "://" not in block.content:
            continue
        depth, children = 0, []
        for token in block.children or []:
            depth += token.nesting if token.type.startswith("link_") else 0
            children += [token] if depth or token.type != "text" else _split_at_urls(token.content)
        block.children = children


def _split_at_urls(text: str) -> list[Token]:
    tokens, end = [], 0
    for found in _BARE_URL.finditer(text):
        tokens.append(Token("text", "", 0, content=text[end : found.start()]))
        tokens.append(Token("link_open", "a", 1, attrs={"href": _MARKDOWN.normalizeLink(found[0])}))
        tokens.append(Token("text", "", 0, content=found[0]))
        tokens.append(Token("link_close", "a", -1))
        end = found.end()
    return [*tokens, Token("text", "", 0, content=text[end:])]


def _link_open(address: str, more: str = "") -> str:
    # `[x]()` is a link to nowhere: without an address it is no link at all.
    href = f' href="{escapeHtml(address)}" rel="noopener noreferrer" target="_blank"' if address else ""
    return f"<a{more}{href}>"


def _render_link_open(
    _renderer: RendererProtocol, tokens: Sequence[Token], index: int, _options: Any, _env: Any
) -> str:
    title = tokens[index].attrs.get("title")
    return _link_open(str(tokens[index].attrs["href"]), f' title="{escapeHtml(str(title))}"' if title else "")


def _render_image(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """An image is a link to it: nothing is fetched because a model wrote an address."""
    token = tokens[index]
    address = str(token.attrs["src"])
    shown = renderer.renderInlineAsText(token.children or [], options, env) or address
    opening = _link_open(address, ' class="image"')
    return f"{opening}{escapeHtml(shown)}</a>"


def _render_fence(_renderer: RendererProtocol, tokens: Sequence[Token], index: int, _options: Any, _env: Any) -> str:
    language = tokens[index].info.strip().partition(" ")[0]
    label = f"<figcaption>{escapeHtml(language)}</figcaption>" if language else ""
    code = code_html(tokens[index].content, language)
    return f'<figure class="code">{label}<pre tabindex="0"><code>{code}</code></pre></figure>\n'


def _render_cell_open(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    """Alignment as a class: a strict content security policy allows no style attribute."""
    found = _ALIGN.fullmatch(str(tokens[index].attrs.pop("style", "")))
    if found:
        tokens[index].attrSet("class", found[1])
    rendered: str = renderer.renderToken(tokens, index, options, env)
    return rendered


def _render_table_open(*_: Any) -> str:
    return '<div class="table" tabindex="0"><table>\n'


def _render_table_close(*_: Any) -> str:
    return "</table></div>\n"


def _safe_link(url: str) -> bool:
    return _SAFE_SCHEME.match(url) is not None


_RENDERED: Final = {
    "mention": _render_mention,
    "task_box": _render_task_box,
    "link_open": _render_link_open,
    "image": _render_image,
    "fence": _render_fence,
    "code_block": _render_fence,
    "th_open": _render_cell_open,
    "td_open": _render_cell_open,
    "table_open": _render_table_open,
    "table_close": _render_table_close,
}


def _build() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"])
    markdown.validateLink = _safe_link  # type: ignore[method-assign]
    markdown.inline.ruler.before("autolink", "mention", _mention)
    markdown.core.ruler.push("task", _mark_tasks)
    markdown.core.ruler.push("bare_url", _link_bare_urls)
    for token_type, rule in _RENDERED.items():
        markdown.add_render_rule(token_type, rule)
    return markdown


_MARKDOWN: Final = _build()
