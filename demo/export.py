"""Typist in a company's own Slack export: the settings for it, and a tour of five cards."""

from collections.abc import Collection, Mapping
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from bot.settings import Settings, system_prompt_in_use
from slack_sandbox.page.guide import Card, Spot

if TYPE_CHECKING:
    from slack_sandbox.export.opened import Export

in_use: Final = ContextVar["Export | None"]("in_use", default=None)
"""The export that this process shows instead of the sample workspace."""
GOES_TO: Final = (
    "{note} What an answer needs of the export goes there with the question, and nothing else leaves this machine."
)
ABOUT_EXPORT: Final = """

This workspace was opened from an export of Slack. Its newest message is of {last_day}: people who say today, \
yesterday or this week mean the days up to that one. Of files, only names are in the export, and of canvases and \
huddles not the text: if an answer would need these, say that the export doesn't have them."""
CARDS_NOTE: Final = "Five presses with your own data. The answers come from the model named below."


def workspace_name(file_name: str) -> str:
    """Returns the workspace's name, which Slack includes in an export's file name."""
    return file_name.removesuffix(".zip").partition(" Slack export")[0][:60]


def settings_for(export: "Export", settings: Settings) -> Settings:
    """Returns the settings for an export. The workspace's owners become Typist admins, and the prompt tells the model
    about the export."""
    owners = frozenset(user.id for user in export.people if user.is_owner and not user.deleted)
    about = ABOUT_EXPORT.format(last_day=export.report.last_day or "an unknown day")
    prompt = system_prompt_in_use(settings) + about
    return replace(settings, admins=settings.admins | owners, system_prompt=prompt)


def tour(export: "Export") -> tuple[Card, ...]:
    """Returns the cards for an export. They are for the person who wrote the most messages.

    Each card's question is asked where its answer can be found. If the export has no threads, there are fewer cards.
    """
    cards = []
    person = next((user.id for user in export.people if user.bot_id is None and not user.deleted), "")
    shared = {
        channel.id: channel.type
        for channel in export.channels
        if channel.type != "im" and not channel.archived and person in channel.members
    }
    if longest := next((thread for thread in export.threads if thread.channel in shared), None):
        cards.append(
            Card(
                "Your longest thread",
                f"{longest.replies:,} replies, in a few lines",
                "Typist reads the thread that it is asked in.",
                ("Summarize this thread: what was decided, and what is open?",),
                place=Spot(longest.channel, longest.ts),
            )
        )
    public = [channel for channel, kind in shared.items() if kind == "channel"]
    busiest = _highest_channel(public, {channel: len(export.indexes[channel]) for channel in public})
    if busiest:
        cards += [
            Card(
                "Your last day",
                "Catch up with your busiest channel",
                "Typist reads the channel's newest messages by a tool.",
                ("Catch me up: what happened here on the last day?",),
                place=Spot(busiest),
            ),
            Card(
                "A file",
                "What the export has of it: its name",
                "Files and canvases have no content in an export. Typist says so instead of guessing.",
                ("Which files were shared here last, and what do they say?",),
                place=Spot(_highest_channel(public, export.with_files)),
            ),
            Card(
                "Each weekday",
                "A schedule in your channel",
                "Typist asks before it schedules something. Then let time pass.",
                ("Every weekday at 9, sum up what was written here since.",),
                place=Spot(busiest),
            ),
        ]
    cards.append(
        Card(
            "In private",
            "A direct message, with the whole workspace's public channels",
            "In a direct message, Typist searches all public channels with your permissions.",
            ("What are people waiting for at the moment? Search the public channels.",),
            place="direct message",
        )
    )
    return tuple(cards)


def _highest_channel(channels: Collection[str], counts: Mapping[str, int]) -> str:
    """Returns the channel with the highest count, or "" if there are no channels."""
    return max(channels, key=lambda channel: counts.get(channel, 0), default="")
