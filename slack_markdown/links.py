"""Links that deceive, and addresses that open what they shouldn't.

A model that reads web pages or other people's messages can be made to write any of these.

**Deceptive links.** In `[bank.com](https://evil.com)`, Slack shows the label alone. So a link whose label names a host
that the link doesn't lead to is sent as text with both, a reference link with its brackets (`inlines.py`). A label is
read as a person would read it (`lookalikes.py`), and a destination as browsers do. When in doubt a link shows where it
leads. Not everything with a dot is a host: `os.path` is none, and `README.md` may be one or a file. A label that may be
a file's name is honest if the link leads to that file. A mailbox is honest if the mail goes there and nowhere else. A
link that opens an app (`tel:`, `slack:`) is honest only if the label is what it opens. A label that shows nothing hides
the whole link, which becomes its address.

**Bare URLs.** Slack makes links of `https://…` in a text, so a host is sent in the form that says where the link leads.
`https://gіthub.com` has a Cyrillic і, `https://github.com@evil.example` leads to evil.example, and `https://2130706433`
to an IPv4 address. Such a host is sent in ASCII without a user name, and an address as four numbers. Where text follows
a host directly, as in `https://example.com。谢谢`, a space ends the link with the host that readers see. The host is in
the URL's authority, between `://` and the next `/`. All else of a URL is sent as it is written.

**Files, canvases and lists in Slack.** A post that links a file shares it, if the bot can (slackapi/bolt-python#1018),
and a canvas's link expands whatever the post's unfurl flags say (slackapi/python-slack-sdk#1654). In code, or without
its scheme, an address opens nothing (dam-agents/dam#3499). So it is sent as code and without its scheme, unless the
conversation's readers may open the file anyway. Slack decides at the post, and an edit opens nothing; but an answer
that grows looks the same in both.
"""

import html
import re
import unicodedata
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import regex

from slack_markdown import lookalikes
from slack_markdown.escaping import HAIR_SPACE, Replacement, with_replacements
from slack_markdown.lookalikes import MAX_HOST_CHARS, ReadText, ascii_host, ipv4, ipv6, is_public_suffix, is_tld

MAX_DESTINATIONS = 8
"""A link that may have more destinations counts as deceptive."""
MAX_LABEL_CHARS = 2_000
"""A label that is longer, once compatibility characters are written out, counts as deceptive."""
MAX_NAMED_HOSTS = 20
"""A label that names more hosts counts as deceptive."""
MAX_USER_CHARS = 200
"""How far before a host its scheme is looked for, across a user name."""
_DOTTED_NAME = re.compile(r"(?<![\w-])[\w-]++(?:\.[\w-]++)+")
_URL = re.compile(
    r"(?<=[a-z0-9+.-])://(?:[^\s/@]*+@)?(?P<host>\[[0-9a-f:.]++\]|[^\s/:?#@\])>]++)",
    re.IGNORECASE,
)
_HOST_AND_PORT = re.compile(r"\s*([a-z][\w-]*):(?:80|443|\d{4,5})(?:/\S*)?\s*", re.IGNORECASE)
"""Matches a whole label such as `intranet:8080/login`."""
_NUMBER = re.compile(r"\s*(0x[0-9a-f]+|\d{8,12})\s*", re.IGNORECASE)
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-f]*+:[0-9a-f:.]++(?![\w:])", re.IGNORECASE)
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
_MAILBOX = re.compile(r"[\w.%+-]++@[\w-]++(?:\.[\w-]++)*")

_WRITTEN = regex.compile(r"\?(?:(?:subject|body)=(?:[^&;#?\s%]|%(?!0[ad])[0-9a-f]{2})*+(?:&|\Z))*+\Z")
"""Matches the part of a `mailto:` address, in lower case, that says what to write, and to nobody else."""


