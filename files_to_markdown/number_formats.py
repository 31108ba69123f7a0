"""Formats numbers the way spreadsheets show them, using formats such as `0.0%`, `#,##0 "€";[Red](#,##0)` and `[h]:mm`.

Source: ECMA-376 part 1, 18.8.30 and 18.8.31. Dates become ISO 8601, because the order of their parts depends on the
country.
"""

import re
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from functools import lru_cache
from math import isfinite
from unicodedata import category

GENERAL = "General"
_DATE, _DATE_TIME = "yyyy-mm-dd", "yyyy-mm-dd hh:mm"
BUILT_IN = {
    1: "0",
    2: "0.00",
    3: "#,##0",
    4: "#,##0.00",
    9: "0%",
    10: "0.00%",
    11: "0.00E+00",
    12: "# ?/?",
    13: "# ??/??",
    18: "h:mm",
    19: "h:mm:ss",
    20: "h:mm",
    21: "h:mm:ss",
    22: _DATE_TIME,
    45: "mm:ss",
    46: "[h]:mm:ss",
    47: "mm:ss.0",
    37: "#,##0;(#,##0)",
    38: "#,##0;(#,##0)",
    39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;(#,##0.00)",
    41: "#,##0;(#,##0);-",
    42: "#,##0;(#,##0);-",
    43: "#,##0.00;(#,##0.00);-",
    44: "#,##0.00;(#,##0.00);-",
    48: "##0.0E+0",
    49: "@",
    **dict.fromkeys((14, 15, 16, 17, *range(27, 37), *range(50, 59)), _DATE),
}
"""Formats that files refer to by number. Money formats don't have a currency sign, because it depends on the reader's
country."""
_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"?|\\(?P<escaped>.)|_.|\*.|\[\$(?P<currency>[^\]-]*+)[^\]]*+\]|\[(?P<bracket>[^\]]*)\]'
    r"|(?P<exponent>[eE][+-])|(?P<run>[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+)|(?P<other>.)",
    re.DOTALL,
)
_FIELDS = re.compile(r"[ymdhsgebatz]+|(.)\1*", re.IGNORECASE)
"""Matches the parts of a date. Any other run of letters is a word, such as General, Standard or Geral. Parts are
letters that Excel or ISO 8601 uses or, in other languages, one repeated letter."""
_CONDITION = re.compile(r"(<=|>=|<>|<|>|=)\s*(-?[\d.]+)")
_ELAPSED = re.compile(r"[hms]+", re.IGNORECASE)
_HOLDS = {
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
    "=": lambda value, limit: value == limit,
    "<>": lambda value, limit: value != limit,
}
_PLACES = "0#?"
_PARTS_OF_SECOND = re.compile("s[.,](0{1,3})")
_MAX_FORMAT_CHARS = 255
_MAX_SERIAL = 2_958_466
"""The serial number of the first day in the year 10000."""
_MAX_DIGITS = 27
"""The maximum precision that Decimal can round."""
_DAY_S = 86_400

Token = tuple[str, str]
"""The token's type (place, literal, elapsed, condition, word or general) and its text."""


def format_stored_number(text: str, code: str, *, is_1904: bool = False) -> str:
    """Formats a number that a file stores as text. Returns any other text unchanged."""
    try:
        number = float(text)
    except ValueError:
        return text
    if not isfinite(number):
        return text
    return format_general(number) if code == GENERAL else format_value(number, code, is_1904=is_1904)


def format_value(value: float, code: str, *, is_1904: bool = False) -> str:
    sections = _sections(code[:_MAX_FORMAT_CHARS])
    tokens, is_negative = _choose_section(sections, value)
    if not tokens:
        return ""
    if any(kind == "general" for kind, _ in tokens):
        around = [
            format_general(abs(value) if is_negative is None else value) if kind == "general" else text
            for kind, text in tokens
        ]
        return "".join(around).strip()
    if _is_date(tokens):
        return _format_date(value, tokens, is_1904=is_1904)
    if _has_digits(tokens):
        number = Decimal(repr(float(abs(value))))
        text = _number(number, tokens)
        has_digits = any(digit in "123456789" for digit in text)
        return f"-{text}" if is_negative and has_digits else text
    return format_general(value) if ("place", "@") in tokens else _literals(tokens)


def format_text(text: str, code: str) -> str:
    sections = _sections(code[:_MAX_FORMAT_CHARS])
    of_text = sections[3] if len(sections) > 3 else sections[-1]
    if ("place", "@") not in of_text:
        return text
    return "".join(
        text if token == ("place", "@") else token[1] for token in of_text if token[0] != "condition"
    ).strip()


def format_general(value: float) -> str:
    """Formats a number that doesn't have a format, with the 15 digits that spreadsheets keep."""
    return str(int(value)) if abs(value) < 2**53 and value == int(value) else f"{value:.15g}"


@lru_cache(maxsize=1_000)
def _sections(code: str) -> list[list[Token]]:
    return [_with_general(section) for section in _tokenize(code)]


