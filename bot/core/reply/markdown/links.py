"""Detection of deceptive links: the label names one host, the link leads to another.

A model that reads web pages or other people's messages can be made to write `[bank.com](https://evil.com)`. Slack shows
the label alone. So a link whose label names a host that the link doesn't lead to is sent as text with both (see
`inline_parser.py`).

A label is read as a person would read it (`lookalikes.py`): without marks and invisible characters, and with lookalikes
of letters and dots taken for Latin ones. A destination is read as browsers do. When in doubt a link shows where it
leads. Not everything with a dot is a host: `os.path` is none, and `README.md` may be one or a file. A label that may be
a file's name is honest if the link leads to that file. A mailbox is honest if the mail goes there and nowhere else. A
link that opens an app (`tel:`, `slack:`) is honest only if the label is what it opens.
"""

import html
import re
from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from bot.core.reply.markdown import hosts, lookalikes
from bot.core.reply.markdown.lookalikes import ReadText

MAX_DESTINATIONS = 8
"""A link that may have more destinations counts as deceptive if its label names any host."""
MAX_LABEL_CHARS = 2_000
"""A label that is longer, once compatibility characters are written out, counts as deceptive."""
MAX_NAMED_HOSTS = 20
"""A label that names more hosts counts as deceptive."""
MAX_USER_CHARS = 200
"""How far before a host its scheme is looked for, across a user name."""

_DOTTED_NAME = re.compile(r"(?<![\w-])[\w-]++(?:\.[\w-]++)++")
_URL = re.compile(
    r"(?<=[a-z0-9+.-])://(?:[^\s/@]*+@)?(?P<host>\[[0-9a-f:.]++\]|[^\s/:?#@\])>]++)",
    re.IGNORECASE,
)
_HOST_AND_PORT = re.compile(r"\s*([a-z][\w-]*):(?:80|443|\d{4,5})(?:/\S*)?\s*", re.IGNORECASE)
"""Matches a whole label such as `intranet:8080/login`."""
_NUMBER = re.compile(r"\s*(0x[0-9a-f]+|\d{8,12})\s*", re.IGNORECASE)
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-f:]*::?[0-9a-f:.]++(?![\w:])", re.IGNORECASE)
_DEFANGED_DOT = re.compile(r"[\[({](?:\.|dot)[\])}]", re.IGNORECASE)
_USER_START = re.compile(r"[\s/@]")
_NO_RELATIVE_SCHEME = re.compile(r"[\w:]")
_FILE_EXTENSIONS = frozenset(
    ["cc", "md", "mk", "ml", "mm", "mov", "pm", "ps", "py", "rs", "sc", "sh", "so", "tf", "zip"]
)
"""The top-level domains that are extensions of files, too."""
_SCHEME = re.compile(r"^(https?:)/*", re.IGNORECASE)
_UNSAFE = re.compile(r"(?<![^\W_])_|_(?![^\W_])|[*~`\[\]()<>|\\\s\x00-\x1f]")
"""Matches what Markdown would take for a mark in a bare URL, and what would end the URL."""
_ENTITY = re.compile(r"&#?\w+;")
_BACKSLASH = re.compile(r"\\([!-/:-@\[-`{-~])")
_MARKUP = str.maketrans("", "", "*~`\\")
_APP = re.compile(r"(?!https?:|mailto:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)
"""Matches the scheme of what no browser opens as a web page."""
_NOT_SHOWN_IN_URL = re.compile(r"[\x00-\x20]")
_NOT_SAID = re.compile(r"[\s()./-]")
_MAILBOX = re.compile(r"[\w.%+-]++@[\w.-]++(?<![.-])")


class NamedHost(NamedTuple):
    """A host that a reader sees in a label."""

    host: str
    """As readers take it, in lower case; "" if it is written so that it can be any."""
    is_certain: bool
    """Whether it can't be a file's name or a number."""


def is_deceptive(label: str, *destinations: str, before: str = "") -> bool:
    """Whether a label names a host that the link doesn't lead to, or doesn't say what an app would open.

    A reference link has several possible destinations if its label is defined more than once; each must be honest.

    `before`: what stands directly before the label. A host may begin there and end in the label.
    """
    if not before and all(_is_plain_address(label, destination) for destination in destinations):
        return False
    if any(_hides_address(label, destination) for destination in destinations):
        return True
    text = _read(before + label)
    if text is None:
        return True
    named = _named_hosts(text)
    if before and (text_before := _read(before)):
        # A host that ends before the label is no claim of the link.
        others = _named_hosts(text_before)
        named = [host for host in named if host not in others]
    if not named or len(destinations) > MAX_DESTINATIONS or len(named) > MAX_NAMED_HOSTS:
        return bool(named)
    mailboxes = set(_MAILBOX.findall(text.latin.lower()))
    urls = [url for destination in destinations for url in _readings(destination)]
    return any(not _leads_to(url, host, mailboxes) for url in urls for host in named)


def bare_url(destination: str) -> str:
    """Returns a destination as text that Slack makes a link of.

    It has no user name before its host and nothing that Markdown takes for a mark. Letters of other scripts in the host
    become `xn--…`, because they may look like Latin ones, and an IPv4 address four numbers.
    """
    url = normalized(destination)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if hosts.ascii_host(host) != host.removesuffix(".") or "@" in parts.netloc:
            port = f":{parts.port}" if parts.port else ""
            url = parts._replace(netloc=hosts.ascii_host(host) + port).geturl()
    except ValueError:
        pass
    return _UNSAFE.sub(lambda mark: f"%{ord(mark[0]):02X}", url)


def _is_plain_address(label: str, destination: str) -> bool:
    """Whether a label is the link's whole address, in ASCII and without anything that could hide in one."""
    return label == destination and bool(_host(label)) and label.isascii() and not re.search(r"[@\\&*~`\s]", label)


def _hides_address(label: str, destination: str) -> bool:
    """Whether a link opens an app with something else than the label says."""
    if ":" not in destination and "&" not in destination:
        # It has no scheme: an entity may be the colon.
        return False
    url = _NOT_SHOWN_IN_URL.sub("", normalized(destination))
    if not _APP.match(url):
        return False
    return _NOT_SAID.sub("", label) not in (_NOT_SAID.sub("", url), _NOT_SAID.sub("", url.partition(":")[2]))


def _read(label: str) -> ReadText | None:
    return lookalikes.read(html.unescape(label).translate(_MARKUP), MAX_LABEL_CHARS)


def _host(url: str) -> str:
    """Returns the host that a URL leads to; "" if nobody can tell."""
    try:
        return urlsplit(normalized(url)).hostname or ""
    except ValueError:
        return ""


def normalized(destination: str) -> str:
    """Returns a destination as browsers read it."""
    url = _BACKSLASH.sub(r"\1", decoded(destination)).strip().replace("\\", "/")
    return _SCHEME.sub(r"\1//", url)


def decoded(destination: str) -> str:
    """Decodes the entities that Markdown knows: `&copy=` in a URL is none."""
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), destination)