_once = lru_cache(maxsize=256)
"""A destination is judged once, however long it is: an answer may refer to it a thousand times."""


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
    if not before and all(
        _is_plain_address(label, destination) for destination in destinations[: MAX_DESTINATIONS + 1]
    ):
        return False
    if len(destinations) > MAX_DESTINATIONS or any(_hides_address(label, destination) for destination in destinations):
        return True
    text = _read(before + label)
    if text is None:
        return True
    named = _named_hosts(text)
    if before and (text_before := _read(before)):
        # A host that ends before the label is no claim of the link.
        others = _named_hosts(text_before)
        named = [host for host in named if host not in others]
    if not named or len(named) > MAX_NAMED_HOSTS:
        return bool(named)
    mailboxes = set(_MAILBOX.findall(text.latin.lower()))
    urls = frozenset[str]().union(*map(_readings, destinations))
    return any(not _leads_to(url, host, mailboxes) for url in urls for host in named)


def shows_nothing(label: str) -> bool:
    """Whether a reader sees nothing of a label, so that the link hides itself and where it leads."""
    text = _read(label)
    return text is not None and not text.latin.strip()


def bare_url(destination: str) -> str:
    """Returns a destination as text that Slack makes a link of.

    It has no user name before its host and nothing that Markdown takes for a mark. Letters of other scripts in the host
    become `xn--…`, because they may look like Latin ones, and an IPv4 address four numbers.
    """
    url = normalized(destination)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if ascii_host(host) != host.removesuffix(".") or "@" in parts.netloc:
            port = f":{parts.port}" if parts.port else ""
            url = parts._replace(netloc=ascii_host(host) + port).geturl()
    except ValueError:
        pass
    return _UNSAFE.sub(lambda mark: f"%{ord(mark[0]):02X}", url)


def _is_plain_address(label: str, destination: str) -> bool:
    """Whether a label is the link's whole address, in ASCII and without anything that could hide in one."""
    return label == destination and bool(_host(label)) and label.isascii() and not re.search(r"[@\\&*~`\s]", label)


def _hides_address(label: str, destination: str) -> bool:
    """Whether a link opens an app with something else than the label says."""
    honest = _app_labels(destination)
    return bool(honest) and _NOT_SAID.sub("", label) not in honest


@_once
def _app_labels(destination: str) -> tuple[str, ...]:
    """Returns what a label may say of a link that opens an app, without punctuation; () if a browser opens it."""
    if ":" not in destination and "&" not in destination:
        # It has no scheme: an entity may be the colon.
        return ()
    url = _NOT_SHOWN_IN_URL.sub("", normalized(destination))
    return tuple(_NOT_SAID.sub("", said) for said in (url, url.partition(":")[2])) if _APP.match(url) else ()


@_once
def _readings(destination: str) -> frozenset[str]:
    """Returns a destination as browsers may read it: to them, a backslash is a slash."""
    return frozenset([normalized(destination), decoded(destination).strip().replace("\\", "/")])


def _read(label: str) -> ReadText | None:
    return lookalikes.read(html.unescape(label).translate(_MARKUP), MAX_LABEL_CHARS)


@_once
def _host(url: str) -> str:
    """Returns the host that a URL leads to; "" if nobody can tell."""
    try:
        return urlsplit(normalized(url)).hostname or ""
    except ValueError:
        return ""


@_once
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
    named += [NamedHost(ip[0].lower(), True) for ip in _IPV6.finditer(latin) if ipv6(ip[0])]
    if host_and_port := _HOST_AND_PORT.fullmatch(latin):
        named.append(NamedHost(_as_read(text, *host_and_port.span(1)), False))
    if (number := _NUMBER.fullmatch(latin)) and ipv4(number[1]):
        named.append(NamedHost(number[1].lower(), False))
    return named


def _host_end(text: ReadText, name: re.Match[str]) -> tuple[int, bool]:
    """Returns where the host in a name with dots ends, 0 if it names none; and whether it can't be a file's name."""
    start = name.start()
    digits = lookalikes.ascii_digits(text.written_between(*name.span()))
    # Readers take `1.2.3` for a version.
    may_be_address = digits.count(".") == 3 or "0x" in digits.lower()
    if _has_scheme(text.latin, start) or (may_be_address and ipv4(digits)):
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


