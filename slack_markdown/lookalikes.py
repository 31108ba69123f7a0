"""Converts text to what a person reads, without invisible characters and with lookalikes replaced.

The data comes from Unicode: compatibility forms (NFKC), default-ignorable code points, confusables (UTS 39), and for
everything else character names, such as `NEGATIVE SQUARED LATIN CAPITAL LETTER B`.

The second half of the module handles hosts the way DNS and browsers do, including IDNA, numeric addresses and public
suffixes.
"""

import ipaddress
import json
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import idna
import regex
from publicsuffixlist import PublicSuffixList

_INVISIBLE = regex.compile(
    r"[\p{Default_Ignorable_Code_Point}\p{C}\u2800\ufffc\U00013441\U00013442\U0001d159--[\t\n\r]]", regex.VERSION1
)
_THIN_SPACE = regex.compile(r"[\u2004-\u200a\u202f\u205f]")
_MARK = regex.compile(r"\p{M}")
_DOT_NAME = regex.compile(
    r"FULL STOP|MIDDLE DOT|RAISED DOT|DOT OPERATOR|BULLET|HYPHENATION POINT|WORD SEPARATOR|AUGMENTATION DOT"
    r"|SINOLOGICAL DOT|PUNCTUATION DOT|SINGLE PUNCTUATION|NOTATION SPOT|INTERPUNCT|LETTER TONE MYA TI|SEPARATOR DOT"
    r"|JUNGSEONG ARAEA\Z"
)
_LATIN_NAME = regex.compile(
    r"(?:(?:SQUARED|CIRCLED|NEGATIVE|CROSSED|BLACK) .*LATIN (?:CAPITAL|SMALL) LETTER|LATIN LETTER SMALL CAPITAL"
    r"|MODIFIER LETTER (?:SMALL|CAPITAL)|TAG LATIN SMALL LETTER|REGIONAL INDICATOR SYMBOL LETTER) ([A-Z])"
)
_ACCENTED_NAME = regex.compile(r"LATIN (?:SMALL|CAPITAL) LETTER ([A-Z]) WITH .*")
_ZEROS = "\u0660\u06f0"
"""Arabic zeros, which look like dots between letters but are digits elsewhere."""
_ZERO_AS_DOT = regex.compile(rf"(?<=\p{{L}})[{_ZEROS}](?=\p{{L}})")
_UNLISTED = dict(
    zip("кКмМтТвВнНпгьзαηκνρτυχωℓᖯᗷ", "kKmMtTBBHHnrbzankvptuxwlbB", strict=True),
)
"""Lookalikes that UTS 39 doesn't list, or assigns to other letters."""
OTHER_ALPHABET = regex.compile(
    r"[\p{L}--[\p{Latin}\p{Common}\p{Inherited}\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Bopomofo}]]", regex.VERSION1
)
"""Matches letters of scripts that nobody mixes with others in a word. East Asian scripts, by contrast, are mixed with
Latin."""
_LETTER = regex.compile(r"\p{L}")
_DIGITS_AS_LETTERS = (str.maketrans("01", "ol"), str.maketrans("01l", "oii"))

MAX_HOST_CHARS = 253
"""The maximum length of a host in DNS. Each of its labels is also limited."""
MAX_LABEL_CHARS = 63
_LOCAL = "alt corp example home internal intranet invalid lan local localdomain localhost onion private test"
_LOCAL_TLDS = frozenset(_LOCAL.split())
"""Top-level domains that are reserved or used for hosts in local networks."""
_SUFFIXES = PublicSuffixList(accept_unknown=False, accept_encoded_idn=False)


class ReadText(NamedTuple):
    latin: str
    """The text, with lookalikes replaced by the ASCII letter, digit or mark that they look like."""
    written: tuple[str, ...]
    """The same characters as written, each with its combining marks."""

    def written_between(self, start: int, end: int) -> str:
        """Returns a range as written, except that anything that looks like a dot becomes a full stop."""
        pairs = zip(self.latin[start:end], self.written[start:end], strict=True)
        return "".join("." if latin == "." else written for latin, written in pairs)


