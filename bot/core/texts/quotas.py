"""Text about quotas and usage: notices, reports, and the modal that sets quotas."""

from collections.abc import Sequence

from bot.core.texts.times import token
from bot.core.texts.words import count, listed, sentence_case

NO_QUOTAS = "Your usage isn't limited."
SHARED_QUOTAS = "You don't have a personal quota. These quotas apply to everyone:"
ASK_FOR_QUOTA = "To get more before then, ask your Typist admin to raise the quota in my Home tab."
RAISE_QUOTA = "To get more before then, raise the quota in my Home tab."
"""Shown to Typist admins instead of ASK_FOR_QUOTA."""
QUOTAS_ARE_SET_IN_HOME = "To change quotas, open my Home tab."
TOKENS_PER_PAGE = 700
TOKENS_EXPLAINED = f"Tokens measure the text that I read and write for you. A page is about {TOKENS_PER_PAGE} tokens."
_OWNERS = {"user": "your", "channel": "this channel's", "workspace": "this workspace's"}
_EACH = {"user": "Each person", "channel": "Each channel", "workspace": "The workspace"}
_PERIODS = {"day": "Today (UTC)", "month": "This month (UTC)"}


def tokens(number: float) -> str:
    return f"{number:,.0f} {'token' if number == 1 else 'tokens'}"


def dollars(amount: float) -> str:
    return f"${f'{amount:,.2f}'.removesuffix('.00') if amount >= 0.01 else f'{amount:g}'}"


def cost_alert(
    usd: float, mean_usd: float, channel_id: str, channel_usd: float, model: str, model_usd: float, asked: Sequence[int]
) -> str:
    """Tells an admin about an expensive day, in mrkdwn. `channel_id`: the most expensive channel, or "" for direct
    messages. `asked`: how many questions each of the most active people asked."""
    place, numbers = f"<#{channel_id}>" if channel_id else "direct messages", listed([f"{one:,}" for one in asked])
    usual = (
        f"the average of the last two weeks is {dollars(mean_usd)} a day" if mean_usd else "the first day with usage"
    )
    return (
        f"Today's answers have cost {dollars(usd)} so far ({usual}). Of that, {dollars(channel_usd)} was spent "
        f"in {place}. {model} accounts for {dollars(model_usd)}. The most active people asked {numbers} questions. "
        "To set quotas, open my Home tab."
    )


def quota(scope: str, limit: str, period: str) -> str:
    return f"{_OWNERS[scope]} quota of {limit} per {period}"


def quota_for_admins(scope: str, owner_id: str | None, limit: str, period: str) -> str:
    owner = _EACH[scope] if owner_id is None else quota_owner(scope, owner_id)
    return f"{owner}'s quota of {limit} per {period}"


def quota_owner(scope: str, owner_id: str) -> str:
    """Mentions a person, channel or the workspace in mrkdwn. `owner_id`: "" for a direct message."""
    channel = f"<#{owner_id}>" if owner_id else "a direct message"
    return {"user": f"<@{owner_id}>", "channel": channel, "workspace": "the workspace"}[scope]


DOLLARS_UNIT = "Dollars"
TOKENS_UNIT = "Tokens"


def used_per_day(unit: str) -> str:
    return f"{unit} used per day (UTC)"


def quota_not_a_number(in_dollars: bool) -> str:
    least = "an amount of at least 0.01" if in_dollars else "a whole number of at least 1"
    return f"Please enter {least} or leave this empty."


def quota_needs_prices(models: Sequence[str]) -> str:
    return f"I don't know the price of {', '.join(models)}. Please set a limit in tokens instead, or set BOT_PRICES."


def quota_used_up(quota: str, resets_at: float) -> str:
    return f"{sentence_case(quota)} is used up. {_reset_sentence(resets_at)}"


def quota_nearly_used(quota: str, percent: int, resets_at: float) -> str:
    return f"{percent}% of {quota} is used. {_reset_sentence(resets_at)}"


OTHER_CONNECTIONS = (
    "This app has more Slack connections than the processes that use my database, so another process is receiving "
    "some of the questions. Stop that process, or give it my DATABASE_URL."
)
"""Sent to Typist admins and logged."""


def quota_usage(quota: str, percent: int) -> str:
    return f"{sentence_case(quota)}: {percent}% used"


def quota_so_far(quota: str, percent: int, resets_at: float) -> str:
    """Reports how much of a quota a person has used."""
    if percent == 100:
        return f"{quota_used_up(quota, resets_at)} {ASK_FOR_QUOTA}"
    return quota_nearly_used(quota, percent, resets_at)


def shared_quota(quota: str) -> str:
    return f"{sentence_case(quota)}."


def usage(period: str, amount: str) -> str:
    return f"*{_PERIODS[period]}*: {amount}"


def amount(tokens_used: int, cost_usd: float) -> str:
    """Formats usage, such as "1,234 tokens, $0.02". The cost is left out if it is unknown or less than a cent."""
    return tokens(tokens_used) + (f", ${cost_usd:,.2f}" if cost_usd >= 0.005 else "")


def amount_for_members(tokens_used: int, cost_usd: float) -> str:
    """Formats usage without tokens, such as "about 12 pages of text, $0.02"."""
    pages = round(tokens_used / TOKENS_PER_PAGE)
    about = f"about {count(pages, 'page', 'pages')} of text" if pages else "less than a page of text"
    return ("nothing" if not tokens_used else about) + (f", ${cost_usd:,.2f}" if cost_usd >= 0.005 else "")


def _reset_sentence(at: float) -> str:
    return f"It resets {token(at)}."


QUOTAS_TITLE = "Quotas"
CHANNEL_QUOTAS = "This channel's quotas"
NO_QUOTA = "No limit"
QUOTA_LABELS = {
    "dollars_a_month": "Dollars per month",
    "dollars_a_day": "Dollars per day",
    "tokens_a_month": "Tokens per month",
    "tokens_a_day": "Tokens per day",
}
ONLY_ADMINS_SET_QUOTAS = "Only Typist admins can set quotas. Ask your Typist admin."


def quotas_apply_to(owner: str) -> str:
    return f"Quotas for {owner}, starting with the next answer. Leave a field empty to use the default."
