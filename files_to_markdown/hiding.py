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
_HIDING = re.compile(
    r"(?:^|[;\s])(?:"
    r"display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse)|mso-hide\s*:\s*all|content-visibility\s*:\s*hidden"
    rf"|(?:font-size|opacity)\s*:\s*{_ZERO}(?=\s*(?:!|;|$))"
    r"|(?:left|top|right|text-indent|margin-left)\s*:\s*-\d{3,}"
    r"|clip\s*:\s*rect\(\s*[01](?:px)?[\s,]+[01](?:px)?[\s,]+[01](?:px)?[\s,]+[01](?:px)?\s*\)"
    r"|clip-path\s*:\s*inset\(\s*(?:50|100)%"
    r")",
    re.IGNORECASE,
)
_SIZES = re.compile(rf"(?:^|[;\s])(?:max-)?(?:width|height)\s*:\s*{_ZERO}(?=\s*(?:!|;|$))", re.IGNORECASE)
_CUT = re.compile(r"overflow(?:-[xy])?\s*:\s*(?:hidden|clip)", re.IGNORECASE)
_SHOWING = re.compile(r"(?:^|[;\s])display\s*:\s*(?!none)\w", re.IGNORECASE)
_MAX_STYLE_CHARS = 2_000


def is_hiding(style: str) -> bool:
    """Whether declarations of CSS hide an element from people."""
    style = style[:_MAX_STYLE_CHARS]
    return _HIDING.search(style) is not None or (_SIZES.search(style) is not None and _CUT.search(style) is not None)


class StyleSheets:
    """The selectors that hide elements of one page."""

    def __init__(self) -> None:
        self._hides: dict[str, bool] = {}

    def add(self, sheet: str) -> None:
        """Reads a style sheet. Later rules count more than earlier ones of the same selector."""
        for selectors, declarations in _rules(sheet[:_MAX_SHEET_CHARS]):
            if not (hides := is_hiding(declarations)) and not _SHOWING.search(declarations, 0, _MAX_STYLE_CHARS):
                continue
            for selector in selectors.split(","):
                if (selector := selector.strip().lower()) and _SIMPLE.fullmatch(selector):
                    self._hides[selector] = hides

    def hide(self, tag: str, attributes: Mapping[str, str | None]) -> bool:
        """Whether people can't see an element."""
        style = attributes.get("style") or ""
        if "hidden" in attributes or is_hiding(style) or (tag == "dialog" and "open" not in attributes):
            return True
        if not self._hides or _SHOWING.search(style[:_MAX_STYLE_CHARS]):
            return False
        names = [f".{name}" for name in (attributes.get("class") or "").lower().split()]
        names += [f"#{name.lower()}" for name in [attributes.get("id")] if name]
        # The last one that says something counts: an id more than a class, and a class more than an element.
        selectors = [tag, *(selector for name in names for selector in (name, f"{tag}{name}"))]
        said = [self._hides[selector] for selector in selectors if selector in self._hides]
        return bool(said) and said[-1]


def _rules(sheet: str) -> Iterator[tuple[str, str]]:
    """Yields the selectors and declarations of a style sheet's rules, without those that stand in other rules."""
    first, *others = sheet.split("/*")
    depth, selectors, before = 0, "", ""
    for piece in _BRACE.split(first + "".join(part.partition("*/")[2] for part in others)):
        if piece == "{":
            depth += 1
            selectors = before.rpartition(";")[2].strip() if depth == 1 else selectors
        elif piece == "}":
            if depth == 1 and not selectors.startswith("@"):
                yield selectors, before
            depth = max(0, depth - 1)
        else:
            before = piece
