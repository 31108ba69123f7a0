"""Which pages native streams carry."""

from collections.abc import Hashable

from bot.core.carriers import STREAM_LIFE_S, CarrierKind, CarrierSetting, choose_carrier
from bot.core.reply.streams import AppendStream, StartStream, StopStream, Stream
from bot.slack.rate_budget import REPLIES, RateBudget
from bot.slack.reply_transport import METHODS


def chosen_carrier(
    budget: RateBudget, key: Hashable, setting: CarrierSetting, now: float, *, has_stop: bool
) -> Stream | None:
    """Returns what carries a live reply from a page's first words on; None: edits.

    `has_stop`: Slack shows its own Stop there.
    """
    carrier = choose_carrier(
        budget.room(REPLIES, key),
        budget.room(METHODS[AppendStream], key),
        spare_starts=budget.spare(METHODS[StartStream]),
        spare_stops=budget.spare(METHODS[StopStream]),
        has_stop=has_stop,
        setting=setting,
    )
    return Stream(until=now + STREAM_LIFE_S) if carrier is CarrierKind.STREAM else None
