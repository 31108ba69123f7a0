"""Slack's mrkdwn: `<…>` for people, channels, links and dates, and its own marks for emphasis.

docs.slack.dev, "Formatting message text".
"""

import re
from datetime import UTC, datetime
from functools import partial

from bot.core.entities import escape, unescape
from bot.core.inbound.mentions import named_by_others

_SEQUENCE = re.compile(
    # The first of several `<` begins the sequence. The search stays fast because it starts with one plain character.
    r"<(?<!<<)<*+(?:(?P<mark>[@#!])(?P<target>[^<>|]*)(?:\|(?P<name>[^<>]*))?"
    r"|(?P<url>[A-Za-z][A-Za-z0-9+.-]*:[^<>|\s]+)(?:\|(?P<label>[^<>]*))?)>"
)
OWN_EMOJI = "emoji"
"""`<!emoji^name>` stands for an emoji of the workspace: one that has no character."""
CANVAS = "canvas"
"""`<!canvas^F…|label>` stands for a canvas's title."""
_ID = re.compile(r"[A-Z0-9]+")
_NAMED = re.compile(r"<(?:[@#]|!subteam\^)([A-Z0-9]+)\|@?([^<>]+)>")
_KEPT = r"```.*?```|`[^`\n]+`|<[^<>\n]*>"
_EMPHASIS = [
    (
        re.compile(
            rf"(?P<kept>{_KEPT})|(?<!{mark})(?<![^\W_]){mark}(?=\S)"
            rf"(?P<words>(?:`[^`\n]+`|<[^<>\n]*>|[^{mark}<`\n])+?)(?<=\S){mark}(?!{mark})(?![^\W_])",
            re.DOTALL,
        ),
        marks,
    )
    for mark, marks in ((r"\*", "**"), ("~", "~~"))
]
_QUIET_SCHEMES = re.compile(r"^(?:https?://|mailto:|tel:)", re.IGNORECASE)


def link(url: str, label: str) -> str:
    """Returns a link in mrkdwn; neither argument is escaped yet."""
    target = escape(url.translate({ord(mark): f"%{ord(mark):02X}" for mark in "<>| \n\t"}))
    label = escape(" ".join(label.split()))
    return f"<{target}|{label}>" if label and label != target else f"<{target}>"


def tells_more(url: str, label: str) -> bool:
    """Whether the address says more than the label: Slack's own labels only repeat it."""
    bare = _QUIET_SCHEMES.sub("", url)
    return bool(url) and label.strip() not in ("", url, bare, bare.rstrip("/"))


def emphasized(mrkdwn: str) -> str:
    """Returns mrkdwn with its emphasis in Markdown: `**bold**` and `~~gone~~` take two marks there, `_this_` one."""
    for pattern, marks in _EMPHASIS:
        mrkdwn = pattern.sub(partial(_marked, marks), mrkdwn)
    return mrkdwn


def _marked(marks: str, match: re.Match[str]) -> str:
    return match["kept"] or f"{marks}{match['words']}{marks}"


def labels(mrkdwn: str) -> dict[str, str]:
    """Returns the names of people, channels and groups in the mrkdwn itself, by id."""
    return dict(_NAMED.findall(mrkdwn))


def message_text(mrkdwn: str) -> str:
    """Returns mrkdwn as the text of a message (core/inbound/mentions.py).

    Links, dates, groups and broadcasts are written out in Markdown; mentions of people and channels keep their ids.
    """
    parts, end = [], 0
    for sequence in _SEQUENCE.finditer(mrkdwn):
        parts += [_without_markup(mrkdwn[end : sequence.start()]), _sequence(sequence)]
        end = sequence.end()
    return "".join([*parts, _without_markup(mrkdwn[end:])])


def _without_markup(text: str) -> str:
    """Escapes each `<` that begins no sequence; apps send such text."""
    return text.replace("<", "&lt;")


def _sequence(match: re.Match[str]) -> str:
    if match["url"] is not None:
        return escape(_linked(unescape(match["url"]), unescape(match["label"] or "").strip()))
    mark = match["mark"]
    target = match["target"]
    name = unescape(match["name"] or "").strip()
    if mark == "!":
        kind, _, id_ = target.partition("^")
        if kind == "subteam" and (named := named_by_others(id_, "@" + (name or id_).removeprefix("@"))):
            return named
        if kind == OWN_EMOJI:
            return named_by_others("EMOJI", f":{unescape(id_)}:")
        if kind == CANVAS:
            return named_by_others(id_, name) or escape(name)
        return escape(_special(target, name))
    if not _ID.fullmatch(target):
        return escape(mark + (name or target).removeprefix(mark))
    return f"<{mark}{target}|{escape(name)}>" if name else f"<{mark}{target}>"


def _special(target: str, label: str) -> str:
    """`<!here>`, `<!date^seconds^format^link|fallback>`."""
    kind, _, rest = target.partition("^")
    if kind == "date":
        seconds, _, how = rest.partition("^")
        url = unescape(how.partition("^")[2])
        return f"[{label}]({url})" if label and url else label or _moment(seconds)
    return "@" + (label or rest or kind).removeprefix("@")


def _moment(seconds: str) -> str:
    try:
        return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%d %H:%M} UTC"
    except (ValueError, OverflowError, OSError):
        return seconds


def _linked(url: str, label: str) -> str:
    """Returns a Markdown link, or the address alone if the label only repeats it."""
    target = url if "://" in url else _QUIET_SCHEMES.sub("", url)
    return f"[{label}]({target})" if tells_more(url, label) else target
