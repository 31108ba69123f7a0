"""Shows App Home. Pure.

App Home explains what to ask and where, who can see what, and how to stop an answer. It also shows a person's quotas.
For admins, it shows the default settings, the workspace's usage, and the settings of all channels.
"""

import math
from collections.abc import Callable, Sequence
from itertools import accumulate

from bot.core import texts
from bot.core.caps import Amount, Period
from bot.core.channel_settings import DefaultSettings
from bot.core.conversation import escape, is_direct_message
from bot.core.surfaces import MAX_LISTED, ChannelsWithSettings, HomeView, Ranking, UsageT, WorkspaceUsage, rank
from bot.slack.blockkit import (
    PIECE_CHARS,
    SECTION_CHARS,
    Json,
    context,
    divider,
    header,
    home,
    mrkdwn,
    plain_text,
    section,
)
from bot.slack.notices import suggestion_row
from bot.slack.quotas import amount_text
from bot.slack.views.accounts import home_account_blocks
from bot.slack.views.caps import home_quota_blocks, quotas_for_admins
from bot.slack.views.schedules import home_schedule_blocks
from slack_markdown.extent import counted_chars
from slack_markdown.render import beginning

PROMPT_CHARS = 400
HOME_CHARS = 12_500
"""Maximum length of App Home's text. Slack accepts 13,200 characters in a message's blocks, and counts about 100 per
header. The remainder is for buttons and menus. Whether this limit also applies to views hasn't been measured."""
HEADER_COST = 100
BAR_CHARS = 8


def home_view(view: HomeView) -> Json:
    defaults = view.defaults
    blocks = [
        header(texts.welcome.PANE_HEADING),
        *_waiting_blocks(view.waiting_answers),
        section(mrkdwn(texts.home.asking_instructions(texts.home.MENTIONS_NEEDED[defaults.engagement]))),
        section(plain_text(texts.home.TRY_ONE)),
        suggestion_row(),
        divider(),
        _paragraph(texts.home.WHO_SEES_WHAT, texts.home.SEEN[defaults.read_channel]),
        _paragraph(texts.home.HOW_TO_STOP, texts.welcome.STOP_OR_QUIET),
        _paragraph(texts.home.WHAT_I_KEEP, texts.home.HOW_TO_SCHEDULE),
        _paragraph(texts.home.HOW_TO_SET, texts.home.WHERE_TO_SET),
        *_own_channels(view.channels),
        *home_schedule_blocks(view.schedules),
        *home_account_blocks(view.accounts),
        *home_quota_blocks(view.usage),
        *(_admin_blocks(defaults, view.workspace) if view.workspace else ()),
    ]
    return home(_blocks_that_fit(blocks))


def _blocks_that_fit(blocks: Sequence[Json]) -> list[Json]:
    """Returns the blocks, with the longest ones cut to the same length so that Slack accepts the total."""
    by_room = ([_shorten_block(block, max_chars) for block in blocks] for max_chars in range(SECTION_CHARS, 0, -100))
    return next(fitting for fitting in by_room if sum(map(_text_length, fitting)) <= HOME_CHARS)


def _text_length(block: Json) -> int:
    texts_of_block = [block["text"]] if "text" in block else block.get("elements", ())
    of_header = HEADER_COST if block["type"] == "header" else 0
    return of_header + sum(counted_chars(text["text"]) for text in texts_of_block if isinstance(text.get("text"), str))


def _shorten_block(block: Json, max_chars: int) -> Json:
    if block["type"] != "section" or len(text := block["text"]["text"]) <= max_chars:
        return block
    kept = text[:max_chars]
    end = "\n" if "\n" in kept else " "
    return section(mrkdwn(f"{kept.rpartition(end)[0]}{end}…"))


def _own_channels(channels: Sequence[str]) -> list[Json]:
    shown = [f"<#{channel_id}>" for channel_id in channels[:MAX_LISTED]]
    more = [texts.home.more_channels(len(channels) - MAX_LISTED)] if len(channels) > MAX_LISTED else []
    return [_paragraph(texts.home.WHERE_YOU_ASK, " · ".join([*shown, *more]))] if shown else []


def _waiting_blocks(waiting: Sequence[tuple[str, str, float]]) -> list[Json]:
    lines = []
    for channel_id, link, until in waiting:
        what = f"<{link}|{texts.home.APPROVAL}>" if link else texts.home.APPROVAL
        where = texts.schedules.IN_OUR_DIRECT_MESSAGE if is_direct_message(channel_id) else f"in <#{channel_id}>"
        lines.append(f"• {what} {where}: {texts.home.DECIDE_UNTIL}{texts.times.token(until)}.")
    return [_paragraph(texts.home.WAITING_FOR_YOU, "\n".join(lines))] if lines else []


