"""Formats list numbers: 3, iii, c, ③, 三."""

MAX_NUMBER = 1_000_000
_ROMAN = (
    *((1_000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x")),
    *((9, "ix"), (5, "v"), (4, "iv"), (1, "i")),
)
_CHINESE = "零一二三四五六七八九"
_CYRILLIC = "абвгдежзиклмнопрстуфхцчшщыэюя"
_CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳"
_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_ORDINALS = (
    *("zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"),
    *("eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth"),
    *("nineteenth", "twentieth"),
)


def roman(number: int) -> str | None:
    """Returns iv for 4, or None above 3,999."""
    if not 0 < number < 4_000:
        return None
    text = ""
    for value, sign in _ROMAN:
        text += sign * (number // value)
        number %= value
    return text


def letters(number: int, alphabet: str = "abcdefghijklmnopqrstuvwxyz", *, counts_on: bool = False) -> str | None:
    """Returns c for 3. For 28, returns bb, as in Word, or with `counts_on` ab, as on web pages. Returns None if out of
    range."""
    if not 0 < number <= 20 * len(alphabet):
        return None
    if counts_on:
        before = (number - 1) // len(alphabet)
        return (alphabet[before - 1] if before else "") + alphabet[(number - 1) % len(alphabet)]
    return alphabet[(number - 1) % len(alphabet)] * ((number - 1) // len(alphabet) + 1)


def ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def chinese(number: int) -> str | None:
    """Returns 十二 for 12, or None above 99."""
    if not 0 <= number < 100:
        return None
    tens, ones = divmod(number, 10)
    before = ("" if tens == 1 else _CHINESE[tens]) + "十" if tens else ""
    return before + (_CHINESE[ones] if ones or not tens else "")


def circled(number: int) -> str | None:
    """Returns ③ for 3, or None above 20."""
    return _CIRCLED[number - 1] if 0 < number <= len(_CIRCLED) else None


def russian(number: int) -> str | None:
    return letters(number, _CYRILLIC)


def in_words(number: int, *, is_ordinal: bool = False) -> str | None:
    """Returns Three or Third for 3, or None above 20."""
    words = _ORDINALS if is_ordinal else _WORDS
    return words[number].capitalize() if 0 <= number < len(words) else None
