"""Decodes text in its declared charset, as UTF-8, or in the charset that chardet guesses. Guesses are reported.

Python imports each codec when its name first occurs, for example in an email's headers or an RTF file's fonts. This
import fails once the process can't open files anymore. So `load_codecs` loads all codecs beforehand, which takes 0.1 s
and 4 MB. Other programs' names for the same charsets are mapped to Python's codecs here, which also helps libraries
that decode text themselves.
"""

import codecs
import encodings
import encodings.aliases
import pkgutil
import re
import unicodedata
from _multibytecodec import MultibyteIncrementalDecoder
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from files_to_markdown.document import MAX_CONTROLS, MAX_CONTROLS_OF_GUESS, decode_text, displayed_text, is_binary

_NO_CHARSETS = frozenset(
    ("aliases", "idna", "punycode", "undefined", "mbcs", "oem", "unicode_escape", "raw_unicode_escape")
)
"""Codecs that aren't charsets of files. Besides, decoding punycode takes quadratic time."""
_PREFIX = re.compile(r"(?:x|cs)(?=[a-z])")
_PAGE = re.compile(r"(?:windows|win|microsoft|ms|cp|codepage|dos|oem|ibm|ansi)0*(\d{3,4})")
_ALIASES = {
    "ansi": "cp1252",
    "userdefined": "cp1252",
    "macintosh": "macroman",
    "mac": "macroman",
    "macce": "maclatin2",
    "macukrainian": "maccyrillic",
    "cp31j": "cp932",
    "windows31j": "cp932",
    "cp1361": "johab",
    "cp936": "gb18030",
    "cp50220": "iso2022jpext",
    "cp50221": "iso2022jpext",
    "cp50222": "iso2022jpext",
    "iso2022jpms": "iso2022jpext",
    "euccn": "gb18030",
    "gb23121980": "gb18030",
    "gb231280": "gb18030",
    "ksc56011987": "cp949",
    "ksc5601": "cp949",
    "big5eten": "big5hkscs",
    "cnbig5": "big5hkscs",
    "unicode": "utf16",
    "ucs2": "utf16",
    "iso10646ucs2": "utf16",
    "ucs4": "utf32",
    "koi8": "koi8r",
    "visual": "iso88598",
    "logical": "iso88598",
    "ansinew": "cp1252",
    "applemac": "macroman",
    **dict.fromkeys(("macjapanese", "cp10001"), "cp932"),
    **dict.fromkeys(("macchinesetrad", "cp10002"), "big5hkscs"),
    **dict.fromkeys(("mackorean", "cp10003"), "cp949"),
    **dict.fromkeys(("macchinesesimp", "cp10008"), "gb18030"),
    **dict.fromkeys(("machebrew", "cp10005"), "cp1255"),
    **dict.fromkeys(("macthai", "cp10021"), "cp874"),
    **dict.fromkeys(("macrumanian", "cp10010"), "macromanian"),
    "cp10000": "macroman",
    "cp10004": "macarabic",
    "cp10006": "macgreek",
    **dict.fromkeys(("cp10007", "cp10017"), "maccyrillic"),
    "cp10029": "maclatin2",
    "cp10079": "maciceland",
    "cp10081": "macturkish",
    "cp10082": "maccroatian",
    "cp20866": "koi8r",
    "cp21866": "koi8u",
    **{f"cp{28_590 + part}": f"iso8859{part}" for part in range(1, 17)},
}
"""Aliases in addition to Python's own, without the prefixes above."""
_SUPERSETS = {
    **dict.fromkeys(("ascii", "iso8859-1"), ("cp1252",)),
    "iso8859-9": ("cp1254",),
    **dict.fromkeys(("iso8859-11", "tis-620"), ("cp874",)),
    "shift_jis": ("cp932", "shift_jis_2004"),
    "euc_jp": ("euc_jis_2004",),
    "iso2022_jp": ("iso2022_jp_ext", "iso2022_jp_2004"),
    **dict.fromkeys(("gb2312", "gbk"), ("gb18030",)),
    "euc_kr": ("cp949",),
    "big5": ("cp950", "big5hkscs"),
}
"""The charsets that programs actually use when they declare a smaller one, such as windows-1252 with its curly
quotes."""
_SEVEN_BITS = re.compile(r"iso2022|hz|utf-7")
_MARKS = {
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_ESCAPED = re.compile(rb"\x1b(?:\$[@B(]|\(J|\$\)C)")
_GUESSED = (
    *("cp932", "euc_jis_2004", "gb18030", "big5hkscs", "cp949", "utf-16-le", "utf-16-be"),
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp874"),
    *("koi8-u", "iso8859-2", "iso8859-5", "cp866"),
)
"""The charsets that chardet can guess. With more candidates, it would make more mistakes among the common ones."""
_WESTERN = "cp1252"
_LATIN = (_WESTERN, "cp1250", "cp1254", "cp1257", "iso8859-2")
_CYRILLIC = ("cp1251", "mac_cyrillic")
"""Cyrillic charsets. The Mac's isn't one of chardet's candidates, because it differs only in capitals."""
_RIVALS = (_WESTERN, "cp1250", "iso8859-2", "cp1254", "mac_roman", "cp850", "cp852")
"""Charsets for Latin letters, most common first. chardet also knows Mac Roman and the DOS charsets, but guesses them
too often. So they are tried only if chardet's guess results in letters where words don't have them."""
_MAINFRAME = "cp037"
_NON_ASCII = re.compile(r"[^\x00-\x7f]")
_ALONE = re.compile(r"(?<=[A-Za-z])[^\x00-\x7f](?![^\x00-\x7f])|(?<![^\x00-\x7f])[^\x00-\x7f](?=[A-Za-z])")
"""Matches a letter next to a Latin one but not next to another letter of its own script, which is rare in two-byte
charsets."""
_DRAWN_LINE = re.compile(r"([^\W\d_a-zA-Z])\1\1+")
"""Matches a repeated letter, which is what DOS lines around a table become when decoded in the wrong charset."""
_JUDGED_CHARS = 20_000
_MIN_ODDNESS = 0.2
"""The minimum share of odd characters in wrongly decoded text. Normal text, such as kΩ or geht´s, has a lower share."""
_WITHIN_WORDS = frozenset("\u2019\u2018\u00b7\u2013\u2014\u2026\u00ad\u2010\u2011\u200c\u200d")
"""Apostrophes, hyphens and dashes, which occur between letters."""
_NEVER_IN_WORDS = frozenset("ƒ\ufffd")
_NEVER_BEFORE_LETTERS = frozenset("†‡‰")
_NEVER_BEHIND_LETTERS = frozenset("§¶¼½¾¬¦¤")
_UTF_8_LETTER = re.compile(rb"[\xc2-\xf4][\x80-\xbf]+")
_SIDE_BY_SIDE = re.compile(rb"[\x80-\xff]{2}|\x83[@-~]\x83")
"""Matches two-byte characters. In Western text, such as °C, non-ASCII bytes occur singly. In Shift_JIS, each katakana
is the byte 83 followed by an ASCII byte."""
_MIN_LETTERS_BYTES = 6
"""If fewer bytes belong to UTF-8 characters, the text might be in a two-byte charset."""
_UPPER_CONTROLS = re.compile("[\x80-\x84\x86-\x9f]")
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")
_LETTER = re.compile(rb"[\x80-\xff]")
_MAX_LEAD_BYTES = 200
_SHOWN = {
    "cp932": "Shift_JIS",
    "cp949": "EUC-KR",
    "euc_jis_2004": "EUC-JP",
    "gb18030": "GB18030",
    "big5hkscs": "Big5",
    "mac_roman": "Mac Roman",
    "mac_cyrillic": "Mac Cyrillic",
    _MAINFRAME: "EBCDIC",
}
_PRIMERS = ("Имя;Город;Сумма".encode("cp1251"), "Größe;3".encode(_WESTERN), "名前カタカナ".encode("euc_jp"))
"""Texts that make chardet load its tables, which it would otherwise load on demand."""
_MIN_CONFIDENCE = 0.05
_MIN_LEAD = 0.01
"""The minimum difference in confidence by which another Latin charset must beat the Western one."""
_LETTER_IN_WORD = re.compile(rb"(?<=[A-Za-z])[\x80-\xff]|[\x80-\xff](?=[A-Za-z])")
_SAMPLE_BYTES = 100_000
_MAX_ODD = 0.02
"""The maximum share of damaged characters in a text whose charset is known."""


@dataclass(frozen=True, slots=True)
class DecodedText:
    """A decoded text and the charset that was guessed, or "" if the charset isn't a guess."""

    text: str = field(repr=False)
    guess: str = ""


def load_codecs() -> None:
    """Loads all text codecs, so that none has to be imported later."""
    for module in pkgutil.iter_modules(encodings.__path__):
        if module.name != "punycode":
            with suppress(LookupError, ImportError):
                _loaded[_lookup_key(module.name)] = codecs.lookup(module.name)
    for alias, name in encodings.aliases.aliases.items():
        if known := _loaded.get(_lookup_key(name)):
            _loaded.setdefault(_lookup_key(alias), known)
    codecs.unregister(encodings.search_function)


def load_detector(content: bytes) -> None:
    """Loads chardet if the content needs it, because that takes 0.48 s and 32 MB."""
    names_none = b"charset" not in content and b"CHARSET=" not in content
    if decode_text(content) is None or (names_none and (b"ncoding: " in content or b"QUOTED-PRINTABLE:" in content)):
        for words in _PRIMERS:
            _guess(words, words)


_loaded: dict[str, codecs.CodecInfo] = {}


def _lookup_key(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def _find_codec(name: str) -> codecs.CodecInfo | None:
    key = _lookup_key(name)
    for short in (key, _PREFIX.sub("", key)):
        page = _PAGE.fullmatch(short)
        for known in (short, _ALIASES.get(short), f"cp{page[1]}" if page else None, *_base_charsets(short)):
            if known is None:
                continue
            if codec := _loaded.get(known) if _loaded else _import_codec(known, name):
                return codec
    return None


def _base_charsets(key: str) -> Iterator[str]:
    """Yields the base charsets for variant names such as utf8mb4, unicode-1-1-utf-7 and iso-8859-8-i."""
    for family in ("utf7", "utf8", "shiftjis", "ksc5601", "gb18030", "gbk", "gb2312", "big5", "koi8r", "koi8u"):
        if family in key:
            yield _ALIASES.get(family, family)
    if found := re.match(r"iso(8859\d{1,2}|latin\d)", key):
        yield found[1] if "latin" in key else f"iso{found[1]}"


def _import_codec(key: str, name: str) -> codecs.CodecInfo | None:
    """Returns a codec that hasn't been loaded yet, or None if its module is `name`, because looking that up would
    recurse."""
    names = encodings.aliases.aliases
    module = {_lookup_key(one): module for alias, module in names.items() for one in (alias, module)}.get(key, key)
    with suppress(LookupError):
        return None if module == name else codecs.lookup(module)
    return None


codecs.register(_find_codec)


def python_charset(charset: str) -> str:
    """Returns Python's name for a charset, or "" if Python doesn't support it or it isn't a charset of files."""
    if any(_lookup_key(name) == _lookup_key(charset) for name in _NO_CHARSETS):
        return ""
    try:
        info = codecs.lookup(charset)
    except (LookupError, ValueError, OSError):
        return ""
    return info.name if info._is_text_encoding else ""


def decode(content: bytes, declared: Sequence[str] = ()) -> DecodedText | None:
    """Decodes content. Returns None if it isn't text. `declared`: the charsets that the file declares, best first."""
    if (text := _decode_wide(content)) is not None:
        return DecodedText(text)
    # Padding of disk blocks, and the DOS end-of-file character.
    content = content.rstrip(b"\0\x1a") or content
    names = [name for name in map(python_charset, declared) if name]
    for name in (*_charsets_before_utf8(content, names), "utf-8", *_wider_charsets(names)):
        if (text := _decode_strictly(content, name)) is not None:
            return DecodedText(text)
    if (text := _decode_ebcdic(content)) is not None:
        return DecodedText(text, _display_name(_MAINFRAME))
    sample = b"\n".join(_non_ascii_lines(content))
    if not sample:
        return None
    for name in (*names, "utf-8"):
        if _decode_damaged(sample, name) is not None and (text := _decode_damaged(content, name)) is not None:
            return DecodedText(text, _display_name(name))
    return _guess(content, sample)


def _non_ascii_lines(content: bytes) -> Iterator[bytes]:
    """Yields non-ASCII lines until there are enough for a guess. In a table, the first such line can come late."""
    room, at = _SAMPLE_BYTES, 0
    while room > 0 and (letter := _LETTER.search(content, at)):
        begin = max(content.rfind(b"\n", at, letter.start()) + 1, at, letter.start() - _MAX_LEAD_BYTES)
        end = content.find(b"\n", letter.end(), begin + room)
        at = end if end > 0 else begin + room
        yield content[begin:at]
        room -= at - begin


def _charsets_before_utf8(content: bytes, names: Sequence[str]) -> Iterator[str]:
    """Yields the charsets to try before UTF-8: 7-bit charsets and, if there are few UTF-8 characters, 2-byte
    charsets.
    """
    yield from filter(_SEVEN_BITS.match, names)
    if _ESCAPED.search(content):
        yield from ("iso2022_jp_ext", "iso2022_kr")
    if sum(map(len, _UTF_8_LETTER.findall(content, 0, _SAMPLE_BYTES))) < _MIN_LETTERS_BYTES:
        yield from _wider_charsets([name for name in names if _has_two_bytes(name)])


def _wider_charsets(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        yield from (name, *_SUPERSETS.get(name, ()))


def _has_two_bytes(name: str) -> bool:
    return isinstance(codecs.getincrementaldecoder(name)(), MultibyteIncrementalDecoder)


def _decode_strictly(content: bytes, name: str) -> str | None:
    """Decodes the content. Returns None if any bytes are invalid in this charset or become control characters."""
    try:
        text = content.decode("utf-8-sig" if name == "utf-8" else name)
    except (UnicodeError, LookupError):
        return None
    # Text doesn't have these, but windows-1252 has its quotes there.
    has_upper_controls = not name.startswith("utf") and _UPPER_CONTROLS.search(text)
    return None if is_binary(text, MAX_CONTROLS) or has_upper_controls else displayed_text(text)


def _decode_wide(content: bytes) -> str | None:
    """Decodes UTF-16 or UTF-32, which are recognized by a byte order mark or by zeros in the same positions
    throughout."""
    for mark, name in _MARKS.items():
        if content.startswith(mark):
            whole = content[: len(content) // len(mark) * len(mark)]
            return _decode_strictly(whole, name) or _decode_damaged(whole, name)
    sample = content[: _SAMPLE_BYTES // 4 * 4]
    # Text with one-byte characters can have a few, too.
    if b"\0" not in sample or (sample.count(0) * 5 < len(sample) and decode_text(content) is not None):
        return None
    for width, names in ((4, ("utf-32-le", "utf-32-be")), (2, ("utf-16-le", "utf-16-be"))):
        zeros = [sample[at::width].count(0) for at in range(width)]
        name = names[zeros[0] > zeros[-1]]
        if min(zeros) * 4 <= max(zeros) and _is_plausible(sample.decode(name, errors="replace")):
            return _decode_strictly(content[: len(content) // width * width], name)
    return None


def _decode_ebcdic(content: bytes) -> str | None:
    """Decodes EBCDIC, in which nearly all letters and digits are non-ASCII bytes and @ is a space."""
    sample = content[:_SAMPLE_BYTES]
    if sample.count(b"@") * 20 < len(sample) or sample.count(b" ") or len(_LETTER.findall(sample)) * 3 < len(sample):
        return None
    text = content.decode(_MAINFRAME).replace("\x85", "\n")
    is_text = sum(map(str.isascii, text[:_JUDGED_CHARS])) >= len(text[:_JUDGED_CHARS]) * (1 - _MAX_ODD)
    return displayed_text(text) if is_text and not is_binary(text, MAX_CONTROLS_OF_GUESS) else None


def _is_plausible(text: str) -> bool:
    """Returns whether nearly all characters are assigned in Unicode. Random bytes decode to many unassigned ones."""
    sample = text[:2_000]
    odd = sum(character == "\ufffd" or unicodedata.category(character) in ("Cn", "Co") for character in sample)
    return odd <= len(sample) * _MAX_ODD


def _decode_damaged(content: bytes, name: str) -> str | None:
    """Decodes text that has a few damaged bytes. If the text is UTF-8, these are decoded as windows-1252, because logs
    mix the two."""
    if name == "utf-8":
        text, odd = _decode_mixed(content)
        if odd * 4 > len(_UTF_8_LETTER.findall(content)):
            return None
    else:
        text = content.decode(_SUPERSETS.get(name, (name,))[-1], errors="replace")
        if text.count("\ufffd") > max(1, len(text) * _MAX_ODD):
            return None
    return None if is_binary(text, MAX_CONTROLS_OF_GUESS) else displayed_text(text)


def _decode_mixed(content: bytes) -> tuple[str, int]:
    """Decodes a mix of UTF-8 and windows-1252. Also returns how many bytes aren't UTF-8."""
    text = content.decode(errors="surrogateescape")
    return _ESCAPED_BYTE.subn(lambda found: _decode_western(found[0]), text)


def _decode_western(escaped: str) -> str:
    return escaped.encode(errors="surrogateescape").decode(_WESTERN, errors="replace")


def _guess(content: bytes, sample: bytes) -> DecodedText | None:
    try:
        import chardet
    except (ImportError, OSError):
        # Opening files is denied, and the need wasn't foreseen: a part of a mail declares no charset, or an unknown
        # one.
        return DecodedText(displayed_text(content.decode(_WESTERN, errors="replace")), _display_name(_WESTERN))

    found = chardet.detect_all(sample, ignore_threshold=True, include_encodings=_GUESSED, compat_names=False)
    name = _likelier_charset(
        sample, _trusted_charset({one["encoding"] or _WESTERN: one["confidence"] or 0 for one in found}, sample)
    )
    text = _decode_mixed(content)[0] if name == "utf-8" else content.decode(name, errors="replace")
    if is_binary(text, MAX_CONTROLS_OF_GUESS) or text.count("\ufffd") > max(2, len(text) * _MAX_ODD):
        return None
    return DecodedText(displayed_text(text), _display_name(name))


def _trusted_charset(found: Mapping[str, float], sample: bytes) -> str:
    """Returns chardet's first choice, or the Western charset if that choice is doubtful."""
    name, confidence = next(iter(found.items()), (_WESTERN, 0))
    if name in _LATIN:
        is_seen = _LETTER_IN_WORD.search(sample) is not None
        return name if is_seen and confidence >= found.get(_WESTERN, 0) + _MIN_LEAD else _WESTERN
    is_seen = _SIDE_BY_SIDE.search(sample) is not None
    return name if is_seen and (confidence >= _MIN_CONFIDENCE or _has_two_bytes(name)) else _WESTERN


def _likelier_charset(sample: bytes, guess: str) -> str:
    """Returns a charset that results in words where the guessed one results in odd characters, otherwise the guess."""
    text = sample.decode(guess, errors="replace")
    odd = _oddness(text)
    names = _rival_charsets(guess, text, odd)
    if not names:
        return guess
    texts = {name: sample.decode(name, errors="replace") for name in names}
    if _UTF_8_LETTER.search(sample):
        texts["utf-8"] = _decode_mixed(sample)[0]
    rivals = {name: _oddness(text) for name, text in texts.items()}
    best = min(rivals, key=lambda name: rivals[name])
    return best if rivals[best] * 2 <= odd or _has_two_bytes(guess) else guess


def _rival_charsets(guess: str, text: str, odd: float) -> Sequence[str]:
    """Returns the likely alternatives to a guess, most common first. `odd`: the text's oddness."""
    if _has_two_bytes(guess):
        return _RIVALS if len(_ALONE.findall(text)) * 2 > len(_NON_ASCII.findall(text)) else ()
    near = _CYRILLIC if guess in _CYRILLIC else ()
    return (*near, *_RIVALS) if odd >= _MIN_ODDNESS or "\ufffd" in text else near


def _oddness(text: str) -> float:
    """Returns the share of non-ASCII characters that are where words don't have them, such as in MŸller, Rйunion or
    £ód¼."""
    framed = f" {text[:_JUDGED_CHARS]} "
    odd = [_is_odd(*framed[found.start() - 1 : found.end() + 1]) for found in _NON_ASCII.finditer(framed)]
    in_lines = sum(len(found[0]) for found in _DRAWN_LINE.finditer(framed))
    return min(1.0, (sum(odd) + in_lines) / max(1, len(odd)))


def _is_odd(before: str, character: str, after: str) -> bool:
    """Returns whether a character doesn't fit its neighbors. Words, for example, don't mix scripts or have inner
    capitals."""
    if character in _NEVER_IN_WORDS or (character in _NEVER_BEFORE_LETTERS and after.isalpha()):
        return True
    if character.isalpha():
        is_late = character.isupper() and (before.islower() or (before.isalpha() and after.islower()))
        is_latin = character < "\u0250" or "\u1e00" <= character <= "\u1eff"
        return is_late or (not is_latin and any(one.isascii() and one.isalpha() for one in (before, after)))
    kind = unicodedata.category(character)
    if kind[0] in "CMZ":
        return kind in ("Cc", "Cn", "Co")
    if before.isalpha() and after.isalpha():
        return character not in _WITHIN_WORDS
    if before.islower():
        return kind == "Sk" or character in _NEVER_BEHIND_LETTERS
    return kind[0] in "SN" and after.islower() and not before.isalnum()


def _display_name(name: str) -> str:
    name = _SHOWN.get(name, name)
    return f"windows-{name[2:]}" if re.fullmatch(r"cp(?:125\d|874)", name) else name
