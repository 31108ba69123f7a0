"""Which elements of a web page people can't see, by their attributes, styles and the page's own style sheets. Pure.

What is hidden from people is how a page or mail smuggles orders to a model, so a model doesn't read it either.

Only simple rules of style sheets count: of an element, a class or an id. A rule for paper, for narrow screens or below
other elements says nothing about what a reader sees, and a class that a script may show counts as hidden.
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
"""A size in which letters are seen or not, without those that are a part of another size: of no size, all are none."""
_TRANSPARENT = re.compile(
    rf"(?:^|[;\s])color\s*:\s*(?:transparent|(?:rgb|hsl)a\([^;)]{{1,40}},\s*{_ZERO}\s*\)|#(?:\w{{3}}0|\w{{6}}00)\b)",
    re.IGNORECASE,
)
_CLIPPED = re.compile(r"background-clip\s*:\s*text", re.IGNORECASE)
"""Letters through which a background is seen."""
_CUT = re.compile(r"overflow(?:-[xy])?\s*:\s*(?:hidden|clip)", re.IGNORECASE)
_SHOWING = re.compile(r"(?:^|[;\s])display\s*:\s*(?!none)\w", re.IGNORECASE)
_MAX_STYLE_CHARS = 2_000


def _has_seen_letters(style: str) -> bool | None:
    """Whether declarations of CSS give letters a size in which people see them; None if they say nothing of it."""
    sizes = list(_FONT_SIZE.finditer(style, 0, _MAX_STYLE_CHARS))
    return sizes[-1]["none"] is None if sizes else None


def is_hiding(style: str) -> bool:
    """Whether declarations of CSS hide an element from people, with all that is in it."""
    style = style[:_MAX_STYLE_CHARS]
    return _HIDING.search(style) is not None or (_SIZES.search(style) is not None and _CUT.search(style) is not None)


class StyleSheets:
    """What the style sheets of one page say of elements, by selector."""

    def __init__(self) -> None:
        self._hides: dict[str, bool] = {}
        self._has_seen_letters: dict[str, bool] = {}

    def add(self, sheet: str) -> None:
        """Reads a style sheet. Later rules count more than earlier ones of the same selector."""
        for selectors, declarations in _rules(sheet[:_MAX_SHEET_CHARS]):
            hides, has_seen_letters = is_hiding(declarations), _has_seen_letters(declarations)
            says = hides or _SHOWING.search(declarations, 0, _MAX_STYLE_CHARS)
            for selector in selectors.split(",") if says or has_seen_letters is not None else ():
                if (selector := selector.strip().lower()) and _SIMPLE.fullmatch(selector):
                    self._hides |= {selector: hides} if says else {}
                    self._has_seen_letters |= {} if has_seen_letters is None else {selector: has_seen_letters}

    def hide(self, tag: str, attributes: Mapping[str, str | None]) -> bool:
        """Whether people can't see an element, with all that is in it."""
        style = _style_of(attributes)
        if "hidden" in attributes or is_hiding(style) or (tag == "dialog" and "open" not in attributes):
            return True
        if _TRANSPARENT.search(style) and not _CLIPPED.search(style):
            return True
        if not self._hides or _SHOWING.search(style):
            return False
        return _said_of(tag, attributes, self._hides) or False

    def has_seen_letters(self, tag: str, attributes: Mapping[str, str | None]) -> bool | None:
        """Whether letters have a size in which people see them; None if an element has that of what is around it."""
        own = _has_seen_letters(_style_of(attributes))
        return _said_of(tag, attributes, self._has_seen_letters) if own is None else own


def _style_of(attributes: Mapping[str, str | None]) -> str:
    return _without_comments((attributes.get("style") or "")[:_MAX_STYLE_CHARS])


def _said_of(tag: str, attributes: Mapping[str, str | None], rules: Mapping[str, bool]) -> bool | None:
    """Returns what rules say of an element, None if they say nothing."""
    if not rules:
        return None
    names = [f".{name}" for name in (attributes.get("class") or "").lower().split()]
    names += [f"#{name.lower()}" for name in [attributes.get("id")] if name]
    # The last one that says something counts: an id more than a class, and a class more than an element.
    selectors = [tag, *(selector for name in names for selector in (name, f"{tag}{name}"))]
    said = [rules[selector] for selector in selectors if selector in rules]
    return said[-1] if said else None


def _without_comments(css: str) -> str:
    first, *others = css.split("/*")
    return first + "".join(part.partition("*/")[2] for part in others)


def _rules(sheet: str) -> Iterator[tuple[str, str]]:
    """Yields the selectors and declarations of a style sheet's rules, without those that stand in other rules."""
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
