"""Bare URLs: Slack makes links of `https://…` in a text, so a host is sent in the form that says where the link leads.

`https://gіthub.com` has a Cyrillic і, `https://github.com@evil.example` leads to evil.example, and `https://2130706433`
to an IPv4 address. Such a host is sent in ASCII without a user name, and an address as four numbers. Where text follows
a host directly, as in `https://example.com。谢谢`, a space ends the link with the host that readers see.

The host is in the URL's authority, between `://` and the next `/`. All else of a URL is sent as it is written.
"""

import re
from collections.abc import Sequence
from itertools import islice
from urllib.parse import unquote

import regex

from bot.core.reply.markdown import hosts
from bot.core.reply.markdown.emphasis import HAIR_SPACE
from bot.core.reply.markdown.links import decoded
from bot.core.reply.markdown.replacement import Replacement, with_replacements

MAX_AUTHORITY_CHARS = 400
"""Slack makes no link of a URL with a longer authority, because a space begins it."""
MAX_INTERNATIONAL_CHARS = 40
"""Nor of a URL whose host has more characters that aren't ASCII."""
MAX_ADDED_CHARS = 9
"""How many characters longer a host becomes by one of these, at most: `і` alone is `xn--e1a`."""
START = r"(?:\\?:|&(?:colon|#0*58|#[xX]0*3[aA]);)(?:\\?/|&(?:sol|#0*47|#[xX]0*2[fF]);){2}"
"""Matches `://`, also with the backslashes and entities that Markdown removes."""
MAYBE_CHANGED = r"://(?:\d|[^\s/?#<>|\"`]*?(?:[@%&\\]|[^\x00-\x7f])|[^\s/?#<>|\"`]{400})|\\[:/]|&(?:#|colon;|sol;)"
"""Matches in any text with a URL that isn't sent as it is written."""

_AUTHORITY = re.compile(rf"(?:[^\s/?#<>|\"`\]]|(?<=&)#|\](?![(\[])){{0,{MAX_AUTHORITY_CHARS + 1}}}")
_URLS_AND_CODE = re.compile(rf"```.*?(?:```|\Z)|`[^`\n]*`|{START}", re.DOTALL)
_COUNTED = re.compile(rf"{START}((?:[^\s/?#<>|\"`:&\\]|(?!{START})[:&\\]|(?<=&)#)*+)")
_SCHEME = re.compile(r"https?\Z", re.IGNORECASE)
_MAX_SCHEME_CHARS = 5 * len("&#x000068;")
_AS_WRITTEN = re.compile(r"(?!\d)[^@%&\\\x80-\U0010ffff]*")
_CHARACTER = re.compile(r"\\[!-/:-@\[-`{-~]|&#?\w{1,32};|.", re.DOTALL)
_END = re.compile(r"[\s/?#\\<>|\"`]")
_DOTS = str.maketrans(dict.fromkeys("。．｡", "."))
"""What browsers read as a dot."""
_JOINED = regex.compile(r"[^\x00-\x7f\p{Latin}\p{M}]|[^\w.:@%&-](?=.*@)", regex.DOTALL)
"""Matches what can't continue a host that is complete."""
_HOST_END = regex.compile(r"(?=[\x00-\x7f])[^\w.%~-]|(?![\x00-\x7f])\p{P}")
_MAX_TLD_CHARS = 24
_SENT_HOST = re.compile(r"[a-z0-9._~-]+")


def is_url(text: str, start: int) -> bool:
    """Whether a scheme that Slack makes a link of stands before the `://` at an offset."""
    return bool(_SCHEME.search(decoded(text[max(0, start - _MAX_SCHEME_CHARS) : start])))


def is_growing(text: str, at: int) -> bool:
    """Whether the authority that begins at an offset may continue behind the text."""
    end = _authority_end(text, at)
    return end == len(text) and end - at <= MAX_AUTHORITY_CHARS


