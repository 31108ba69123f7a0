"""Slack's names of people and channels, for the reports of `typist`."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from bot.cli.connections import open_slack
from bot.cli.terminal import print_note
from bot.core.unseen import visible
from bot.errors import RateLimited, Refused
from bot.settings import Settings

if TYPE_CHECKING:
    from bot.slack.client import SlackClient

WITHIN_S = 60.0
"""Time limit for looking up all names, so that reports are delayed by at most this long."""
MISSING = "Slack didn't return the names of {count} of these within {within_s:.0f} s."


def in_one_line(name: str) -> str:
    """Returns a name from Slack without characters that a terminal would hide or interpret."""
    return " ".join(visible(name).split())


async def names_of(ours: Settings, ids: Iterable[str]) -> Mapping[str, str]:
    """Returns Slack's names of people and channels. Many names are read from lists, and a few are looked up one by one.
    Names that Slack doesn't return in time are left out, with a notice on stderr. Without a token, all names are left
    out."""
    if not ours.slack_bot_token:
        return {}
    names: dict[str, str] = {}
    wanted = dict.fromkeys(ids)
    async with open_slack(ours) as slack:
        with suppress(TimeoutError):
            async with asyncio.timeout(WITHIN_S):
                await _look_up(slack, wanted, names)
    if late := wanted.keys() - names.keys():
        print_note(MISSING.format(count=len(late), within_s=WITHIN_S))
    return {id_: names[id_] for id_ in wanted if names.get(id_)}


async def _look_up(slack: "SlackClient", wanted: Mapping[str, None], names: dict[str, str]) -> None:
    from bot.slack.users import MAX_LOOKED_UP, name_of, pages_of_channels, pages_of_people

    def add(kind: str, one: Mapping[str, Any]) -> None:
        name = in_one_line(name_of(one))
        names[str(one.get("id"))] = f"#{name}" if name and kind == "channel" else name

    for kind, letters, pages in (("user", ("U", "W"), pages_of_people), ("channel", ("C", "G"), pages_of_channels)):
        of_kind = [id_ for id_ in wanted if id_.startswith(letters)]
        if len(of_kind) > MAX_LOOKED_UP:
            with suppress(RateLimited, Refused):
                async for page in pages(slack):
                    for one in page:
                        add(kind, one)
        for id_ in of_kind:
            while id_ not in names:
                try:
                    answer = await slack.call("users.info" if kind == "user" else "conversations.info", **{kind: id_})
                    add(kind, {**(answer.get(kind) or {}), "id": id_})
                except Refused:
                    names[id_] = ""
                except RateLimited as limited:
                    await asyncio.sleep(limited.retry_after_s)
