"""Detects deceptive links, and URLs that open more than they should.

A model that reads web pages or other people's messages can be manipulated into writing either.

**Deceptive links.** In `[bank.com](https://evil.com)`, Slack only shows the label. So a link whose label names a host
other than its destination is sent as text that contains both (reference links keep their brackets, see `inlines.py`).
Labels are read the way a person would (`lookalikes.py`), and destinations the way browsers do. When in doubt, a link
shows its destination. Not everything with a dot is a host: `os.path` isn't, and `notes.md` can be a host or a file. A
label that could be a file name is honest if the link leads to that file. A label that is an email address is honest if
the mail goes only there. A link that opens an app (`tel:`, `slack:`) is honest only if its label is the same as its
destination. An invisible label hides the whole link, so the URL replaces the link.

**Bare URLs.** Slack turns each `https://…` in a text into a link, so the host is sent in a form that shows the real
destination. `https://gіthub.com` has a Cyrillic і, `https://github.com@evil.example` leads to evil.example, and
`https://2130706433` to an IPv4 address. Such a host is sent in ASCII and without a user name, and an IPv4 address is
sent as four numbers. If text follows a host directly (`https://example.com。谢谢`), a space ends the link after the
visible host. The host is in the URL's authority, between `://` and the next `/`. The rest of the URL is sent as
written.

**Files, canvases and lists in Slack.** A post that links to a file shares it, if the bot has access to it
(slackapi/bolt-python#1018), and a link to a canvas expands regardless of the post's unfurl flags
(slackapi/python-slack-sdk#1654). Slack doesn't expand a URL in code or without its scheme (dam-agents/dam#3499). So
such a URL is sent as code and without its scheme, unless the conversation's readers can open the file anyway. Slack
only expands links when a message is posted, not when it is edited, but both are sent the same way so that a growing
answer doesn't change.
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
"""The maximum number of possible destinations for a link. Links with more count as deceptive."""
MAX_LABEL_CHARS = 2_000
"""The maximum length of a label once compatibility characters are expanded. Longer labels count as deceptive."""
MAX_NAMED_HOSTS = 20
MAX_USER_CHARS = 200
"""The maximum length of a user name between a scheme and its host."""
_DOTTED_NAME = re.compile(r"(?<![\w-])[\w-]++(?:\.[\w-]++)+")
_URL = re.compile(
    r"(?<=[a-z0-9+.-])://(?:[^\s/@]*+@)?(?P<host>\[[0-9a-f:.]++\]|[^\s/:?#@\])>]++)",
    re.IGNORECASE,
)
_HOST_AND_PORT = re.compile(r"\s*([a-z][\w-]*):(?:80|443|\d{4,5})(?:/\S*)?\s*", re.IGNORECASE)
"""Matches a complete label such as `intranet:8080/login`."""
_NUMBER = re.compile(r"\s*(0x[0-9a-f]+|\d{8,12})\s*", re.IGNORECASE)
_IPV6 = re.compile(r"(?<![\w:.])[0-9a-f]*+:[0-9a-f:.]++(?![\w:])", re.IGNORECASE)
_DEFANGED_DOT = re.compile(r"[\[({](?:\.|dot)[\])}]", re.IGNORECASE)
_USER_START = re.compile(r"[\s/@]")
_NO_RELATIVE_SCHEME = re.compile(r"[\w:]")
_FILE_EXTENSIONS = frozenset(
    ["cc", "md", "mk", "ml", "mm", "mov", "pm", "ps", "py", "rs", "sc", "sh", "so", "tf", "zip"]
)
"""Top-level domains that are also file extensions."""
_SCHEME = re.compile(r"^(https?:)/*", re.IGNORECASE)
_UNSAFE = re.compile(r"(?<![^\W_])_|_(?![^\W_])|[*~`\[\]()<>|\\\s\x00-\x1f]")
"""Matches characters in a bare URL that Markdown would interpret as markup or that would end the URL."""
_ENTITY = re.compile(r"&#?\w+;")
_BACKSLASH = re.compile(r"\\([!-/:-@\[-`{-~])")
_MARKUP = str.maketrans("", "", "*~`\\")
_APP = re.compile(r"(?!https?:|mailto:)[a-z][a-z0-9+.-]*:", re.IGNORECASE)
"""Matches URL schemes that browsers don't open as web pages."""
_NOT_SHOWN_IN_URL = re.compile(r"[\x00-\x20]")
_NOT_SAID = re.compile(r"[\s()./-]")
_MAILBOX = re.compile(r"[\w.%+-]++@[\w-]++(?:\.[\w-]++)*")

