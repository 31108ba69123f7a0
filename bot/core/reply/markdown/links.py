"""Detection of deceptive links: the label names one host, the link leads to another.

A model that reads web pages or other people's messages can be made to write `[bank.com](https://evil.com)`. Slack shows
the label alone. So a link whose label names a host that the link doesn't lead to is sent as text with both (see
`inline_parser.py`).

A label is read as a person would read it: without marks and invisible characters, and with lookalike letters of other
scripts taken for Latin ones. A destination is read as browsers do. Not everything with a dot is a host: `os.path` is
none, and `README.md` may be one or a file. A label that may be a file's name is honest if the link leads to that file.
"""

import html
import re
import unicodedata
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

MAX_DESTINATIONS = 8
"""A link that may have more destinations counts as deceptive if its label names any host."""

MAX_NAMED_HOSTS = 20
"""A label that names more hosts counts as deceptive."""
MAX_USER_CHARS = 200
"""How far before a host its scheme is looked for, across a user name."""

_DOTTED_NAME = re.compile(r"(?<![\w-])[\w-]++(?:\.[\w-]++)++")
_TLD = re.compile(r"[^\W\d_]{2,}|xn--[a-z0-9-]+", re.IGNORECASE)
_URL = re.compile(
    r"(?<=[a-z0-9+.-])://(?:[^\s/@]*+@)?(?P<host>\[[0-9a-f:.]++\]|[^\s/:?#@\])>]++)",
    re.IGNORECASE,
)
_USER_START = re.compile(r"[\s/@]")
_NO_RELATIVE_SCHEME = re.compile(r"[\w:]")
_COUNTRY_TLDS = (
    "ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc "
    "cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga "
    "gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp "
    "ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms "
    "mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro "
    "rs ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt "
    "tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw"
)
_OTHER_TLDS = (
    "com org net edu gov mil int info biz name pro app dev page cloud online site shop store xyz top bank tech news "
    "blog live link click email support help login secure security games finance money pay wiki mobi museum example "
    "zip mov"
)
_TLDS = frozenset([*_COUNTRY_TLDS.split(), *_OTHER_TLDS.split()])
"""The top-level domains by which readers recognize a host. What ends otherwise may be a module's member or a file."""
_FILE_EXTENSIONS = frozenset(
    ["cc", "md", "mk", "ml", "mm", "mov", "pm", "ps", "py", "rs", "sc", "sh", "so", "tf", "zip"]
)
"""The top-level domains that are extensions of files, too."""
_LOOKALIKES = str.maketrans(
    "аАеЕоОрРсСуУхХіІјЈѕЅһԁԛѡкКмМтТвВнНпгьζαΑβΒεΕηΗιΙκΚμΜνΝοΟρΡτΤυΥχΧγωɡıℓ․‧·∙⋅",
    "aAeEoOpPcCyYxXiIjJsShdqwkKmMtTBBHHnrbzaABBeEnHiIkKuMvNoOpPtTuYxXywgil.....",
)
"""Letters of other scripts, and other dots, by the Latin letters and the full stop that they look like."""
_LATIN = re.compile(r"[a-z]", re.IGNORECASE)
_SCHEME = re.compile(r"^(https?:)/*", re.IGNORECASE)
_UNSAFE = re.compile(r"(?<![^\W_])_|_(?![^\W_])|[*~`\[\]()<>|\\\s\x00-\x1f]")
"""Matches what Markdown would take for a mark in a bare URL, and what would end the URL."""
_ENTITY = re.compile(r"&#?\w+;")
_BACKSLASH = re.compile(r"\\([!-/:-@\[-`{-~])")


class NamedHost(NamedTuple):
    """A host that a reader sees in a label."""

    host: str
    is_certain: bool
    """Whether it can't be a file's name."""


def is_deceptive(label: str, *destinations: str) -> bool:
    """Whether a label names a host that the link doesn't lead to.

    A reference link has several possible destinations if its label is defined more than once; each must be honest.
    """
    hosts = _named_hosts(label)
    if not hosts or len(destinations) > MAX_DESTINATIONS or len(hosts) > MAX_NAMED_HOSTS:
        return bool(hosts)
    urls = [url for destination in destinations for url in _readings(destination) if _host(url)]
    return any(not _leads_to(url, host) for url in urls for host in hosts)


