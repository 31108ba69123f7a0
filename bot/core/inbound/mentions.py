"""Mentions of people, channels and other things with names in the text of a message.

A message's text is Markdown with one addition. People and channels are mentioned by id, `<@U123>` and `<#C123>`, or by
id and name, `<@U123|ada>`. What else stands under a name that its owner chose is `<!S123|@ops>`: groups, canvases, and
emoji of the workspace, of which readers see only a picture. Triage finds mentions by id, and names are looked up only
when a model is given the text. Any other `<` is written `&lt;`, so no text looks like a mention by accident; `&` and
`>` may be entities too. `bot.slack.format` makes such text of what Slack sends; it is also how questions are stored.
"""

import re
from collections.abc import Mapping

from bot.core.entities import escape, unescape

_MENTION = re.compile(r"<(?P<mark>[@#!])(?P<id>[A-Z0-9]+)(?:\|(?P<name>[^<>]*))?>")
_USER = re.compile(r"<@([A-Z0-9]+)(?:\|[^<>]*)?>")
_GROUP = re.compile(r"<![A-Z0-9]+\|@")
_UNNAMED_CHANNEL = re.compile(r"<#([A-Z0-9]+)\|?>")
_USER_MENTION = r"<@{}(?:\|[^<>]*)?>"
_ID = re.compile(r"[A-Z0-9]+")
_AFTER_MENTION = " \t\n,:"
_BEFORE_MENTION = " \t\n,"
_SENTENCE_ENDS = " \t\n.?!"


def mentioned_users(text: str) -> list[str]:
    """Returns the ids of the people mentioned in the text, in order."""
    return _USER.findall(text)


def mentioned(text: str) -> list[str]:
    """Returns the ids of the people, channels and other things with names in the text, in order."""
    return [mention["id"] for mention in _MENTION.finditer(text)]


def addresses_another(text: str, bot_name: str) -> bool:
    """Whether a text that doesn't mention the bot begins with a mention: of a person, a group, or @here.

    Only people's mentions have ids. The bot's own name may have been typed, without becoming a mention.
    """
    words = text.lstrip()
    if words.startswith("@"):
        return not words[1:].casefold().startswith(bot_name.casefold())
    return _USER.match(words) is not None or _GROUP.match(words) is not None


def ids_to_name(text: str) -> list[str]:
    """Returns the ids whose names must be looked up: people's, and those of channels that come without a name.

    A person's name in the text may be outdated, so it is looked up as well.
    """
    return [*mentioned_users(text), *_UNNAMED_CHANNEL.findall(text)]


def with_names(text: str, names: Mapping[str, str]) -> str:
    """Returns the text as a reader sees it, in Markdown; `names` are those of people and channels, by id.

    A person who isn't in `names` gets the name in the text, or else the id.
    """
    parts, end = [], 0
    for mention in _MENTION.finditer(text):
        parts += [unescape(text[end : mention.start()]), _named(names, mention)]
        end = mention.end()
    return "".join([*parts, unescape(text[end:])])


def named_by_others(id_: str, name: str) -> str:
    """Returns the mention of something whose name isn't the writer's; "" without an id."""
    return f"<!{id_}|{escape(name)}>" if _ID.fullmatch(id_) else ""


def without_users(text: str) -> str:
    """Returns the text without the mentions of people in it."""
    return _USER.sub("", text)


def without_address(text: str, bot_user_id: str) -> str:
    """Returns the text without the bot's mentions at its beginning and end, which only address the bot.

    In the middle of a sentence the mention is a part of what the sentence says, and stays.
    """
    mention = _USER_MENTION.format(re.escape(bot_user_id))
    words = text.strip()
    if leading := re.match(rf"(?:{mention}[{_AFTER_MENTION}]*)+", words):
        words = words[leading.end() :]
    sentence_end = end = len(words.rstrip(_SENTENCE_ENDS))
    for trailing in reversed(list(re.finditer(mention, words))):
        if trailing.end() != end:
            break
        end = trailing.start()
        while end and words[end - 1] in _BEFORE_MENTION:
            end -= 1
    return words if end == sentence_end else words[:end] + "".join(words[sentence_end:].split())


def _named(names: Mapping[str, str], mention: re.Match[str]) -> str:
    name = names.get(mention["id"]) or unescape(mention["name"] or "").strip() or mention["id"]
    if mention["mark"] == "!":
        return name
    return mention["mark"] + name.removeprefix(mention["mark"])
