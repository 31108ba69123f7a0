"""What Slack calls people and channels, for the reports of `typist`."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress

from bot.core.unseen import visible
from bot.errors import RateLimited, Refused
from bot.settings import Settings

WITHIN_S = 60.0
"""For all names together: a report isn't worth more waiting."""


def in_one_line(name: str) -> str:
    """Returns a name from Slack without characters that a terminal would hide or obey."""
    return " ".join(visible(name).split())


async def names_of(ours: Settings, ids: Iterable[str]) -> Mapping[str, str]:
    """Returns what Slack calls people and channels. Many people are listed, others are looked up one by one.

    Names that Slack doesn't tell in time are missing, and all are without a bot token.
    """
    if not ours.slack_bot_token:
        return {}
    from bot.slack.client import SlackClient, new_session
    from bot.slack.users import MAX_LOOKED_UP, name_of, pages_of_people

    names: dict[str, str] = {}
    wanted = dict.fromkeys(ids)

    async def look_up(slack: SlackClient) -> None:
        if sum(id_.startswith(("U", "W")) for id_ in wanted) > MAX_LOOKED_UP:
            with suppress(RateLimited, Refused):
                async for people in pages_of_people(slack):
                    names.update({str(one.get("id")): in_one_line(name_of(one)) for one in people})
        for id_ in wanted.keys() - names.keys():
            is_person = id_.startswith(("U", "W"))
            method, kind = ("users.info", "user") if is_person else ("conversations.info", "channel")
            try:
                answer = await slack.call(method, **{kind: id_})
            except Refused:
                continue
            except RateLimited as limited:
                await asyncio.sleep(limited.retry_after_s)
                continue
            name = in_one_line(name_of(answer.get(kind) or {}))
            names[id_] = name if is_person or not name else f"#{name}"

    async with new_session() as session:
        with suppress(TimeoutError):
            async with asyncio.timeout(WITHIN_S):
                await look_up(SlackClient(ours.slack_bot_token, ours.slack_api_url, session))
    return {id_: names[id_] for id_ in wanted if names.get(id_)}