_WRITTEN = regex.compile(r"\?(?:(?:subject|body)=(?:[^&;#?\s%]|%(?!0[ad])[0-9a-f]{2})*+(?:&|\Z))*+\Z")
"""Matches the query of a lowercase `mailto:` URL if it sets only the subject and body but no other recipients."""


_cached = lru_cache(maxsize=256)
"""Caches a function's result for each destination, however long it is, because an answer can refer to the same
destination a thousand times."""


class NamedHost(NamedTuple):
    host: str
    """The host as readers see it, in lowercase, or "" if it could be read as any number of hosts."""
    is_certain: bool
    """Whether it can't be anything else, such as a file name or a number."""


def is_deceptive(label: str, *destinations: str, before: str = "") -> bool:
    """Returns whether a label shows a host that the link doesn't lead to, or hides a destination that an app would
    open. If a reference link's label is defined more than once, the link has several possible destinations, and each
    must be honest. `before`: the text directly before the label, because a host can begin there and end in the
    label."""
    if not before and all(_is_plain_url(label, destination) for destination in destinations[: MAX_DESTINATIONS + 1]):
        return False
    if len(destinations) > MAX_DESTINATIONS or any(_hides_app_url(label, destination) for destination in destinations):
        return True
    text = _read_label(before + label)
    if text is None:
        return True
    named = _named_hosts(text)
    if before and (text_before := _read_label(before)):
        # A host that ends before the label isn't a claim about the link.
        others = _named_hosts(text_before)
        named = [host for host in named if host not in others]
    if not named or len(named) > MAX_NAMED_HOSTS:
        return bool(named)
    mailboxes = set(_MAILBOX.findall(text.latin.lower()))
    urls = frozenset[str]().union(*map(_possible_readings, destinations))
    return any(not _leads_to(url, host, mailboxes) for url in urls for host in named)


def is_invisible(label: str) -> bool:
    """Returns whether a label is invisible, which hides the link and its destination."""
    text = _read_label(label)
    return text is not None and not text.latin.strip()


def bare_url(destination: str) -> str:
    """Returns a destination as text that Slack turns into a link, without a user name or Markdown marks. Letters of
    other scripts in the host become `xn--…`, because they can look like Latin ones, and an IPv4 address becomes four
    numbers."""
    url = normalize_url(destination)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if ascii_host(host) != host.removesuffix(".") or "@" in parts.netloc:
            port = f":{parts.port}" if parts.port else ""
            url = parts._replace(netloc=ascii_host(host) + port).geturl()
    except ValueError:
        pass
    return _UNSAFE.sub(lambda mark: f"%{ord(mark[0]):02X}", url)


def _is_plain_url(label: str, destination: str) -> bool:
    """Returns whether a label is the complete URL, in ASCII and without any characters that could hide something."""
    return label == destination and bool(_host_of(label)) and label.isascii() and not re.search(r"[@\\&*~`\s]", label)


def _hides_app_url(label: str, destination: str) -> bool:
    """Returns whether a link opens an app with anything other than what its label says."""
    honest = _app_labels(destination)
    return bool(honest) and _NOT_SAID.sub("", label) not in honest


@_cached
def _app_labels(destination: str) -> tuple[str, ...]:
    """Returns the honest labels, without punctuation, for a link that opens an app, or () if a browser opens it."""
    if ":" not in destination and "&" not in destination:
        # It doesn't have a scheme, because without an entity it can't have a colon.
        return ()
    url = _NOT_SHOWN_IN_URL.sub("", normalize_url(destination))
    return tuple(_NOT_SAID.sub("", said) for said in (url, url.partition(":")[2])) if _APP.match(url) else ()


@_cached
def _possible_readings(destination: str) -> frozenset[str]:
    """Returns the possible ways in which browsers read a destination. They treat a backslash as a slash."""
    return frozenset([normalize_url(destination), decode_entities(destination).strip().replace("\\", "/")])


def _read_label(label: str) -> ReadText | None:
    return lookalikes.read_text(html.unescape(label).translate(_MARKUP), MAX_LABEL_CHARS)


@_cached
def _host_of(url: str) -> str:
    try:
        return urlsplit(normalize_url(url)).hostname or ""
    except ValueError:
        return ""


@_cached
def normalize_url(destination: str) -> str:
    url = _BACKSLASH.sub(r"\1", decode_entities(destination)).strip().replace("\\", "/")
    return _SCHEME.sub(r"\1//", url)


def decode_entities(destination: str) -> str:
    """Decodes the entities that Markdown recognizes. `&copy=` in a URL isn't an entity."""
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), destination)


