"""Determines which elements of a web page are invisible, from attributes, styles and the page's style sheets. No I/O.

A page or mail can hide instructions to a model in invisible text, so models don't get such text.

Only simple style rules count, which are those for an element, a class or an ID. Rules for print, narrow screens or
descendants are ignored, and a class that a script could show counts as hidden.
"""

import re
from collections.abc import Iterator, Mapping

_MAX_SHEET_CHARS = 200_000
_BRACE = re.compile(r"([{}])")
_SIMPLE = re.compile(r"(?:[a-z][a-z0-9]*)?(?:[.#][\w-]+)?", re.IGNORECASE)
_ZERO = r"(?:0++(?:\.0++)?|\.0++)(?:px|pt|em|rem|%)?"
_DOT = rf"(?:{_ZERO}|1px)"
_HIDING = re.compile(
    r"(?:^|[;\s])(?:"
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|mso-hide\s*:\s*all|content-visibility\s*:\s*hidden"
    rf"|opacity\s*:\s*{_ZERO}(?=\s*(?:!|;|$))"
    rf"|transform\s*:\s*scale\(\s*{_ZERO}\s*\)|filter\s*:\s*opacity\(\s*{_ZERO}\s*\)"
    r"|(?:(?:left|top|right|text-indent)\s*:\s*-\d{3}|margin-(?:left|top)\s*:\s*-\d{4})"
    r"|clip\s*:\s*rect\(\s*[01](?:px)?[\s,]+[01](?:px)?[\s,]+[01](?:px)?[\s,]+[01](?:px)?\s*\)"
    rf"|clip-path\s*:\s*(?:inset\(\s*(?:50|100)%|circle\(\s*{_ZERO}\s*\))"
    r")",
    re.IGNORECASE,
)
_SIZES = re.compile(rf"(?:^|[;\s])(?:max-)?(?:width|height)\s*:\s*{_DOT}(?=\s*(?:!|;|$))", re.IGNORECASE)
_FONT_SIZE = re.compile(
    r"(?:^|[;\s])font(?:-size)?\s*:[^;]{0,60}?(?<![\w.#])"
    rf"(?:(?P<none>{_DOT})|(?:\d*\.)?\d++(?:px|pt|pc|cm|mm|in|q|rem|vw|vh)|(?:xx?-)?(?:small|large)|medium|initial)"
    r"(?=\s*(?:[!;/]|$)|\s+[\w\"'-])",
    re.IGNORECASE,
)
"""Matches a font size. Relative sizes don't count, because they are zero within an element of size zero."""
_TRANSPARENT = re.compile(
    rf"(?:^|[;\s])color\s*:\s*(?:transparent|(?:rgb|hsl)a\([^;)]{{1,40}},\s*{_ZERO}\s*\)|#(?:\w{{3}}0|\w{{6}}00)\b)",
    re.IGNORECASE,
)
_CLIPPED = re.compile(r"background-clip\s*:\s*text", re.IGNORECASE)
"""Matches a style that shows the background through transparent text, which is therefore visible."""
_CUT = re.compile(r"overflow(?:-[xy])?\s*:\s*(?:hidden|clip)", re.IGNORECASE)
_SHOWING = re.compile(r"(?:^|[;\s])display\s*:\s*(?!none)\w", re.IGNORECASE)
_MAX_STYLE_CHARS = 2_000


def _has_visible_letters(style: str) -> bool | None:
    """Returns whether CSS declarations set a visible font size, or None if they don't set one."""
    sizes = list(_FONT_SIZE.finditer(style, 0, _MAX_STYLE_CHARS))
    return sizes[-1]["none"] is None if sizes else None


def is_hiding(style: str) -> bool:
    """Returns whether CSS declarations hide an element and its content."""
    style = style[:_MAX_STYLE_CHARS]
    return _HIDING.search(style) is not None or (_SIZES.search(style) is not None and _CUT.search(style) is not None)


class StyleSheets:
    """The style rules of a page, by selector."""

    def __init__(self) -> None:
        self._hides: dict[str, bool] = {}
        self._has_visible_letters: dict[str, bool] = {}

    def add(self, sheet: str) -> None:
        """Parses a style sheet. Later rules override earlier ones with the same selector."""
        for selectors, declarations in _rules(sheet[:_MAX_SHEET_CHARS]):
            hides, has_visible_letters = is_hiding(declarations), _has_visible_letters(declarations)
            says = hides or _SHOWING.search(declarations, 0, _MAX_STYLE_CHARS)
            for selector in selectors.split(",") if says or has_visible_letters is not None else ():
                if (selector := selector.strip().lower()) and _SIMPLE.fullmatch(selector):
                    self._hides |= {selector: hides} if says else {}
                    self._has_visible_letters |= {} if has_visible_letters is None else {selector: has_visible_letters}

    def hide(self, tag: str, attributes: Mapping[str, str | None]) -> bool:
        style = _style_of(attributes)
        if "hidden" in attributes or is_hiding(style) or (tag == "dialog" and "open" not in attributes):
            return True
        if _TRANSPARENT.search(style) and not _CLIPPED.search(style):
            return True
        if not self._hides or _SHOWING.search(style):
            return False
        return _matching_rule(tag, attributes, self._hides) or False

    def has_visible_letters(self, tag: str, attributes: Mapping[str, str | None]) -> bool | None:
        """Returns whether an element's font size is visible, or None if it is inherited."""
        own = _has_visible_letters(_style_of(attributes))
        return _matching_rule(tag, attributes, self._has_visible_letters) if own is None else own


def _style_of(attributes: Mapping[str, str | None]) -> str:
    return _without_comments((attributes.get("style") or "")[:_MAX_STYLE_CHARS])


def _matching_rule(tag: str, attributes: Mapping[str, str | None], rules: Mapping[str, bool]) -> bool | None:
    """Returns the value of the rule that applies to an element, or None if there is none."""
    if not rules:
        return None
    names = [f".{name}" for name in (attributes.get("class") or "").lower().split()]
    names += [f"#{name.lower()}" for name in [attributes.get("id")] if name]
    # The last match wins: an ID overrides a class, and a class overrides an element.
    selectors = [tag, *(selector for name in names for selector in (name, f"{tag}{name}"))]
    said = [rules[selector] for selector in selectors if selector in rules]
    return said[-1] if said else None


def _without_comments(css: str) -> str:
    first, *others = css.split("/*")
    return first + "".join(part.partition("*/")[2] for part in others)


def _rules(sheet: str) -> Iterator[tuple[str, str]]:
    """Yields the selectors and the declarations of each rule in a style sheet, except for nested rules."""
    depth, selectors, before = 0, "", ""
    for piece in _BRACE.split(_without_comments(sheet)):
        if piece == "{":
            depth += 1
            selectors = before.rpartition(";")[2].strip() if depth == 1 else selectors
        elif piece == "}":
            if depth == 1 and not selectors.startswith("@"):
                yield selectors, before
            depth = max(0, depth - 1)
        else:
            before = piece