def _tokenize(code: str) -> list[list[Token]]:
    sections: list[list[Token]] = [[]]
    for found in _TOKEN.finditer(code):
        kind, text = found.lastgroup, found[found.lastgroup] if found.lastgroup else ""
        if kind == "other" and text == ";":
            sections.append([])
        elif kind == "bracket":
            is_elapsed = _ELAPSED.fullmatch(text)
            if is_elapsed or _CONDITION.match(text):
                sections[-1].append(("elapsed" if is_elapsed else "condition", text.lower()))
        elif kind == "other":
            sections[-1].append(("place", text))
        elif kind == "exponent":
            sections[-1].append(("place", "E"))
        elif kind == "run":
            sections[-1] += [("place", char) for char in text] if _FIELDS.fullmatch(text) else [("word", text)]
        else:
            # A token without a group is a space as wide as another character.
            sections[-1].append(("literal", text if kind else " "))
    return sections


def _with_general(section: list[Token]) -> list[Token]:
    """Replaces words for Excel's General format with General. Such words are unquoted letters that aren't part of a
    date or next to digits. Each language has its own word for General, such as G/通用格式, and programs write it in any
    case."""
    is_said = [kind == "word" or (kind == "place" and category(text)[0] in "LM") for kind, text in section]
    if True not in is_said or _is_date(section) or _has_digits(section) or ("place", "@") in section:
        return [("literal" if kind == "word" else kind, text) for kind, text in section]
    first = is_said.index(True)
    rest = [token for token, is_word in zip(section, is_said, strict=True) if not is_word and token != ("place", "/")]
    return [*rest[:first], ("general", GENERAL), *rest[first:]]


def _has_digits(tokens: list[Token]) -> bool:
    return any(kind == "place" and text in _PLACES for kind, text in tokens)


def _choose_section(sections: list[list[Token]], value: float) -> tuple[list[Token], bool | None]:
    """Returns the section for a number, and whether to add a minus sign (None to show the number without its sign)."""
    for at, section in enumerate(sections[:3]):
        for kind, text in section:
            if kind == "condition" and (found := _CONDITION.match(text)):
                if _HOLDS[found[1]](value, float(found[2])):
                    return _without_condition(section), value < 0 and at != 1
                break
        else:
            if any(kind == "condition" for other in sections for kind, _ in other):
                if at:
                    return section, value < 0
                continue
            break
    if value < 0 and len(sections) > 1:
        return sections[1], None
    if value == 0 and len(sections) > 2:
        return sections[2], False
    return _without_condition(sections[0]), value < 0


def _without_condition(section: list[Token]) -> list[Token]:
    return [token for token in section if token[0] != "condition"]


def _is_date(tokens: list[Token]) -> bool:
    if any(kind == "elapsed" for kind, _ in tokens):
        return True
    places = "".join(text.lower() for kind, text in tokens if kind == "place")
    first = re.search("[ymdhs]|ge", places)
    # Parts of a second come after it. Other digits are those of a number next to unquoted letters.
    return first is not None and not re.search("[#?0]", places[: first.start()]) and "#" not in places


def _format_date(value: float, tokens: list[Token], *, is_1904: bool) -> str:
    letters = [text.lower() for kind, text in tokens if kind == "place"]
    elapsed = next((text[0] for kind, text in tokens if kind == "elapsed"), "")
    has_seconds = "s" in letters
    parts = _PARTS_OF_SECOND.search("".join(text.lower() for kind, text in tokens if kind in ("place", "elapsed")))
    places = len(parts[1]) if parts else 0
    if elapsed:
        has_minutes = "m" in letters or elapsed == "m"
        return _duration(value, elapsed, has_minutes=has_minutes, has_seconds=has_seconds, places=places)
    if not 0 <= value < _MAX_SERIAL:
        return format_general(value)
    # In the 1900 date system, number 60 is a day that didn't exist.
    epoch = datetime(1904, 1, 1) if is_1904 else datetime(1899, 12, 30 + (value < 60))
    seconds, fraction = _seconds(value, places)
    moment = epoch + timedelta(seconds=seconds)
    has_time = has_seconds or "h" in letters
    clock = f"{moment:%H:%M:%S}{fraction}" if has_seconds else f"{moment:%H:%M}"
    if not set(letters) & set("ydg") and ("m" not in letters or has_time):
        return clock
    return f"{moment:%Y-%m-%d} {clock}" if has_time else f"{moment:%Y-%m-%d}"


def _seconds(days: float, places: int) -> tuple[int, str]:
    seconds, parts = divmod(round(days * _DAY_S * 10**places), 10**places)
    return seconds, f".{parts:0{places}}" if places else ""


def _duration(value: float, unit: str, *, has_minutes: bool, has_seconds: bool, places: int) -> str:
    seconds, fraction = _seconds(abs(value), places)
    sign = "-" if value < 0 else ""
    if unit == "s":
        return f"{sign}{seconds}{fraction}"
    if unit == "m":
        return f"{sign}{seconds // 60}{f':{seconds % 60:02}{fraction}' if has_seconds else ''}"
    rest = (
        f"{f':{seconds // 60 % 60:02}' if has_minutes else ''}{f':{seconds % 60:02}{fraction}' if has_seconds else ''}"
    )
    return f"{sign}{seconds // 3600}{rest}"