def read_text(text: str, max_chars: int) -> ReadText | None:
    """Returns a text the way people read it, or None if expanding compatibility forms makes it longer than
    `max_chars`."""
    if len(text) > max_chars:
        return None
    text = unicodedata.normalize("NFKC", _THIN_SPACE.sub("", text))
    if len(text) > max_chars:
        return None
    if text.isascii() and text.isprintable():
        return ReadText(text, tuple(text))
    latin = []
    written: list[str] = []
    for character in text:
        lookalike = _lookalike(character)
        if lookalike:
            latin.append(lookalike)
            written.append(character)
        elif written and lookalike is None:
            written[-1] += character
    return ReadText(_ZERO_AS_DOT.sub(".", "".join(latin)), tuple(written))


def lookalike_table(text: str) -> dict[int, str]:
    """Returns a table for str.translate that replaces each character of a text with its lookalike."""
    if text.isascii() and text.isprintable():
        return {}
    normalized = {character: unicodedata.normalize("NFKC", character) for character in set(text)}
    return {ord(one): "".join(_lookalike(part) or "" for part in parts) for one, parts in normalized.items()}


def reads_as_tld(text: ReadText, start: int, end: int) -> bool:
    """Returns whether part of a dotted name is, or looks like, a top-level domain."""
    latin, written = text.latin[start:end], text.written_between(start, end)
    if len(latin) < 2 or latin.isdecimal():
        return False
    if any(map(is_tld, _tld_readings(latin, written))):
        return True
    # East Asian sentences don't have a space after a full stop. In other alphabets, anything that looks like a host is
    # one.
    return bool(OTHER_ALPHABET.search(written))


def mixes_scripts(word: str) -> bool:
    """Returns whether a word mixes scripts, mixes digits of several scripts, or uses other forms of ASCII letters."""
    if word.isascii():
        return False
    zeros = {ord(digit) - unicodedata.decimal(digit) for digit in word if digit.isdecimal()}
    if len(zeros) > 1 or any(map(is_variant_of_ascii_letter, word)):
        return True
    others = OTHER_ALPHABET.findall(word)
    # The first word of a letter's name is its script.
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in others}
    return len(scripts) > 1 or 0 < len(others) < len(_LETTER.findall(word))


def is_variant_of_ascii_letter(character: str) -> bool:
    """Returns whether a character is another form of an ASCII letter, such as a letter of a Roman numeral. Raised
    letters, such as in 1º, don't count."""
    if character.isascii():
        return False
    is_raised = unicodedata.decomposition(character).startswith(("<super>", "<sub>"))
    plain = unicodedata.normalize("NFKC", character)
    return plain.isascii() and plain.isalpha() and not is_raised