def _paragraph(heading: str, text: str) -> Json:
    return section(mrkdwn(f"*{heading}*\n{text}"))


def denied_view(sentence: str) -> Json:
    return home([header("Typist"), section(mrkdwn(sentence))])


def _admin_blocks(defaults: DefaultSettings, workspace: WorkspaceUsage) -> list[Json]:
    mentions = texts.home.MENTIONS_NEEDED[defaults.engagement]
    prompt = escape(beginning(defaults.system_prompt, PROMPT_CHARS))
    totals = [texts.quotas.usage(period, amount_text(workspace.usage_by_period[period])) for period in Period]
    totals.append(texts.home.usage_last_month(amount_text(workspace.last_month.total)))
    settings = "\n".join(f"*{label}*: {escape(value)}" for label, value in workspace.settings.items())
    return [
        divider(),
        header(texts.home.WORKSPACE_HEADING),
        section(mrkdwn("\n".join(totals))),
        *_usage_blocks(workspace),
        *quotas_for_admins(workspace),
        header(texts.home.DEFAULTS_HEADING),
        section(mrkdwn(texts.home.defaults_text(escape(defaults.model_name()), mentions, prompt))),
        context(plain_text(texts.home.CHANNELS_DIFFER)),
        header(texts.home.CHANNEL_SETTINGS_HEADING),
        section(mrkdwn(_channels_text(workspace.channels))),
        header(texts.settings.SETTINGS_TITLE),
        section(mrkdwn(settings)),
        context(plain_text(texts.home.WHY_ADMINS_SEE_THIS)),
    ]


def _channels_text(channels: ChannelsWithSettings) -> str:
    lines = [f"<#{channel_id}>: {' '.join(sentences)}" for channel_id, sentences in channels.listed_channels]
    ends = accumulate(len(line) + 1 for line in lines)
    shown = [line for line, end in zip(lines, ends, strict=True) if end <= PIECE_CHARS]
    if others := channels.other_count + len(lines) - len(shown):
        shown.append(texts.home.more_channels(others))
    return "\n".join(shown or [texts.home.NO_CHANNEL_SETTINGS])


def _usage_blocks(workspace: WorkspaceUsage) -> list[Json]:
    """Returns blocks with the usage by person, channel, model and tool. They contain text, because Slack accepts charts
    only in messages."""
    this_month, last_month = workspace.this_month, workspace.last_month
    people = rank(this_month.people, last_month.people, Amount())
    channels = rank(this_month.channels, last_month.channels, Amount())
    models = rank(this_month.models, last_month.models, Amount())
    calls = rank(this_month.calls, last_month.calls, 0)
    return [
        *_ranking(texts.home.PEOPLE, people, lambda user_id: f"<@{user_id}>", amount_text),
        *_ranking(
            texts.home.CHANNELS, channels, lambda id_: f"<#{id_}>" if id_ else texts.home.DIRECT_MESSAGES, amount_text
        ),
        *_ranking(texts.home.MODELS, models, lambda model: _short_name(workspace.names.label(model)), amount_text),
        *_ranking(texts.home.TOOLS, calls, _short_name, texts.home.calls_made),
    ]


def _ranking(
    heading: str, ranking: Ranking[UsageT], name: Callable[[str], str], amount: Callable[[UsageT], str]
) -> list[Json]:
    parts = _fractions_of_largest([this for _, this, _ in ranking.top])
    lines: list[str] = []
    for part, (key, this, last) in zip(parts, ranking.top, strict=True):
        # Any usage above zero is visible in the bar.
        filled = min(BAR_CHARS, math.ceil(part * BAR_CHARS))
        bar = "█" * filled + "░" * (BAR_CHARS - filled)
        lines.append(f"{bar} {name(key)}: {_both_months_text(this, last, amount)}")
    if ranking.other_count:
        lines.append(texts.home.others_line(ranking.other_count, _both_months_text(*ranking.other_usage, amount)))
    return [_paragraph(heading, "\n".join(lines))] if lines else []


def _both_months_text(this: UsageT, last: UsageT, amount: Callable[[UsageT], str]) -> str:
    return texts.home.this_and_last_month(amount(this), amount(last) if last else "")


def _fractions_of_largest(used: Sequence[Amount | int]) -> list[float]:
    """Returns each amount as a fraction of the largest one. Compares dollars, or tokens if any price is unknown."""
    in_dollars = all(isinstance(amount, Amount) and (amount.cost_usd > 0 or not amount.tokens) for amount in used)
    numbers = [
        amount if isinstance(amount, int) else amount.cost_usd if in_dollars else amount.tokens for amount in used
    ]
    largest = max(numbers, default=0)
    return [number / largest if largest else 0.0 for number in numbers]


def _short_name(name: str) -> str:
    return escape(beginning(name, texts.models.MODEL_NAME_CHARS))