def _literals(tokens: list[Token]) -> str:
    return "".join(text for kind, text in tokens if kind != "condition").strip()


def _number(number: Decimal, tokens: list[Token]) -> str:
    texts = [text if kind == "place" else "" for kind, text in tokens]
    number *= 100 ** texts.count("%")
    last = max(at for at, text in enumerate(texts) if text and text in _PLACES)
    # Other points end an abbreviation, such as Rs.
    points = (at for at, text in enumerate(texts) if text == "." and {*texts[max(0, at - 1) : at + 2]} & {*_PLACES})
    point = next(points, len(texts))
    for end in {last + 1, max((at for at in range(point) if texts[at] and texts[at] in _PLACES), default=last) + 1}:
        while end < len(texts) and texts[end] == ",":
            number /= 1_000
            end += 1
    if "E" in texts:
        return _scientific(number, texts)
    if "/" in texts and point == len(texts):
        return _fraction(number, tokens, texts)
    places = [text for text in texts[point:] if text and text in _PLACES]
    number = (
        number.quantize(Decimal(1).scaleb(-len(places)), ROUND_HALF_UP)
        if number.adjusted() + len(places) < _MAX_DIGITS
        else number
    )
    whole, _, decimals = f"{number:f}".partition(".")
    kept = decimals.rstrip("0")
    decimals = kept.ljust(next((len(places) - at for at, one in enumerate(reversed(places)) if one == "0"), 0), "0")
    before = _format_integer(whole.lstrip("0"), tokens[:point])
    after = _decimals(decimals, tokens[point:])
    return f"{before}{after}".strip()


def _format_integer(digits: str, tokens: list[Token]) -> str:
    """Puts the digits of an integer in their places, from the last place to the first."""
    places = [at for at, (kind, text) in enumerate(tokens) if kind == "place" and text in _PLACES]
    if not places:
        return digits + "".join(text for _, text in tokens if text != ",")
    has_thousands = any(
        kind == "place" and text == "," and places[0] < at < places[-1] for at, (kind, text) in enumerate(tokens)
    )
    parts: list[str] = []
    left, written = digits, 0
    for at in range(len(tokens) - 1, -1, -1):
        kind, text = tokens[at]
        if kind == "place" and text == ",":
            continue
        if at not in places:
            is_inside = places[0] < at < places[-1]
            parts.append(text if not is_inside or left or "0" in (tokens[one][1] for one in places if one < at) else "")
            continue
        take = left if at == places[0] else left[-1:]
        left = "" if at == places[0] else left[:-1]
        for digit in reversed(take or ("0" if text == "0" else "")):
            parts.append("," if has_thousands and written and written % 3 == 0 else "")
            parts.append(digit)
            written += 1
    return "".join(reversed(parts))


def _decimals(digits: str, tokens: list[Token]) -> str:
    parts = []
    left = digits
    for kind, text in tokens:
        if kind == "place" and text in _PLACES:
            parts.append(left[:1])
            left = left[1:]
        elif kind == "place" and text == ".":
            parts.append("." if digits else "")
        elif not (kind == "place" and text == ","):
            parts.append(text)
    return "".join(parts)


def _scientific(number: Decimal, texts: list[str]) -> str:
    mantissa, exponent = texts[: texts.index("E")], texts[texts.index("E") + 1 :]
    point = mantissa.index(".") if "." in mantissa else len(mantissa)
    before, places = (sum(text in _PLACES for text in part if text) for part in (mantissa[:point], mantissa[point:]))
    digits, power = _split_exponent(number, places, max(1, before))
    width = max(1, sum(text in _PLACES for text in exponent if text))
    return f"{digits}E{'-' if power < 0 else '+'}{abs(power):0{width}}"


def _split_exponent(number: Decimal, places: int, step: int) -> tuple[str, int]:
    """Returns the digits before E, and the exponent, which is a multiple of `step` (3 in engineering notation)."""
    power = number.adjusted() // step * step if number else 0
    digits = f"{number.scaleb(-power):.{places}f}"
    if len(digits.partition(".")[0]) > step:
        # 999.96 becomes 1000.0.
        return _split_exponent(Decimal(1).scaleb(power + step), places, step)
    return digits, power


def _fraction(number: Decimal, tokens: list[Token], texts: list[str]) -> str:
    slash = texts.index("/")
    below = "".join(text for text in texts[slash + 1 :] if text.isdecimal() or text in "?#")
    above = texts[:slash]
    has_whole = (
        " " in [text for kind, text in tokens[:slash] if kind in ("place", "literal")]
        and sum(text in _PLACES for text in above if text) > 1
    )
    whole = int(number) if has_whole else 0
    rest = Fraction(number) - whole
    if below.isdecimal() and int(below):
        part = f"{round(rest * int(below))}/{int(below)}"
    else:
        nearest = rest.limit_denominator(10 ** min(len(below) or 1, 5) - 1)
        if has_whole and nearest.denominator == 1:
            return str(whole + int(nearest))
        part = f"{nearest.numerator}/{nearest.denominator}"
    return f"{whole} {part}" if whole else part
