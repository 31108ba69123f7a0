"""Slack's markup: `<…>` for people, channels, links and dates, and the three characters that it escapes.

A message is kept in it, with its structure (lists, quotes, code, emphasis) as Markdown: only when it is given to a
model are people and channels called by their names. docs.slack.dev, "Formatting message text".
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial

_SEQUENCE = re.compile(
    # Of several `<` the first begins it; that a search can look for one plain character makes it quick.
    r"<(?<!<<)<*+(?:(?P<mark>[@#!])(?P<target>[^<>|]*)(?:\|(?P<name>[^<>]*))?"
    r"|(?P<url>[A-Za-z][A-Za-z0-9+.-]*:[^<>|\s]+)(?:\|(?P<label>[^<>]*))?)>"
)
_MENTION = re.compile(r"<@([A-Z0-9]+)(?:\|[^<>]*)?>")
_NAMELESS_CHANNEL = re.compile(r"<#([A-Z0-9]+)\|?>")
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


def escape(text: str) -> str:
    """Text in which nothing is markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """The characters that Slack escapes."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


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


def mentioned(markup: str) -> list[str]:
    """The ids of the people that it names, in order."""
    return _MENTION.findall(markup)


def nameless(markup: str) -> list[str]:
    """The ids of people and channels whose names have to be asked for: a channel often comes with its own."""
    return [*mentioned(markup), *_NAMELESS_CHANNEL.findall(markup)]


def labels(markup: str) -> dict[str, str]:
    """What the markup itself calls people, channels and groups, by id."""
    return dict(_NAMED.findall(markup))


def plain(markup: str, names: Mapping[str, str]) -> str:
    """What it says to a reader, as Markdown; `names` are people's and channels', by id.

    Who is in neither `names` nor the markup is called by their id.
    """
    said, at = [], 0
    for match in _SEQUENCE.finditer(markup):
        said += [unescape(markup[at : match.start()]), _read(match, names)]
        at = match.end()
    return "".join([*said, unescape(markup[at:])])


def _read(match: re.Match[str], names: Mapping[str, str]) -> str:
    if match["url"] is not None:
        return _linked(unescape(match["url"]), unescape(match["label"] or "").strip())
    target, name = match["target"], unescape(match["name"] or "").strip()
    if match["mark"] == "!":
        return _special(target, name)
    called = names.get(target) or name or target
    return match["mark"] + called.removeprefix(match["mark"])


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
