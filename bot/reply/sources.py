"""The list of sources below an answer: web pages that the model cites. Pure.

URLs and titles come from the web by way of a model, so nothing in them is trusted. A source is shown only if browsers
open it as a web page, and its label begins with the host that the link leads to, whatever the title claims. A file in
Slack is none: a link may open it for all readers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from bot.core import texts
from bot.markdown.links import is_closed_file
from bot.markdown.lookalikes import MAX_LABEL_CHARS, ascii_host
from bot.markdown.preview import beginning
from bot.models.events import Citation

MAX_SHOWN = 8
MAX_RECORDED = 50
"""More sources of one answer are dropped."""
MAX_URL_CHARS = 2_000
TITLE_CHARS = 70


@dataclass(frozen=True, slots=True)
class Source:
    """A line of the list."""

    url: str
    label: str


def with_citation(citations: Sequence[Citation], citation: Citation) -> Sequence[Citation]:
    """Returns the citations with another one, unless its page can't be shown, is among them, or is one too many."""
    is_known = any(earlier.url == citation.url for earlier in citations)
    if is_known or len(citations) >= MAX_RECORDED or not _host(citation.url):
        return citations
    return (*citations, citation)


def shown_sources(citations: Iterable[Citation]) -> tuple[Source, ...]:
    """Returns the lines of the list, in the order of the answer."""
    hosts = [(citation, _host(citation.url)) for citation in citations]
    return tuple(Source(citation.url, _label(host, citation.title)) for citation, host in hosts if host)[:MAX_SHOWN]


def plain_list(sources: Sequence[Source]) -> str:
    """Returns the list as plain text: numbered URLs; "" without sources."""
    lines = [f"{number}. {source.url}" for number, source in enumerate(sources, start=1)]
    return "\n".join((texts.SOURCES, *lines)) if lines else ""


def _label(host: str, title: str) -> str:
    # Characters that don't show could turn the label's direction around.
    visible = "".join(character if character.isprintable() else " " for character in title)
    title = beginning(" ".join(visible.split()), TITLE_CHARS)
    return f"{host} · {title}" if title else host


def _host(url: str) -> str:
    """Returns the host that a browser opens for a URL, in ASCII; "" if it isn't a plain web address."""
    # Browsers drop or rewrite some characters, so that they open another host than urlsplit() sees.
    if len(url) > MAX_URL_CHARS or "\\" in url or not url.isprintable() or any(map(str.isspace, url)):
        return ""
    try:
        parts = urlsplit(url)
        host = ascii_host(parts.hostname or "")
    except ValueError:
        return ""
    labels = host.split(".")
    is_host = host.isascii() and len(labels) > 1 and all(0 < len(label) <= MAX_LABEL_CHARS for label in labels)
    is_web = parts.scheme in ("http", "https") and is_host and parts.username is None and "%" not in parts.netloc
    return host.removeprefix("www.") if is_web and not is_closed_file(url) else ""