def ascii_digits(text: str) -> str:
    """Returns a text with the decimal digits of all scripts converted to ASCII."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(character, character)) for character in text)


def _tld_readings(latin: str, written: str) -> Iterator[str]:
    yield written
    plain = "".join(map(_without_accents, latin)).lower()
    yield plain
    for table in _DIGITS_AS_LETTERS:
        yield plain.translate(table).replace("rn", "m").replace("vv", "w")


@lru_cache(maxsize=4_096)
def _lookalike(character: str) -> str | None:
    """Returns a character's ASCII lookalike, or the character itself if it has none, "" if it is invisible, or None if
    it is a combining mark."""
    if character.isascii() and (character.isprintable() or character.isspace()):
        return character
    name = unicodedata.name(character, "")
    if _DOT_NAME.search(name):
        return "."
    if _INVISIBLE.match(character):
        return ""
    if _MARK.match(character):
        return None
    if character.isspace():
        return " "
    if character in _ZEROS:
        return character
    if letter := _LATIN_NAME.fullmatch(name):
        return letter[1].lower()
    return _UNLISTED.get(character) or _CONFUSABLES.get(character, character)


@lru_cache(maxsize=4_096)
def _without_accents(character: str) -> str:
    if character.isascii():
        return character
    if letter := _ACCENTED_NAME.fullmatch(unicodedata.name(character, "")):
        return letter[1]
    return unicodedata.normalize("NFKD", character)[0]


def _read_confusables() -> dict[str, str]:
    """Returns a table from UTS 39's confusable characters to the ASCII characters that they look like. It reads the
    package's data file, because the package's own module keeps 16 MB of names that aren't needed here."""
    data = files("confusable_homoglyphs").joinpath("confusables.json").read_text("utf-8")
    lookalikes = {}
    # An entry is {"c": character, "n": name}. Dropping the name saves memory.
    table = json.loads(data, object_hook=lambda item: item["c"] if item.keys() == {"c", "n"} else item)
    for character, others in table.items():
        found = [other for other in others if len(other) == 1 and other.isascii()]
        if len(character) == 1 and not character.isascii() and found:
            # Among l, 1, I and |, the letter wins.
            lookalikes[character] = max(found, key=lambda other: (other.islower(), other.isalnum()))
    return lookalikes


_CONFUSABLES = _read_confusables()


@lru_cache(maxsize=1_024)
def is_tld(name: str) -> bool:
    """Returns whether a name is a top-level domain on the Internet or in local networks, in any script."""
    tld = _without_punycode(name.lower())
    return tld in _LOCAL_TLDS or _SUFFIXES.publicsuffix(f"a.{tld}") is not None


@lru_cache(maxsize=1_024)
def is_public_suffix(host: str) -> bool:
    """Returns whether anyone can register names below a host (in ASCII), such as `co.uk` or `github.io`."""
    written = ".".join(map(_without_punycode, host.split(".")))
    return _SUFFIXES.publicsuffix(written) == written


def ascii_host(host: str) -> str:
    """Returns a host in the form in which browsers look it up, with letters of other scripts as `xn--…` and an IPv4
    address as four numbers. An invalid host is returned in lowercase. `xn--…` is computed as in UTS 46,
    non-transitional."""
    host = host.lower().removesuffix(".")
    if len(host) > MAX_HOST_CHARS:
        return host
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except UnicodeError:
            # Browsers also look up names that aren't valid for registration, such as emoji.
            labels = host.split(".")
            host = ".".join(
                label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels
            )
    return ipv4(host) or ipv6(host) or host


def ipv4(host: str) -> str:
    """Returns the IPv4 address that browsers parse from a host, as four decimal numbers, or "" if it isn't an address.
    Each number can be octal (`017`) or hexadecimal (`0x0f`), and the last can replace several:
    https://url.spec.whatwg.org/#concept-ipv4-parser"""
    if len(host) > MAX_HOST_CHARS or not host.isascii():
        return ""
    parts = host.split(".")
    try:
        *upper, last = [_number(part) for part in parts]
    except ValueError:
        return ""
    if len(parts) > 4 or any(number > 255 for number in upper) or last >= 256 ** (5 - len(parts)):
        return ""
    value = last + sum(number << 8 * (3 - at) for at, number in enumerate(upper))
    return str(ipaddress.IPv4Address(value))


def ipv6(host: str) -> str:
    """Returns an IPv6 address, with or without brackets, in its shortest form, or "" if the host isn't an address."""
    try:
        return str(ipaddress.IPv6Address(host.strip("[]"))) if ":" in host else ""
    except ValueError:
        return ""


def _number(part: str) -> int:
    if not part.isalnum():
        raise ValueError
    if part[:2].lower() == "0x":
        return int(part[2:] or "0", 16)
    return int(part, 8 if part[0] == "0" else 10)


def _without_punycode(label: str) -> str:
    """Decodes the Punycode in a host's label, because the list of public suffixes doesn't use it."""
    try:
        return label[4:].encode().decode("punycode") if label.startswith("xn--") else label
    except UnicodeError:
        return label