def _leads_to(url: str, named: NamedHost, mailboxes: Collection[str]) -> bool:
    """Whether a URL leads to the host that its label names, a subdomain of it, or the file that the label names.

    Mail goes to the only one of the label's `mailboxes`, and to no other.
    """
    if url[:7].lower() == "mailto:":
        return {_mailbox(url)} == mailboxes
    host, named_host = ascii_host(_host(url)), ascii_host(named.host.removeprefix("www."))
    if named_host and host.removeprefix("www.") == named_host:
        return True
    if named_host and host.endswith("." + named_host) and not is_public_suffix(named_host):
        return True
    if named.is_certain:
        return False
    name, _, extension = named.host.rpartition(".")
    if not name:
        return named.host.isdecimal() and named.host in url
    return extension in _FILE_EXTENSIONS and "." not in name and _file_name(url) == named.host


@_once
def _mailbox(url: str) -> str:
    return _WRITTEN.sub("", url.lower().removeprefix("mailto:"))


@_once
def _file_name(url: str) -> str:
    """Returns the last part of a URL's path, in lower case."""
    try:
        return unquote(urlsplit(normalized(url)).path).rpartition("/")[2].lower()
    except ValueError:
        return ""


MAX_AUTHORITY_CHARS = 400
"""Slack makes no link of a URL with a longer authority, because a space begins it."""
MAX_INTERNATIONAL_CHARS = 40
"""Slack makes no link of a URL whose host has more characters that aren't ASCII."""
MAX_ADDED_CHARS = 9
"""How many characters longer a host becomes by one of these, at most: `і` alone is `xn--e1a`."""
URL_START = r"(?:\\?:|&(?:colon|#0*58|#[xX]0*3[aA]);)(?:\\?/|&(?:sol|#0*47|#[xX]0*2[fF]);){2}"
"""Matches `://`, also with the backslashes and entities that Markdown removes."""
MAYBE_CHANGED = r"://(?:\d|[^\s/?#<>|\"`]*?(?:[@%&\\]|[^\x00-\x7f])|[^\s/?#<>|\"`]{400})|\\[:/]|&(?:#|colon;|sol;)"
"""Matches in any text with a URL that isn't sent as it is written."""
WIDE_MARK = re.compile("[、。，；：！？（）「」『』《》〈〉【】〔〕［］｛｝\u060c\u061b\u061f\u0964]")
"""Matches punctuation of scripts that put no space before it, so that it seems to go on a URL."""
_AUTHORITY = re.compile(rf"(?:[^\s/?#<>|\"`\]]|(?<=&)#|\](?![(\[])){{0,{MAX_AUTHORITY_CHARS + 1}}}")
_URLS_AND_CODE = re.compile(rf"```.*?(?:```|\Z)|`[^`\n]*`|{URL_START}", re.DOTALL)
_COUNTED = re.compile(rf"{URL_START}((?:[^\s/?#<>|\"`:&\\]|(?!{URL_START})[:&\\]|(?<=&)#)*)")
_URL_SCHEME = re.compile(r"https?\Z", re.IGNORECASE)
_MAX_SCHEME_CHARS = 5 * len("&#x000068;")
_AS_WRITTEN = re.compile(r"(?!\d)[^@%&\\\x80-\U0010ffff]*")
_CHARACTER = re.compile(r"\\[!-/:-@\[-`{-~]|&#?\w{1,32};|.", re.DOTALL)
_AUTHORITY_END = re.compile(r"[\s/?#\\<>|\"`]")
_DOTS = str.maketrans(dict.fromkeys("。．｡", "."))
"""What browsers read as a dot."""
_ADDRESS = re.compile(rf"{URL_START}|\]\(|<[a-z][a-z0-9+.-]*:|www\.|mailto:", re.IGNORECASE)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*(?:`|\Z)", re.DOTALL)
_LAST_LABEL = re.compile(r"(?<=\w)[.。．｡]([^\W\d_]{2,24})(?![\w-])")
"""What may be the end of a host, or of a mailbox's."""
_JOINED = regex.compile(r"[^\x00-\x7f\p{Latin}\p{M}]|[^\w.:@%&-](?=.*@)", regex.DOTALL)
"""Matches what can't continue a host that is complete."""
_HOST_END = regex.compile(r"(?=[\x00-\x7f])[^\w.%~-]|(?![\x00-\x7f])\p{P}")
_MAX_TLD_CHARS = 24
_BRACKETS = frozenset("[]")
_SENT_HOST = re.compile(r"[a-z0-9._~-]+")


def is_web_address(text: str, start: int) -> bool:
    """Whether a scheme that Slack makes a link of stands before the `://` at an offset."""
    return bool(_URL_SCHEME.search(decoded(text[max(0, start - _MAX_SCHEME_CHARS) : start])))


def has_address(markdown: str) -> bool:
    """Whether a text may have a link, however that is written.

    A host without a scheme and a mailbox count, because clients make links of them; in code they don't. Names of files
    and methods, such as `main.py`, look like hosts. An address with a scheme counts in code, too.
    """
    if _ADDRESS.search(markdown):
        return True
    return any(is_tld(label[1]) for label in _LAST_LABEL.finditer(_CODE.sub("", markdown)))


def is_growing_authority(text: str, at: int) -> bool:
    """Whether the authority that begins at an offset may continue behind the text."""
    end = _authority_end(text, at)
    return end == len(text) and end - at <= MAX_AUTHORITY_CHARS


def sent_authority(text: str, at: int) -> Replacement | None:
    """Returns how the authority that begins at an offset is sent; None if as it is written."""
    end = _authority_end(text, at)
    if end - at > MAX_AUTHORITY_CHARS:
        return Replacement(at, at, HAIR_SPACE)
    if _AS_WRITTEN.fullmatch(text, at, end):
        return None
    authority, offsets = _read_authority(text, at, end)
    stop = _end_of_complete_host(authority)
    start = authority.rfind("@", 0, stop) + 1
    host = _HOST_END.split(authority[start:stop].translate(_DOTS), maxsplit=1)[0].rstrip(".-_~%")
    host_end = start + len(host)
    written = text[at : offsets[host_end]]
    sent = _in_ascii(host) if _international_chars(host) < MAX_INTERNATIONAL_CHARS else ""
    has_brackets = not _BRACKETS.isdisjoint(authority[:start])
    if has_brackets or (not sent and (written or not authority or not authority.isascii())):
        # Nobody can tell where such a URL leads: it is no link. A bracket ends what is compared with files.
        return Replacement(at, at, HAIR_SPACE)
    shown = written if sent == written.lower() else sent
    if stop == len(authority) and authority[host_end:].isascii():
        return Replacement(at, offsets[host_end], shown) if shown != written else None
    # A space before the end of emphasis would leave it open.
    end = host_end + len(authority[host_end:]) - len(authority[host_end:].lstrip("*~"))
    return Replacement(at, offsets[end], f"{shown}{text[offsets[host_end] : offsets[end]]}{HAIR_SPACE}")


def with_ascii_hosts(text: str) -> str:
    """Returns a text that isn't sent as Markdown, with its URLs as they are sent; code stays as it is written."""
    found = (
        match for match in _URLS_AND_CODE.finditer(text) if match[0][0] != "`" and is_web_address(text, match.start())
    )
    return with_replacements(text, filter(None, (sent_authority(text, url.end()) for url in found)))


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


def _read_authority(text: str, at: int, end: int) -> tuple[str, Sequence[int]]:
    """Returns an authority as Markdown and browsers read it, and the offset in the text of each of its characters."""
    if "&" not in text[at:end] and "\\" not in text[at:end]:
        return text[at:end], range(at, end + 1)
    offsets, characters = [at], ""
    for written in _CHARACTER.finditer(text, at, end):
        read = written[0][1:] if written[0][0] == "\\" and len(written[0]) > 1 else decoded(written[0])
        characters += read
        offsets += [written.end()] * len(read)
    return _AUTHORITY_END.split(characters, maxsplit=1)[0], offsets


def _end_of_complete_host(authority: str) -> int:
    """Returns where a host ends that text is joined to; the authority's end without one."""
    for joined in islice(_JOINED.finditer(authority), MAX_INTERNATIONAL_CHARS):
        before, _, tld = authority[: joined.start()].translate(_DOTS).rpartition(".")
        if before and 1 < len(tld) <= _MAX_TLD_CHARS and is_tld(tld):
            return joined.start()
    return len(authority)


def _in_ascii(host: str) -> str:
    """Returns a host as browsers look it up, in ASCII; "" if it can't be one."""
    try:
        sent = ascii_host(unquote(host))
    except ValueError:
        return ""
    return sent if len(sent) <= MAX_HOST_CHARS and _SENT_HOST.fullmatch(sent) else ""


SLACK_DOMAIN = r"slack(?:-gov|-files)?\.com"
"""Matches in any address of a file, in lower case, that is written plainly."""
_SLACK_HOST = re.compile(rf"(?:[\w-]+\.)*(?:{SLACK_DOMAIN})")
_ONLY_FILES = re.compile(r"(?:[\w-]+\.)*slack-files\.com|files\.slack(?:-gov)?\.com")
_FILE_FOLDER = re.compile(r"/(?:canvas|docs|files|lists)\b")
_FILE_ID = re.compile(r"[/=-](F[A-Z0-9]{5,30})\b")
_FILE_ADDRESS = re.compile(r"(https?://)([^\s<>|\"`]{4,})", re.IGNORECASE)
_NOT_PLAIN = re.compile(r"[&%\\]|[^\x00-\x7f]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_NOT_IN_CODE = re.compile(r"[`\s]|https?://", re.IGNORECASE)


def is_closed_file(url: str, open_files: Collection[str] = ()) -> bool:
    """Whether a URL is the address of a file in Slack that isn't among `open_files`.

    All that looks like an id has to be one of these: which of several Slack would take isn't known.
    """
    return any(file_id not in open_files for file_id in _files_in_slack(url))


@_once
def _files_in_slack(url: str) -> frozenset[str]:
    """Returns the ids of the files whose address a URL may be; an empty id stands for a file that has none in it."""
    if not may_be_in_slack(url):
        return frozenset()
    try:
        parts = urlsplit(normalized(url))
        host = ascii_host(parts.hostname or "")
    except ValueError:
        return frozenset()
    if not _SLACK_HOST.fullmatch(host):
        return frozenset()
    path = unquote(f"{parts.path}?{parts.query}#{parts.fragment}")
    if ids := _FILE_ID.findall(path):
        return frozenset(ids)
    is_file = (_ONLY_FILES.fullmatch(host) and parts.path.strip("/")) or _FILE_FOLDER.match(path.lower())
    return frozenset([""] if is_file else [])


def may_be_in_slack(url: str) -> bool:
    """Whether a URL may lead to Slack, as browsers read it. Most don't, and this is quick to find out."""
    if _NOT_PLAIN.search(url):
        url = _NOT_ASCII.sub("", unicodedata.normalize("NFKC", unquote(normalized(url))))
    return "slack" in url.lower()


def file_ids_in(text: str) -> Iterator[str]:
    """Yields the ids of the files whose addresses are in a text."""
    for address in _FILE_ADDRESS.finditer(text):
        if is_closed_file(address[0]):
            yield from _FILE_ID.findall(unquote(address[0]))


def file_as_code(url: str) -> str:
    """Returns an address as a code span in Markdown that opens nothing."""
    return f"`{_NOT_IN_CODE.sub('', normalized(url))}`"


def without_schemes(text: str) -> str:
    """Returns a text that isn't Markdown, in which the addresses of files open nothing."""
    if "://" not in text:
        return text
    return _FILE_ADDRESS.sub(lambda address: address[2] if is_closed_file(address[0]) else address[0], text)