def _named_hosts(text: ReadText) -> list[NamedHost]:
    latin = _DEFANGED_DOT.sub(".", text.latin)
    if latin != text.latin:
        text = ReadText(latin, tuple(latin))
    named = [NamedHost(_displayed_host(text, *url.span("host")), True) for url in _URL.finditer(latin)]
    for name in _DOTTED_NAME.finditer(latin):
        host_end, is_certain = _host_end(text, name)
        if host_end:
            named.append(NamedHost(_displayed_host(text, name.start(), host_end), is_certain))
    named += [NamedHost(ip[0].lower(), True) for ip in _IPV6.finditer(latin) if ipv6(ip[0])]
    if host_and_port := _HOST_AND_PORT.fullmatch(latin):
        named.append(NamedHost(_displayed_host(text, *host_and_port.span(1)), False))
    if (number := _NUMBER.fullmatch(latin)) and ipv4(number[1]):
        named.append(NamedHost(number[1].lower(), False))
    return named


def _host_end(text: ReadText, name: re.Match[str]) -> tuple[int, bool]:
    """Returns the end of the host in a dotted name (0 if it isn't a host), and whether it can't be a file name."""
    start = name.start()
    digits = lookalikes.ascii_digits(text.written_between(*name.span()))
    # Readers interpret `1.2.3` as a version.
    can_be_address = digits.count(".") == 3 or "0x" in digits.lower()
    if _has_scheme(text.latin, start) or (can_be_address and ipv4(digits)):
        return name.end(), True
    if text.latin[start : start + 4].lower() == "www.":
        return name.end(), False
    # The text after a top-level domain can be the next sentence: `bank.com.Please`.
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
    """Returns whether a host, or the user name before it, follows `https://`, `//` or similar."""
    before = text[max(0, host_start - MAX_USER_CHARS) : host_start]
    if before.endswith("@"):
        starts = [start.end() for start in _USER_START.finditer(before, 0, len(before) - 1)]
        before = before[: starts[-1]] if starts else ""
    if not before.endswith("//"):
        return False
    return before.endswith("://") or not _NO_RELATIVE_SCHEME.fullmatch(before[-3:-2])


def _displayed_host(text: ReadText, start: int, end: int) -> str:
    """Returns a host as readers see it, in Latin letters if it looks Latin, or "" if any of its labels mixes
    scripts."""
    latin, written = text.latin[start:end], text.written_between(start, end)
    if latin.isascii():
        return latin.lower()
    return "" if any(map(lookalikes.mixes_scripts, written.split("."))) else written.lower()


def _leads_to(url: str, named: NamedHost, mailboxes: Collection[str]) -> bool:
    """Returns whether a URL leads to the named host, to one of its subdomains or to the named file, or sends mail to
    the only one of `mailboxes`."""
    if url[:7].lower() == "mailto:":
        return {_mailbox(url)} == mailboxes
    host, named_host = ascii_host(_host_of(url)), ascii_host(named.host.removeprefix("www."))
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


@_cached
def _mailbox(url: str) -> str:
    return _WRITTEN.sub("", url.lower().removeprefix("mailto:"))


@_cached
def _file_name(url: str) -> str:
    try:
        return unquote(urlsplit(normalize_url(url)).path).rpartition("/")[2].lower()
    except ValueError:
        return ""