def change(text: str, at: int) -> Replacement | None:
    """Returns how the authority that begins at an offset is sent; None if as it is written."""
    end = _authority_end(text, at)
    if end - at > MAX_AUTHORITY_CHARS:
        return Replacement(at, at, HAIR_SPACE)
    if _AS_WRITTEN.fullmatch(text, at, end):
        return None
    authority, offsets = _read(text, at, end)
    stop = _end_of_complete_host(authority)
    start = authority.rfind("@", 0, stop) + 1
    host = _HOST_END.split(authority[start:stop].translate(_DOTS), maxsplit=1)[0].rstrip(".-_~%")
    host_end = start + len(host)
    written = text[at : offsets[host_end]]
    sent = _in_ascii(host) if _international_chars(host) < MAX_INTERNATIONAL_CHARS else ""
    if not sent and (written or not authority or not authority.isascii()):
        # Nobody can tell where such a URL leads: it is no link.
        return Replacement(at, at, HAIR_SPACE)
    shown = written if sent == written.lower() else sent
    if stop == len(authority) and authority[host_end:].isascii():
        return Replacement(at, offsets[host_end], shown) if shown != written else None
    # A space before the end of emphasis would leave it open.
    end = host_end + len(authority[host_end:]) - len(authority[host_end:].lstrip("*~"))
    return Replacement(at, offsets[end], f"{shown}{text[offsets[host_end] : offsets[end]]}{HAIR_SPACE}")


def with_ascii_hosts(text: str) -> str:
    """Returns a text that isn't sent as Markdown, with its URLs as they are sent; code stays as it is written."""
    found = (match for match in _URLS_AND_CODE.finditer(text) if match[0][0] != "`" and is_url(text, match.start()))
    return with_replacements(text, filter(None, (change(text, url.end()) for url in found)))


def international_chars(text: str) -> int:
    """Returns how many characters in hosts may become longer: those that aren't ASCII, addresses, and escapes.

    It never falls as the text grows.
    """
    has_urls = "/" in text or "&" in text
    return sum(_international_chars(url[1]) for url in _COUNTED.finditer(text)) if has_urls else 0


def _international_chars(authority: str) -> int:
    international = len(authority) - len(authority.encode("ascii", "ignore"))
    if authority[:1].isdigit() or "%" in authority or len(authority) > MAX_AUTHORITY_CHARS:
        international += 1
    return min(international, MAX_INTERNATIONAL_CHARS)


def _authority_end(text: str, at: int) -> int:
    authority = _AUTHORITY.match(text, at)
    return authority.end() if authority else at


def _read(text: str, at: int, end: int) -> tuple[str, Sequence[int]]:
    """Returns an authority as Markdown and browsers read it, and the offset in the text of each of its characters."""
    if "&" not in text[at:end] and "\\" not in text[at:end]:
        return text[at:end], range(at, end + 1)
    offsets, characters = [at], ""
    for written in _CHARACTER.finditer(text, at, end):
        read = written[0][1:] if written[0][0] == "\\" and len(written[0]) > 1 else decoded(written[0])
        characters += read
        offsets += [written.end()] * len(read)
    return _END.split(characters, maxsplit=1)[0], offsets


def _end_of_complete_host(authority: str) -> int:
    """Returns where a host ends that text is joined to; the authority's end without one."""
    for joined in islice(_JOINED.finditer(authority), MAX_INTERNATIONAL_CHARS):
        before, _, tld = authority[: joined.start()].translate(_DOTS).rpartition(".")
        if before and 1 < len(tld) <= _MAX_TLD_CHARS and hosts.is_tld(tld):
            return joined.start()
    return len(authority)


def _in_ascii(host: str) -> str:
    """Returns a host as browsers look it up, in ASCII; "" if it can't be one."""
    try:
        sent = hosts.ascii_host(unquote(host))
    except ValueError:
        return ""
    return sent if len(sent) <= hosts.MAX_HOST_CHARS and _SENT_HOST.fullmatch(sent) else ""
