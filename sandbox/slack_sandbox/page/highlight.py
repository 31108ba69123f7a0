"""Syntax highlighting of code blocks as HTML, with Pygments' tokens mapped to a few CSS classes."""

from functools import lru_cache
from html import escape

from pygments.lexers import get_lexer_by_name
from pygments.token import Comment, Generic, Keyword, Name, Number, Operator, String, _TokenType
from pygments.util import ClassNotFound

_MAX_CHARS = 20_000
"""The maximum length of highlighted code."""
_CLASSES: dict[_TokenType, str] = {
    Comment: "comment",
    Keyword: "keyword",
    Operator.Word: "keyword",
    String: "string",
    Number: "number",
    Name.Function: "function",
    Name.Class: "function",
    Name.Decorator: "function",
    Name.Builtin: "builtin",
    Name.Tag: "keyword",
    Name.Attribute: "function",
    Generic.Inserted: "inserted",
    Generic.Deleted: "deleted",
}


@lru_cache(maxsize=64)
def code_html(code: str, language: str) -> str:
    """Returns code as escaped HTML, highlighted if the language is known."""
    if len(code) > _MAX_CHARS:
        return escape(code)
    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        return escape(code)
    return "".join(_span(kind, text) for _, kind, text in lexer.get_tokens_unprocessed(code))


def _span(kind: _TokenType, text: str) -> str:
    name = next((_CLASSES[known] for known in reversed(kind.split()) if known in _CLASSES), None)
    return f'<span class="code-{name}">{escape(text)}</span>' if name and text.strip() else escape(text)
