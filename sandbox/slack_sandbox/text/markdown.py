"""Slack's dialect of Markdown: CommonMark with GFM's tables and strikethrough, and Slack's own tokens.

Differences from CommonMark:

- `<@U…>`, `<#C…>`, `<!here>` and `<url|label>` are tokens, except in code. Written with entities, they are text.
- Entities in a link's URL aren't decoded.
- `**` next to a Chinese, Japanese or Korean letter, or around a bare URL, stays text.

Blocks and inline content are parsed separately: `parse` returns blocks with unparsed lines, so that the result of
`parse_inline` can be cached for each line.
"""

import re
from types import SimpleNamespace
from typing import Any, Final

from markdown_it import MarkdownIt, helpers
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.state_inline import Delimiter
from markdown_it.token import Token

BARE_ADDRESS: Final = re.compile(r"https?://[^\s<>\"'`]*[^\s<>\"'`.,;:!?)\]}*_]", re.IGNORECASE)
TOKEN: Final = re.compile(
    r"<(?:@(?P<user>[UW][A-Z0-9]+)(?:\|[^<>\n]*)?"
    r"|#(?P<channel>[CG][A-Z0-9]+)(?:\|[^<>\n]*)?"
    r"|!(?P<range>here|channel|everyone|group)(?:\|[^<>\n]*)?"
    r"|!subteam\^(?P<usergroup>[A-Z0-9]+)(?:\|[^<>\n]*)?"
    r"|!date\^(?P<timestamp>\d+)\^(?P<format>[^<>|\n^]*)(?:\^[^<>|\n]*)?\|(?P<fallback>[^<>\n]*)"
    r"|(?P<url>(?:https?://|mailto:)[^<>|\n]*)\|(?P<label>[^<>\n]*))>"
)
_SAFE_SCHEME: Final = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_CJK: Final = re.compile(
    "[\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\uff66-\uff9d\U00020000-\U0003ffff]"
)
_BEFORE_ADDRESS: Final = "*_~([{\"'"
_MAX_ADDRESS_CHARS: Final = 2_000
_ESCAPED: Final = re.compile(r"\\([!-/:-@[-`{-~])")


References = dict[str, Any]


def parse(markdown: str) -> tuple[list[Token], References]:
    """Returns a document's block tokens, whose inline content isn't parsed yet, and its link definitions."""
    env: dict[str, Any] = {}
    return _BLOCKS.parse(markdown, env), env.get("references", {})


def parse_inline(source: str, references: References) -> list[Token]:
    """Returns a line's inline tokens. Slack's own tokens have the type `slack`."""
    (token,) = _INLINE.parseInline(source, {"references": references})
    return token.children or []


def _slack_token(state: StateInline, silent: bool) -> bool:
    if state.src[state.pos] != "<" or not (match := TOKEN.match(state.src, state.pos, state.posMax)):
        return False
    if not silent:
        state.push("slack", "", 0).content = match[0]
    state.pos = match.end()
    return True


def _emphasis(state: StateInline, silent: bool) -> bool:
    """Inline rule for emphasis: CommonMark's, except where Slack doesn't recognize bold."""
    marker = state.src[state.pos]
    if silent or marker not in "_*":
        return False
    scanned = state.scanDelims(state.pos, marker == "*")
    can_open, can_close = scanned.can_open, scanned.can_close
    if marker == "*":
        end = state.pos + scanned.length
        can_open = can_open and not _is_cjk(state.src, state.pos - 1) and not BARE_ADDRESS.match(state.src, end)
        can_close = can_close and not _is_cjk(state.src, end) and not _ends_address(state.src, state.pos)
    for _ in range(scanned.length):
        state.push("text", "", 0).content = marker
        token = len(state.tokens) - 1
        state.delimiters.append(Delimiter(ord(marker), scanned.length, token, -1, can_open, can_close))
    state.pos += scanned.length
    return True


def _is_cjk(text: str, at: int) -> bool:
    return 0 <= at < len(text) and _CJK.match(text[at]) is not None


def _ends_address(text: str, end: int) -> bool:
    start = text.rfind("http", max(0, end - _MAX_ADDRESS_CHARS), end)
    if start < 0 or not BARE_ADDRESS.fullmatch(text, start, end):
        return False
    return start == 0 or text[start - 1].isspace() or text[start - 1] in _BEFORE_ADDRESS


def _link_destination(string: str, pos: int, maximum: int) -> Any:
    """Parses a link destination as markdown-it does, but doesn't decode entities."""
    match = helpers.parseLinkDestination(string, pos, maximum)
    if match.ok and "&" in string[pos : match.pos]:
        source = string[pos : match.pos]
        match.str = _ESCAPED.sub(r"\1", source[1:-1] if source.startswith("<") else source)
    return match


def _safe_link(url: str) -> bool:
    return _SAFE_SCHEME.match(url) is not None


def _build() -> MarkdownIt:
    markdown = MarkdownIt("commonmark", {"html": False, "maxNesting": 100}).enable(["table", "strikethrough"])
    markdown.validateLink = _safe_link  # type: ignore[method-assign]
    markdown.normalizeLink = str  # type: ignore[method-assign,assignment]
    markdown.normalizeLinkText = str  # type: ignore[method-assign,assignment]
    markdown.helpers = SimpleNamespace(  # type: ignore[assignment]
        parseLinkLabel=helpers.parseLinkLabel,
        parseLinkTitle=helpers.parseLinkTitle,
        parseLinkDestination=_link_destination,
    )
    markdown.inline.ruler.before("autolink", "slack", _slack_token)
    markdown.inline.ruler.at("emphasis", _emphasis)
    return markdown


_INLINE: Final = _build()
_BLOCKS: Final = _build().disable("inline")
