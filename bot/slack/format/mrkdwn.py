"""Slack's mrkdwn: `<…>` for people, channels, links and dates, and its own marks for emphasis.

docs.slack.dev, "Formatting message text".
"""

import re
from datetime import UTC, datetime
from functools import partial

from bot.core.entities import escape, unescape

_SEQUENCE = re.compile(
    # Of several `<` the first begins it; that a search can look for one plain character makes it quick.
    r"<(?<!<<)<*+(?:(?P<mark>[@#!])(?P<target>[^<>|]*)(?:\|(?P<name>[^<>]*))?"
    r"|(?P<url>[A-Za-z][A-Za-z0-9+.-]*:[^<>|\s]+)(?:\|(?P<label>[^<>]*))?)>"
)
_ID = re.compile(r"[A-Z0-9]+")
_NAMED = re.compile(r"<(?:[@#]|!subteam\^)([A-Z0-9]+)\|@?([^<>]+)>")
_KEPT = r"```.*?```|`[^`\n]+`|<[^<>\n]*>"
_EMPHASIS = [
    (
        re.compile(
            rf"(?P<kept>{_KEPT})|(?<!{mark})(?<![^\W_]){mark}(?=\S)"
            rf"(?P<said>(?:`[^`\n]+`|<[^<>\n]*>|[^{mark}<`\n])+?)(?<=\S){mark}(?!{mark})(?![^\W_])",
            re.DOTALL,
        ),
        marks,
    )
    for mark, marks in ((r"\*", "**"), ("~", "~~"))
]
_QUIET_SCHEMES = re.compile(r"^(?:https?://|mailto:|tel:)", re.IGNORECASE)


def link(url: str, label: str) -> str:
    """A link as markup; neither part is escaped yet."""
    target = escape(url.translate({ord(mark): f"%{ord(mark):02X}" for mark in "<>| \n\t"}))
    label = escape(" ".join(label.split()))
    return f"<{target}|{label}>" if label and label != target else f"<{target}>"


def tells_more(url: str, label: str) -> bool:
    """Whether an address is more than its label, which as Slack's own labels do may only repeat it."""
    bare = _QUIET_SCHEMES.sub("", url)
    return bool(url) and label.strip() not in ("", url, bare, bare.rstrip("/"))


def emphasised(mrkdwn: str) -> str:
    """Apps' own markup with its emphasis as Markdown: `*bold*` and `~gone~` have two marks there, `_this_` has one."""
    for pattern, marks in _EMPHASIS:
        mrkdwn = pattern.sub(partial(_marked, marks), mrkdwn)
    return mrkdwn


def _marked(marks: str, found: re.Match[str]) -> str:
    return found["kept"] or f"{marks}{found['said']}{marks}"


def labels(markup: str) -> dict[str, str]:
    """What the markup itself calls people, channels and groups, by id."""
    return dict(_NAMED.findall(markup))


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
    """Text of apps may hold a `<` that begins nothing: from here on it can't."""
    return text.replace("<", "&lt;")


def _sequence(match: re.Match[str]) -> str:
    if match["url"] is not None:
        return escape(_linked(unescape(match["url"]), unescape(match["label"] or "").strip()))
    mark, target, name = match["mark"], match["target"], unescape(match["name"] or "").strip()
    if mark == "!":
        return escape(_special(target, name))
    if not _ID.fullmatch(target):
        return escape(mark + (name or target).removeprefix(mark))
    return f"<{mark}{target}|{escape(name)}>" if name else f"<{mark}{target}>"


def _special(target: str, label: str) -> str:
    """`<!here>`, `<!subteam^S…|@team>`, `<!date^seconds^format^link|fallback>`."""
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
    """A label that only repeats the address, as Slack's own do, is no label."""
    target = url if "://" in url else _QUIET_SCHEMES.sub("", url)
    return f"[{label}]({target})" if tells_more(url, label) else target
