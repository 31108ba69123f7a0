"""Where a link really leads, for a label that says something else."""

import html
import re
import unicodedata
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

MANY = 8
"""Of more addresses that a link may have, one is another."""

_HOST = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*://|(?<![\w:])//)?(?:[^\s/@]*@)?"
    r"(?P<host>(?:[\w-]+\.)+(?P<end>[^\W\d_]{2,}|xn--[a-z0-9-]+))(?![\w-])",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^\s/@]*@)?(?P<host>\[[0-9a-f:.]+\]|[^\s/:?#@\])>]+)", re.IGNORECASE)
_COUNTRIES = (
    "ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc "
    "cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga "
    "gd ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp "
    "ke kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms "
    "mt mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro "
    "rs ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt "
    "tv tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw"
)
_OTHERS = (
    "com org net edu gov mil int info biz name pro app dev page cloud online site shop store xyz top bank tech news "
    "blog live link click email support help login secure security games finance money pay wiki mobi museum example "
    "zip mov"
)
_ENDS = frozenset([*_COUNTRIES.split(), *_OTHERS.split()])
"""Top-level names that readers take for an address; others may be a module's member or a file."""
_ALSO_FILES = frozenset(["cc", "md", "mk", "ml", "mm", "mov", "pm", "ps", "py", "rs", "sc", "sh", "so", "tf", "zip"])
"""Those that end the names of files, too."""
_LOOKALIKES = str.maketrans(
    "аАеЕоОрРсСуУхХіІјЈѕЅһԁԛѡкКмМтТвВнНпгьζαΑβΒεΕηΗιΙκΚμΜνΝοΟρΡτΤυΥχΧγωɡıℓ․‧·∙⋅",
    "aAeEoOpPcCyYxXiIjJsShdqwkKmMtTBBHHnrbzaABBeEnHiIkKuMvNoOpPtTuYxXywgil.....",
)
"""Letters of other scripts as the Latin ones for which they are taken, and dots."""
_LATIN = re.compile(r"[a-z]", re.IGNORECASE)
_SCHEME = re.compile(r"^(https?:)/*", re.IGNORECASE)
_MARKS = re.compile(r"(?<![^\W_])_|_(?![^\W_])|[*~`\[\]()<>|\\\s\x00-\x1f]")
"""What Markdown would read, and what would end the link too early."""
_ENTITY = re.compile(r"&#?\w+;")
_BACKSLASH = re.compile(r"\\([!-/:-@\[-`{-~])")


class Claim(NamedTuple):
    """A host that a reader sees in a label."""

    host: str
    certain: bool
    """It can't be a file's name."""


def misleads(label: str, *addresses: str) -> bool:
    """Whether a label claims to be an address at another host than the link leads to, or may lead to."""
    claims = _claims(label)
    if not claims or len(addresses) > MANY:
        return bool(claims)
    readings = [reading for address in addresses for reading in _readings(address) if _host(reading)]
    return any(not _leads_to(reading, claim) for reading in readings for claim in claims)


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
    """Where an address leads; of mail, to whose."""
    try:
        parts = urlsplit(_plain(address))
        if parts.scheme == "mailto":
            return parts.path.partition("?")[0].rpartition("@")[2].lower()
        return parts.hostname or ""
    except ValueError:
        return address


def _plain(address: str) -> str:
    """An address as browsers read it."""
    plain = _BACKSLASH.sub(r"\1", _decoded(address)).strip().replace("\\", "/")
    return _SCHEME.sub(r"\1//", plain)


def _decoded(text: str) -> str:
    """With the entities decoded that Markdown knows: `&copy=` in an address is none."""
    return _ENTITY.sub(lambda entity: html.unescape(entity[0]), text)


def _claims(label: str) -> list[Claim]:
    written = _shown(label)
    taken_for = written.translate(_LOOKALIKES)
    hosts = [found for found in _HOST.finditer(taken_for) if _is_claim(found, written)]
    claims = [Claim(_taken_for(each, written), bool(each["scheme"])) for each in hosts]
    return claims + [Claim(_taken_for(each, written), True) for each in _ADDRESS.finditer(taken_for)]


def _is_claim(found: re.Match[str], written: str) -> bool:
    if found["scheme"] or found["host"].lower().startswith("www.") or found["end"].lower() in _ENDS:
        return True
    # Who mixes Latin letters with others in a name wants it to be taken for another.
    return not written[slice(*found.span("end"))].isascii() and bool(_LATIN.search(written, *found.span("host")))


def _taken_for(found: re.Match[str], written: str) -> str:
    host = found["host"] if found["host"].isascii() else written[slice(*found.span("host"))]
    return host.lower()


def _shown(label: str) -> str:
    """A label without its marks, nor characters that nobody sees."""
    plain = unicodedata.normalize("NFKC", html.unescape(label)).replace("。", ".")
    return "".join(each for each in plain if each not in "*~`\\" and unicodedata.category(each) != "Cf")


def _readings(address: str) -> set[str]:
    """An address as Markdown has it, and as browsers do, to which a backslash is a slash."""
    return {_plain(address), _decoded(address).strip().replace("\\", "/")}


def _leads_to(address: str, claim: Claim) -> bool:
    """Whether the address is at the host that its label claims, or names the file that the label is."""
    host, said = _ascii(_host(address)), _ascii(claim.host.removeprefix("www."))
    if host == said or host.endswith("." + said):
        return True
    name, _, end = claim.host.rpartition(".")
    return not claim.certain and end in _ALSO_FILES and "." not in name and _names(address, claim.host)


def _names(address: str, file_name: str) -> bool:
    """Whether the last part of an address's path is a file of this name."""
    try:
        return unquote(urlsplit(_plain(address)).path).rpartition("/")[2].lower() == file_name
    except ValueError:
        return False


def _ascii(host: str) -> str:
    """A host as it is looked up: letters of other scripts as `xn--…`."""
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host