MAX_AUTHORITY_CHARS = 400
"""The maximum length of an authority. A URL with a longer one gets a space before it, so that Slack doesn't turn it
into a link."""
MAX_INTERNATIONAL_CHARS = 40
"""The maximum number of non-ASCII characters in a linked URL's host."""
MAX_ADDED_CHARS = 9
"""The maximum number of characters that an international character adds to a host. For example, `і` alone becomes
`xn--e1a`."""
URL_START = r"(?:\\?:|&(?:colon|#0*58|#[xX]0*3[aA]);)(?:\\?/|&(?:sol|#0*47|#[xX]0*2[fF]);){2}"
"""Matches `://`, including forms with backslashes and entities, which Markdown removes."""
MAYBE_CHANGED = r"://(?:\d|[^\s/?#<>|\"`]*?(?:[@%&\\]|[^\x00-\x7f])|[^\s/?#<>|\"`]{400})|\\[:/]|&(?:#|colon;|sol;)"
"""Matches any text with a URL that isn't sent as written."""
WIDE_MARK = re.compile("[、。，；：！？（）「」『』《》〈〉【】〔〕［］｛｝\u060c\u061b\u061f\u0964]")
"""Matches punctuation that some scripts use without a space before it, so that it seems to continue a URL."""
_AUTHORITY = re.compile(rf"(?:[^\s/?#<>|\"`\]]|(?<=&)#|\](?![(\[])){{0,{MAX_AUTHORITY_CHARS + 1}}}")
_URLS_AND_CODE = re.compile(rf"```.*?(?:```|\Z)|`[^`\n]*`|{URL_START}", re.DOTALL)
_COUNTED = re.compile(rf"{URL_START}((?:[^\s/?#<>|\"`:&\\]|(?!{URL_START})[:&\\]|(?<=&)#)*)")
_URL_SCHEME = re.compile(r"https?\Z", re.IGNORECASE)
_MAX_SCHEME_CHARS = 5 * len("&#x000068;")
_AS_WRITTEN = re.compile(r"(?!\d)[^@%&\\\x80-\U0010ffff]*")
_CHARACTER = re.compile(r"\\[!-/:-@\[-`{-~]|&#?\w{1,32};|.", re.DOTALL)
_AUTHORITY_END = re.compile(r"[\s/?#\\<>|\"`]")
_DOTS = str.maketrans(dict.fromkeys("。．｡", "."))
_ADDRESS = re.compile(rf"{URL_START}|\]\(|<[a-z][a-z0-9+.-]*:|www\.|mailto:", re.IGNORECASE)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*(?:`|\Z)", re.DOTALL)
_LAST_LABEL = re.compile(r"(?<=\w)[.。．｡]([^\W\d_]{2,24})(?![\w-])")
"""Matches the possible end of a host, including the host of an email address."""
_JOINED = regex.compile(r"[^\x00-\x7f\p{Latin}\p{M}]|[^\w.:@%&-](?=.*@)", regex.DOTALL)
"""Matches a character that can't be part of the host before it."""
_HOST_END = regex.compile(r"(?=[\x00-\x7f])[^\w.%~-]|(?![\x00-\x7f])\p{P}")
_MAX_TLD_CHARS = 24
_BRACKETS = frozenset("[]")
_SENT_HOST = re.compile(r"[a-z0-9._~-]+")


def follows_web_scheme(text: str, start: int) -> bool:
    """Returns whether the `://` at an offset follows a scheme that Slack turns into a link."""
    return bool(_URL_SCHEME.search(decode_entities(text[max(0, start - _MAX_SCHEME_CHARS) : start])))


def might_have_link(markdown: str) -> bool:
    """Returns whether a text might contain a link in any form. Hosts without a scheme and email addresses count,
    because clients turn them into links, but not in code, where the names of files and methods, such as `main.py`, look
    like hosts. URLs with a scheme count even in code."""
    if _ADDRESS.search(markdown):
        return True
    return any(is_tld(label[1]) for label in _LAST_LABEL.finditer(_CODE.sub("", markdown)))


def is_growing_authority(text: str, start: int) -> bool:
    """Returns whether the authority at an offset might continue beyond the end of the text."""
    end = _authority_end(text, start)
    return end == len(text) and end - start <= MAX_AUTHORITY_CHARS


def authority_replacement(text: str, at: int) -> Replacement | None:
    """Returns the replacement for the authority at an offset, or None to send it as written."""
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
    sent = _browser_host(host) if _international_chars(host) < MAX_INTERNATIONAL_CHARS else ""
    has_brackets = not _BRACKETS.isdisjoint(authority[:start])
    if has_brackets or (not sent and (written or not authority or not authority.isascii())):
        # The destination can't be determined, so it isn't linked. A bracket ends the part that is compared with file
        # URLs.
        return Replacement(at, at, HAIR_SPACE)
    shown = written if sent == written.lower() else sent
    if stop == len(authority) and authority[host_end:].isascii():
        return Replacement(at, offsets[host_end], shown) if shown != written else None
    # A space before the end of emphasis would prevent it from closing.
    end = host_end + len(authority[host_end:]) - len(authority[host_end:].lstrip("*~"))
    return Replacement(at, offsets[end], f"{shown}{text[offsets[host_end] : offsets[end]]}{HAIR_SPACE}")


def with_ascii_hosts(text: str) -> str:
    """Converts the hosts of URLs to ASCII, except in code. The text isn't Markdown."""
    found = (
        match
        for match in _URLS_AND_CODE.finditer(text)
        if match[0][0] != "`" and follows_web_scheme(text, match.start())
    )
    return with_replacements(text, filter(None, (authority_replacement(text, url.end()) for url in found)))


def international_chars(text: str) -> int:
    """Counts the characters in hosts that can become longer, such as non-ASCII characters, IPv4 addresses and escapes.
    The count never decreases when text is added."""
    has_urls = "/" in text or "&" in text
    return sum(_international_chars(url[1]) for url in _COUNTED.finditer(text)) if has_urls else 0


def _international_chars(authority: str) -> int:
    international = len(authority) - len(authority.encode("ascii", "ignore"))
    if authority[:1].isdigit() or "%" in authority or len(authority) > MAX_AUTHORITY_CHARS:
        international += 1
    return min(international, MAX_INTERNATIONAL_CHARS)


def _authority_end(text: str, start: int) -> int:
    authority = _AUTHORITY.match(text, start)
    return authority.end() if authority else start


def _read_authority(text: str, at: int, end: int) -> tuple[str, Sequence[int]]:
    """Returns an authority the way Markdown and browsers read it, and each character's offset in the text."""
    if "&" not in text[at:end] and "\\" not in text[at:end]:
        return text[at:end], range(at, end + 1)
    offsets, characters = [at], ""
    for written in _CHARACTER.finditer(text, at, end):
        read = written[0][1:] if written[0][0] == "\\" and len(written[0]) > 1 else decode_entities(written[0])
        characters += read
        offsets += [written.end()] * len(read)
    return _AUTHORITY_END.split(characters, maxsplit=1)[0], offsets


def _end_of_complete_host(authority: str) -> int:
    """Returns the end of a host that is directly followed by text, otherwise the end of the authority."""
    for joined in islice(_JOINED.finditer(authority), MAX_INTERNATIONAL_CHARS):
        before, _, tld = authority[: joined.start()].translate(_DOTS).rpartition(".")
        if before and 1 < len(tld) <= _MAX_TLD_CHARS and is_tld(tld):
            return joined.start()
    return len(authority)


def _browser_host(host: str) -> str:
    try:
        sent = ascii_host(unquote(host))
    except ValueError:
        return ""
    return sent if len(sent) <= MAX_HOST_CHARS and _SENT_HOST.fullmatch(sent) else ""


SLACK_DOMAIN = r"slack(?:-gov|-files)?\.com"
"""Matches part of any Slack file's URL, in lowercase and without escapes."""
_SLACK_HOST = re.compile(rf"(?:[\w-]+\.)*(?:{SLACK_DOMAIN})")
_ONLY_FILES = re.compile(r"(?:[\w-]+\.)*slack-files\.com|files\.slack(?:-gov)?\.com")
_FILE_FOLDER = re.compile(r"/(?:canvas|docs|files|lists)\b")
_FILE_ID = re.compile(r"[/=-](F[A-Z0-9]{5,30})\b")
_FILE_ADDRESS = re.compile(r"(https?://)([^\s<>|\"`]{4,})", re.IGNORECASE)
_NOT_PLAIN = re.compile(r"[&%\\]|[^\x00-\x7f]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_NOT_IN_CODE = re.compile(r"[`\s]|https?://", re.IGNORECASE)


def is_closed_file(url: str, open_files: Collection[str] = ()) -> bool:
    """Returns whether a URL leads to a Slack file that isn't in `open_files`. All IDs in the URL must be in
    `open_files`, because nobody knows which of several IDs Slack would use."""
    return any(file_id not in open_files for file_id in _files_in_slack(url))


@_cached
def _files_in_slack(url: str) -> frozenset[str]:
    """Returns the IDs of the Slack files that a URL might lead to. "" stands for a file whose ID isn't in the URL."""
    if not can_be_in_slack(url):
        return frozenset()
    try:
        parts = urlsplit(normalize_url(url))
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


def can_be_in_slack(url: str) -> bool:
    """Returns whether browsers might read a URL as leading to Slack. The check is fast, and the result is False for
    most URLs."""
    if _NOT_PLAIN.search(url):
        url = _NOT_ASCII.sub("", unicodedata.normalize("NFKC", unquote(normalize_url(url))))
    return "slack" in url.lower()


def file_ids_in(text: str) -> Iterator[str]:
    for address in _FILE_ADDRESS.finditer(text):
        if is_closed_file(address[0]):
            yield from _FILE_ID.findall(unquote(address[0]))


def file_as_code(url: str) -> str:
    """Returns a URL as Markdown code that Slack doesn't expand."""
    return f"`{_NOT_IN_CODE.sub('', normalize_url(url))}`"


def without_schemes(text: str) -> str:
    """Removes the schemes of Slack file URLs, so that Slack doesn't expand them. The text isn't Markdown."""
    if "://" not in text:
        return text
    return _FILE_ADDRESS.sub(lambda address: address[2] if is_closed_file(address[0]) else address[0], text)