def _named_hosts(text: ReadText) -> list[NamedHost]:
    latin = _DEFANGED_DOT.sub(".", text.latin)
    if latin != text.latin:
        text = ReadText(latin, tuple(latin))
    named = [NamedHost(_as_read(text, *url.span("host")), True) for url in _URL.finditer(latin)]
    for name in _DOTTED_NAME.finditer(latin):
        host_end, is_certain = _host_end(text, name)
        if host_end:
            named.append(NamedHost(_as_read(text, name.start(), host_end), is_certain))
    named += [NamedHost(ip[0].lower(), True) for ip in _IPV6.finditer(latin) if hosts.ipv6(ip[0])]
    if host_and_port := _HOST_AND_PORT.fullmatch(latin):
        named.append(NamedHost(_as_read(text, *host_and_port.span(1)), False))
    if (number := _NUMBER.fullmatch(latin)) and hosts.ipv4(number[1]):
        named.append(NamedHost(number[1].lower(), False))
    return named


def _host_end(text: ReadText, name: re.Match[str]) -> tuple[int, bool]:
    """Returns where the host in a name with dots ends, 0 if it names none; and whether it can't be a file's name."""
    start = name.start()
    has_scheme = _has_scheme(text.latin, start)
    if has_scheme or _is_address(lookalikes.ascii_digits(text.written_between(*name.span()))):
        return name.end(), True
    if text.latin[start : start + 4].lower() == "www.":
        return name.end(), False
    # What follows a top-level domain may be the next sentence: `bank.com.Please`.
    end = name.end()
    while end > start:
        dot = text.latin.rfind(".", start, end)
        if dot < 0:
            return 0, False
        if lookalikes.reads_as_tld(text, dot + 1, end):
            return end, False
        end = dot
    return 0, False


def _is_address(name: str) -> bool:
    """Whether readers take a name with dots for an IPv4 address: `1.2.3` is a version."""
    return (name.count(".") == 3 or "0x" in name.lower()) and bool(hosts.ipv4(name))


def _has_scheme(text: str, host_start: int) -> bool:
    """Whether `https://`, `//` or the like stands before a host, or before its user name."""
    before = text[max(0, host_start - MAX_USER_CHARS) : host_start]
    if before.endswith("@"):
        starts = [start.end() for start in _USER_START.finditer(before, 0, len(before) - 1)]
        before = before[: starts[-1]] if starts else ""
    if not before.endswith("//"):
        return False
    return before.endswith("://") or not _NO_RELATIVE_SCHEME.fullmatch(before[-3:-2])


def _as_read(text: ReadText, start: int, end: int) -> str:
    """Returns a host as readers take it: in Latin letters, if all of it looks Latin."""
    latin, written = text.latin[start:end], text.written_between(start, end)
    if latin.isascii():
        return latin.lower()
    return "" if any(map(lookalikes.mixes_scripts, written.split("."))) else written.lower()


def _readings(destination: str) -> set[str]:
    """Returns a destination as Markdown reads it, and as browsers do, to which a backslash is a slash."""
    return {normalized(destination), decoded(destination).strip().replace("\\", "/")}


def _leads_to(url: str, named: NamedHost, mailboxes: Collection[str]) -> bool:
    """Whether a URL leads to the host that its label names, a subdomain of it, or the file that the label names.

    Mail goes to the only one of the label's `mailboxes`, and to no other.
    """
    if url.lower().startswith("mailto:"):
        return {url.lower().removeprefix("mailto:")} == mailboxes
    host, named_host = hosts.ascii_host(_host(url)), hosts.ascii_host(named.host.removeprefix("www."))
    if named_host and host.removeprefix("www.") == named_host:
        return True
    if named_host and host.endswith("." + named_host) and not hosts.is_public_suffix(named_host):
        return True
    if named.is_certain:
        return False
    name, _, extension = named.host.rpartition(".")
    if not name:
        return named.host.isdecimal() and named.host in url
    return extension in _FILE_EXTENSIONS and "." not in name and _is_file(url, named.host)


def _is_file(url: str, file_name: str) -> bool:
    """Whether the last part of a URL's path is this file name."""
    try:
        return unquote(urlsplit(normalized(url)).path).rpartition("/")[2].lower() == file_name
    except ValueError:
        return False
