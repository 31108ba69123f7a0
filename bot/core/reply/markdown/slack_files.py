"""Addresses of files, canvases and lists in Slack, which a post of ours must not open for its readers.

A post that links a file shares it, if the bot can (slackapi/bolt-python#1018), and a canvas's link expands whatever the
post's unfurl flags say (slackapi/python-slack-sdk#1654). In code, or without its scheme, an address opens nothing
(dam-agents/dam#3499). So it is sent as code and without its scheme, unless the conversation's readers may open the file
anyway. Slack decides at the post, and an edit opens nothing; but an answer that grows looks the same in both.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator
from urllib.parse import unquote, urlsplit

from bot.core.reply.markdown import hosts
from bot.core.reply.markdown.links import normalized

MAYBE = r"slack(?:-gov|-files)?\.com"
"""Matches in any address of a file, in lower case, that is written plainly."""
_HOST = re.compile(rf"(?:[\w-]+\.)*(?:{MAYBE})")
_ONLY_FILES = re.compile(r"(?:[\w-]+\.)*slack-files\.com|files\.slack(?:-gov)?\.com")
_FOLDER = re.compile(r"/(?:canvas|docs|files|lists)\b")
_ID = re.compile(r"[/=-](F[A-Z0-9]{5,30})\b")
_ADDRESS = re.compile(r"(https?://)([^\s<>|\"`]{4,})", re.IGNORECASE)
_PUNCTUATION = ".,;:!?)}'*_~"
_NOT_PLAIN = re.compile(r"[&%\\]|[^\x00-\x7f]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]")
_NOT_IN_CODE = re.compile(r"[`\s]|https?://", re.IGNORECASE)


def is_closed(url: str, open_files: Collection[str] = ()) -> bool:
    """Whether a URL is the address of a file in Slack that isn't among `open_files`.

    All that looks like an id has to be one of these: which of several Slack would take isn't known.
    """
    if not may_be_in_slack(url):
        return False
    try:
        parts = urlsplit(normalized(url))
        host = hosts.ascii_host(parts.hostname or "")
    except ValueError:
        return False
    if not _HOST.fullmatch(host):
        return False
    path = unquote(f"{parts.path}?{parts.query}#{parts.fragment}")
    if ids := _ID.findall(path):
        return any(file_id not in open_files for file_id in ids)
    return bool((_ONLY_FILES.fullmatch(host) and parts.path.strip("/")) or _FOLDER.match(path.lower()))


def may_be_in_slack(url: str) -> bool:
    """Whether a URL may lead to Slack, as browsers read it. Most don't, and this is quick to find out."""
    if _NOT_PLAIN.search(url):
        url = _NOT_ASCII.sub("", unicodedata.normalize("NFKC", unquote(normalized(url))))
    return "slack" in url.lower()


def ids_in(text: str) -> Iterator[str]:
    """Yields the ids of the files whose addresses are in a text."""
    for address in _ADDRESS.finditer(text):
        if is_closed(address[0]):
            yield from _ID.findall(unquote(address[0]))


def as_code(url: str) -> str:
    """Returns an address as a code span in Markdown that opens nothing."""
    return f"`{_NOT_IN_CODE.sub('', normalized(url))}`"


def end_of_address(text: str, start: int, end: int) -> int:
    """Returns where an address ends in a part of a text: before the punctuation that follows it."""
    return start + len(text[start:end].rstrip(_PUNCTUATION))


def without_schemes(text: str) -> str:
    """Returns a text that isn't Markdown, in which the addresses of files open nothing."""
    if "://" not in text:
        return text
    return _ADDRESS.sub(lambda address: address[2] if is_closed(address[0]) else address[0], text)
