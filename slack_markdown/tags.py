"""HTML elements that only show text, and patterns for their tags.

Only names from the HTML standard count as tags. `dialects.py` determines how each element is converted.
"""

import html
import re
import unicodedata
from itertools import chain

import regex

_FLAGS = "open|hidden|compact|reversed|nowrap|noshade|checked|disabled|selected|controls|itemscope"
"""Attributes that don't need a value."""
_VALUE = r"\s*=\s*(?:\"[^\"]{0,1000}\"|'[^']{0,1000}'|[^\s\"'=<>`]+)"
TAG = regex.compile(
    rf"<(?P<end>/?)(?P<name>[a-z][a-z0-9]*)(?P<attributes>(?:\s+(?:[^\s\"'<>/=]+{_VALUE}|(?:{_FLAGS})(?=[\s/>])))*+)"
    r"\s*/?>",
    regex.IGNORECASE,
)
HALF_TAG = regex.compile(
    rf"<(?:!-{{0,2}}|/?(?:[a-z][a-z0-9]*(?:(?:\s+(?:[^\s\"'<>/=]+{_VALUE}|(?:{_FLAGS})(?=[\s/])))*+"
    r"(?:\s++[^\s\"'<>/=]*+(?:\s*+=\s*+(?:\"[^\"]{0,1000}+|'[^']{0,1000}+|[^\s\"'=<>`]*+))?)?\s*+/?)?)?)\Z",
    regex.IGNORECASE,
)
_ATTRIBUTE = re.compile(r"([^\s\"'<>/=]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'=<>`]+))")

STYLES = {
    **dict.fromkeys(["b", "strong", "h1", "h2", "h3", "h4", "h5", "h6", "summary"], "**"),
    **dict.fromkeys(["i", "em", "cite", "dfn", "var"], "*"),
    **dict.fromkeys(["s", "del", "strike"], "~~"),
    "q": '"',
}
CODE = frozenset(["code", "kbd", "samp", "tt", "pre"])
LINES = frozenset(
    """
    address article aside blockquote caption center dd details dialog div dl dt fieldset figcaption figure
    footer h1 h2 h3 h4 h5 h6 header hgroup hr legend li main menu nav ol p pre search section summary table
    tbody tfoot thead tr ul
    """.split()  # noqa: SIM905
)
"""Elements that begin a new line."""
_WORDS = frozenset(
    """
    a abbr acronym area bdi bdo big br col colgroup data font img ins label map mark nobr output picture rb rp
    rt rtc ruby small source span sub sup td th time track u wbr
    """.split()  # noqa: SIM905
)
"""The names of other elements that only show text."""
KNOWN = LINES | _WORDS | CODE | STYLES.keys()
EMPTY = frozenset(["area", "br", "col", "hr", "img", "source", "track", "wbr"])
OFTEN_OPEN = frozenset(
    """
    b br dd del dt em hr i img ins li p s strike strong sub sup td th tr u wbr
    """.split()  # noqa: SIM905
)
"""Elements whose end tag is optional or often omitted. Other tags without an end tag aren't markup."""
ITEMS = frozenset(["dd", "div", "dt", "li", "p", "tr"])
"""Elements to separate with semicolons if they share a line."""
CELLS = frozenset(["td", "th"])
SCRIPTS = frozenset(["sub", "sup"])
ENDS = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in CODE | SCRIPTS}
LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
KNOWN_TAG = re.compile(rf"</?(?:{'|'.join(sorted(KNOWN, key=len, reverse=True))})(?:\s[^<>]*)?/?>", re.IGNORECASE)


def _raised_characters() -> dict[str, dict[int, str]]:
    """Returns Unicode's superscripts and subscripts, keyed by the character that is raised or lowered."""
    found: dict[str, dict[int, str]] = {"sup": {}, "sub": {}}
    blocks = [(0xB2, 0xBA), (0x2B0, 0x2B9), (0x2E0, 0x2E4), (0x1D2C, 0x1D6B), (0x1D9C, 0x1DC0), (0x2070, 0x209D)]
    for character in map(chr, [*chain.from_iterable(range(*block) for block in blocks), 0x2C7C]):
        form, _, code = unicodedata.decomposition(character).partition("> ")
        if form in ("<super", "<sub") and " " not in code:
            found["sup" if form == "<super" else "sub"].setdefault(int(code, 16), character)
    found["sup"][ord("-")], found["sub"][ord("-")] = "⁻", "₋"
    return found


RAISED = _raised_characters()


def attributes(written: str) -> dict[str, str]:
    """Returns a tag's attributes that have a value, by lowercase name."""
    return {
        name.lower(): html.unescape(double or single or bare).strip()
        for name, double, single, bare in _ATTRIBUTE.findall(written)
    }