def bare_url(destination: str) -> str:
    """Returns a destination as text that Slack makes a link of.

    It has no user name before its host and nothing that Markdown takes for a mark. Letters of other scripts in the host
    become `xn--…`, because they may look like Latin ones.
    """
    url = _normalized(destination)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not host.isascii() or "@" in parts.netloc:
            port = f":{parts.port}" if parts.port else ""
            url = parts._replace(netloc=host.encode("idna").decode() + port).geturl()
    except ValueError:
        pass
    return _UNSAFE.sub(lambda mark: f"%{ord(mark[0]):02X}", url)


def _host(url: str) -> str:
    """Returns the host that a URL leads to; of `mailto:`, the host of the mailbox."""
    try:
        parts = urlsplit(_normalized(url))
        if parts.scheme == "mailto":
            return parts.path.partition("?")[0].rpartition("@")[2].lower()
        return parts.hostname or ""
    except ValueError:
        return url


def _normalized(destination: str) -> str:
    """Returns a destination as browsers read it."""
    url = _BACKSLASH.sub(r"\1", _decoded(destination)).strip().replace("\\", "/")
    return _SCHEME.sub(r"\1//", url)


def _decoded(destination: str) -> str:
    """Decodes the entities that Markdown knows: `&copy=` in a URL is none."""
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), destination)


def _named_hosts(label: str) -> list[NamedHost]:
    written = _visible(label)
    latin = written.translate(_LOOKALIKES)
    named = []
    for name in _DOTTED_NAME.finditer(latin):
        labels = name[0].split(".")
        count = next((count for count in range(len(labels), 1, -1) if _TLD.fullmatch(labels[count - 1])), 0)
        host = slice(name.start(), name.start() + len(".".join(labels[:count])))
        is_user = latin.startswith("@", name.end())
        has_scheme = _has_scheme(latin, name.start())
        if count and not is_user and (has_scheme or _is_host(latin[host], written[host])):
            named.append(NamedHost(_as_read(latin[host], written[host]), has_scheme))
    urls = [slice(*url.span("host")) for url in _URL.finditer(latin)]
    return named + [NamedHost(_as_read(latin[host], written[host]), True) for host in urls]


def _has_scheme(text: str, host_start: int) -> bool:
    """Whether `https://`, `//` or the like stands before a host, or before its user name."""
    before = text[max(0, host_start - MAX_USER_CHARS) : host_start]
    if before.endswith("@"):
        starts = [start.end() for start in _USER_START.finditer(before, 0, len(before) - 1)]
        before = before[: starts[-1]] if starts else ""
    if not before.endswith("//"):
        return False
    return before.endswith("://") or not _NO_RELATIVE_SCHEME.fullmatch(before[-3:-2])


def _is_host(latin: str, written: str) -> bool:
    """Whether readers take a name with dots for a host."""
    tld = latin.rpartition(".")[2]
    if latin.lower().startswith("www.") or tld.lower() in _TLDS:
        return True
    # A name that mixes Latin letters with lookalikes is meant to be taken for another.
    return not written[-len(tld) :].isascii() and bool(_LATIN.search(written))


def _as_read(latin: str, written: str) -> str:
    """Returns a host as readers take it: in Latin letters, if all of it looks Latin."""
    return (latin if latin.isascii() else written).lower()


def _visible(label: str) -> str:
    """Returns a label without its marks and without invisible characters."""
    plain = unicodedata.normalize("NFKC", html.unescape(label)).replace("。", ".")
    return "".join(char for char in plain if char not in "*~`\\" and unicodedata.category(char) != "Cf")


def _readings(destination: str) -> set[str]:
    """Returns a destination as Markdown reads it, and as browsers do, to which a backslash is a slash."""
    return {_normalized(destination), _decoded(destination).strip().replace("\\", "/")}


def _leads_to(url: str, named: NamedHost) -> bool:
    """Whether a URL leads to the host that its label names, a subdomain of it, or the file that the label names."""
    host, named_host = _ascii(_host(url)), _ascii(named.host.removeprefix("www."))
    if host == named_host or host.endswith("." + named_host):
        return True
    name, _, extension = named.host.rpartition(".")
    return not named.is_certain and extension in _FILE_EXTENSIONS and "." not in name and _is_file(url, named.host)


def _is_file(url: str, file_name: str) -> bool:
    """Whether the last part of a URL's path is this file name."""
    try:
        return unquote(urlsplit(_normalized(url)).path).rpartition("/")[2].lower() == file_name
    except ValueError:
        return False


def _ascii(host: str) -> str:
    """Returns a host as DNS knows it: letters of other scripts as `xn--…`."""
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host
