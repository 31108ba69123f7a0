"""Where a link really leads, for a label that says something else."""

import html
import re
import unicodedata
from urllib.parse import urlsplit

MANY = 8
"""Of more addresses that a link may have, one is another."""

_HOST = re.compile(r"(?:https?://|//)?(?:[^\s/@]*@)?((?:[\w-]+\.)+[^\W\d_]{2,})(?![\w-])")
_ENDS = re.compile(
    r"[a-z]{2}|com|org|net|edu|gov|mil|int|info|biz|name|pro|app|dev|page|cloud|online|site|shop|store|xyz|top|bank|"
    r"tech|news|blog|live|link|click|email|support|help|login|secure|security|games|finance|money|pay|wiki|mobi|museum|example"
)
"""Top-level names that readers take for an address; others may be a module's member or a file."""
_SCHEME = re.compile(r"^(https?:)/*", re.IGNORECASE)
_MARKS = re.compile(r"(?<![^\W_])_|_(?![^\W_])|[*~`\[\]()<>|\\\s\x00-\x1f]")
"""What Markdown would read, and what would end the link too early."""
_ENTITY = re.compile(r"&#?\w+;")
_BACKSLASH = re.compile(r"\\([!-/:-@\[-`{-~])")


def misleads(label: str, *addresses: str) -> bool:
    """The label looks like an address, and the link leads to another host, or may do so."""
    said = _hosts(label)
    if not said or len(addresses) > MANY:
        return bool(said)
    hosts = [_host(address) for address in addresses]
    return any(not _same(each, host) for host in hosts if host for each in said)


def bare(address: str) -> str:
    """An address as text that Slack makes a link of: no name before its host, no marks of Markdown in it.

    Letters of other scripts in the host come out as `xn--…`, for they may look like what they are not.
    """
    plain = _plain(address)
    try:
        parts = urlsplit(plain)
        host = parts.hostname or ""
        if not host.isascii() or "@" in parts.netloc:
            port = f":{parts.port}" if parts.port else ""
            plain = parts._replace(netloc=host.encode("idna").decode() + port).geturl()
    except ValueError:
        pass
    return _MARKS.sub(lambda mark: f"%{ord(mark[0]):02X}", plain)


def _host(address: str) -> str:
    try:
        return urlsplit(_plain(address)).hostname or ""
    except ValueError:
        return address


def _plain(address: str) -> str:
    """An address as browsers read it."""
    plain = _BACKSLASH.sub(r"\1", _decoded(address)).strip().replace("\\", "/")
    return _SCHEME.sub(r"\1//", plain)


def _decoded(text: str) -> str:
    """With the entities decoded that Markdown knows: `&copy=` in an address is none."""
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def _hosts(label: str) -> list[str]:
    return [found[1].lower() for found in _HOST.finditer(_shown(label)) if _looks_like_a_host(found)]


def _shown(label: str) -> str:
    """A label without its marks, nor characters that nobody sees."""
    plain = unicodedata.normalize("NFKC", html.unescape(label)).replace("。", ".")
    return "".join(each for each in plain if each not in "*~`\\" and unicodedata.category(each) != "Cf")


def _looks_like_a_host(found: re.Match[str]) -> bool:
    end = found[1].rpartition(".")[2].lower()
    return "//" in found[0] or found[1].lower().startswith("www.") or bool(_ENDS.fullmatch(end))


def _same(said: str, host: str) -> bool:
    said = said.removeprefix("www.")
    return host == said or host.endswith("." + said)
