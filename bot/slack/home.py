"""App Home, welcomes, and the responses to commands and buttons, as Block Kit. Pure.

App Home says what to ask and where, who sees what, and how to stop; a person's quotas, if they have any; and for admins
the default settings, the workspace's usage and all channels' settings. Only one person reads a response.
"""

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import accumulate

from bot.core import texts
from bot.core.actions import ActionResponse, ReplyAction
from bot.core.caps import Amount, CapUse, Period, Scope, UsageToDate
from bot.core.channel_settings import EffectiveSettings
from bot.core.conversation import escape
from bot.core.surfaces import (
    TOP,
    ChannelsWithSettings,
    CommandResponse,
    Help,
    HomeView,
    Ranking,
    UsedT,
    WorkspaceUsage,
    ranked,
)
from bot.markdown.escaping import unlinked
from bot.markdown.extent import counted_chars
from bot.markdown.links import with_ascii_hosts
from bot.markdown.pages import Pages
from bot.markdown.render import beginning, rendered
from bot.markdown.render import mrkdwn as escaped
from bot.slack import blockkit
from bot.slack.blockkit import (
    PIECE_CHARS,
    SECTION_CHARS,
    Json,
    actions,
    button,
    channel_select,
    chart,
    context,
    divider,
    header,
    home,
    moment_mrkdwn,
    mrkdwn,
    plain_text,
    remark,
    section,
    users_select,
)
from bot.slack.schedule_views import schedules_at_home

PROMPT_CHARS = 400
HOME_CHARS = 12_500
"""Slack takes 13,200 characters of text in a message's blocks, with about 100 for each header. Whether that holds for a
view, nobody has measured; the rest is for buttons and menus."""
HEADER_COST = 100
BAR_CHARS = 8
SET_WORKSPACE_CAPS = "set_workspace_caps"
SET_PERSON_CAPS = "set_person_caps"
SET_CHANNEL_CAPS = "set_channel_caps"
"""Action ids of the button and the menus that open the modal with caps."""


def home_view(view: HomeView) -> Json:
    """Returns the view that views.publish takes."""
    defaults = view.defaults
    blocks = [
        header(texts.PANE_HEADING),
        section(mrkdwn(texts.how_to_ask(texts.MENTIONS_NEEDED[defaults.engagement]))),
        section(plain_text(texts.TRY_ONE)),
        suggestion_row(),
        divider(),
        _paragraph(texts.WHO_SEES_WHAT, texts.SEEN[bool(defaults.read_channel)]),
        _paragraph(texts.HOW_TO_STOP, texts.STOP_OR_QUIET),
        _paragraph(texts.HOW_TO_SET, texts.WHERE_TO_SET),
        *_own_channels(view.channels),
        *schedules_at_home(view.schedules),
        *_own_quotas(view.usage),
        *(_admin_blocks(defaults, view.workspace) if view.workspace else ()),
    ]
    return home(_fitting(blocks))


def _fitting(blocks: Sequence[Json]) -> list[Json]:
    """Returns blocks whose texts Slack takes together: the longest lose their ends, equally many characters at most."""
    by_room = ([_cut(block, room) for block in blocks] for room in range(SECTION_CHARS, 0, -100))
    return next(fitting for fitting in by_room if sum(map(_length, fitting)) <= HOME_CHARS)


def _length(block: Json) -> int:
    texts_of_block = [block["text"]] if "text" in block else block.get("elements", ())
    of_header = HEADER_COST if block["type"] == "header" else 0
    return of_header + sum(counted_chars(text["text"]) for text in texts_of_block if isinstance(text.get("text"), str))


def _cut(block: Json, room: int) -> Json:
    """Returns a block whose text is cut at the end of a line, or of a word in its first line."""
    if block["type"] != "section" or len(text := block["text"]["text"]) <= room:
        return block
    kept = text[:room]
    end = "\n" if "\n" in kept else " "
    return section(mrkdwn(f"{kept.rpartition(end)[0]}{end}…"))


def _own_channels(channels: Sequence[str]) -> list[Json]:
    shown = [f"<#{channel_id}>" for channel_id in channels[:TOP]]
    more = [texts.more_channels(len(channels) - TOP)] if len(channels) > TOP else []
    return [_paragraph(texts.WHERE_YOU_ASK, " · ".join([*shown, *more]))] if shown else []


def _paragraph(heading: str, text: str) -> Json:
    return section(mrkdwn(f"*{heading}*\n{text}"))


def _own_quotas(usage: UsageToDate) -> list[Json]:
    lines = _quota_lines(usage)
    if not lines:
        return []
    blocks = [divider(), header(texts.USAGE_HEADING), section(mrkdwn("\n".join(lines)))]
    in_tokens = any(not use.cap.in_dollars for use in _quotas_to_show(usage))
    return [*blocks, context(plain_text(texts.TOKENS_EXPLAINED))] if in_tokens else blocks


def cap_notice_blocks(sentence: str, unit: str, daily: Sequence[tuple[str, float]]) -> list[Json]:
    """Returns the blocks of a notice to Typist admins, in mrkdwn, with a chart of the last days unless it is empty."""
    days, used = [day for day, _ in daily], [amount for _, amount in daily]
    charts = [chart("bar", texts.used_per_day(unit), days, [(unit, used)])] if daily else []
    return [section(mrkdwn(sentence)), *charts, context(plain_text(texts.QUOTAS_ARE_SET_IN_HOME))]


def denied_view(sentence: str) -> Json:
    """Returns the view of a person without access, with a sentence of mrkdwn that says why."""
    return home([header("Typist"), section(mrkdwn(sentence))])


def _admin_blocks(defaults: EffectiveSettings, workspace: WorkspaceUsage) -> list[Json]:
    mentions = texts.MENTIONS_NEEDED[defaults.engagement]
    prompt = escape(beginning(defaults.system_prompt, PROMPT_CHARS))
    totals = [texts.usage(period, amount_text(workspace.spent[period])) for period in Period]
    totals.append(texts.usage_last_month(amount_text(workspace.last_month.total)))
    settings = "\n".join(f"*{label}*: {escape(value)}" for label, value in workspace.settings.items())
    return [
        divider(),
        header(texts.WORKSPACE_HEADING),
        section(mrkdwn("\n".join(totals))),
        *_usage_blocks(workspace),
        header(texts.QUOTAS_TITLE),
        section(mrkdwn(_quotas_text(workspace))),
        actions(
            [
                button(SET_WORKSPACE_CAPS, texts.SET_WORKSPACE_QUOTAS),
                users_select(SET_PERSON_CAPS, texts.SET_PERSON_QUOTAS),
                channel_select(SET_CHANNEL_CAPS, texts.SET_CHANNEL_QUOTAS),
            ],
            # With another name, the menus forget what was chosen: Slack tells of no choice that is made again.
            block_id=f"caps {workspace.built_at}",
        ),
        header(texts.DEFAULTS_HEADING),
        section(mrkdwn(texts.defaults(escape(defaults.model_name), mentions, prompt))),
        context(plain_text(texts.CHANNELS_DIFFER)),
        header(texts.CHANNEL_SETTINGS_HEADING),
        section(mrkdwn(_channels_text(workspace.channels))),
        header(texts.SETTINGS_TITLE),
        section(mrkdwn(settings)),
        context(plain_text(texts.WHY_ADMINS_SEE_THIS)),
    ]


def _channels_text(channels: ChannelsWithSettings) -> str:
    lines = [f"<#{channel_id}>: {' '.join(sentences)}" for channel_id, sentences in channels.listed]
    ends = accumulate(len(line) + 1 for line in lines)
    shown = [line for line, end in zip(lines, ends, strict=True) if end <= PIECE_CHARS]
    if others := channels.others + len(lines) - len(shown):
        shown.append(texts.more_channels(others))
    return "\n".join(shown or [texts.NO_CHANNEL_SETTINGS])


def _usage_blocks(workspace: WorkspaceUsage) -> list[Json]:
    """Returns who used what, as text: Slack takes charts in messages only."""
    this_month, last_month = workspace.this_month, workspace.last_month
    people = ranked(this_month.people, last_month.people, Amount())
    channels = ranked(this_month.channels, last_month.channels, Amount())
    models = ranked(this_month.models, last_month.models, Amount())
    calls = ranked(this_month.calls, last_month.calls, 0)
    return [
        *_ranking(texts.PEOPLE, people, lambda user_id: f"<@{user_id}>", amount_text),
        *_ranking(texts.CHANNELS, channels, lambda id_: f"<#{id_}>" if id_ else texts.DIRECT_MESSAGES, amount_text),
        *_ranking(texts.MODELS, models, lambda model: _short_name(workspace.names.of(model)), amount_text),
        *_ranking(texts.TOOLS, calls, _short_name, texts.calls_made),
    ]


def _ranking(
    heading: str, ranking: Ranking[UsedT], name: Callable[[str], str], amount: Callable[[UsedT], str]
) -> list[Json]:
    """Returns one list, if it has entries: a bar for this month, a name, and what was used in both months."""
    parts = _parts([this for _, this, _ in ranking.top])
    lines: list[str] = []
    for part, (key, this, last) in zip(parts, ranking.top, strict=True):
        # What is more than nothing shows.
        filled = min(BAR_CHARS, math.ceil(part * BAR_CHARS))
        bar = "█" * filled + "░" * (BAR_CHARS - filled)
        lines.append(f"{bar} {name(key)}: {_in_both_months(this, last, amount)}")
    if ranking.others:
        lines.append(texts.others(ranking.others, _in_both_months(*ranking.others_used, amount)))
    return [_paragraph(heading, "\n".join(lines))] if lines else []


def _in_both_months(this: UsedT, last: UsedT, amount: Callable[[UsedT], str]) -> str:
    return texts.this_and_last_month(amount(this), amount(last) if last else "")


def _parts(used: Sequence[Amount | int]) -> list[float]:
    """Returns each amount as a part of the largest: in dollars, or in tokens where nothing has a price."""
    in_dollars = any(isinstance(amount, Amount) and amount.cost_usd > 0 for amount in used)
    numbers = [
        amount if isinstance(amount, int) else amount.cost_usd if in_dollars else amount.tokens for amount in used
    ]
    largest = max(numbers, default=0)
    return [number / largest if largest else 0.0 for number in numbers]


def _short_name(name: str) -> str:
    return escape(beginning(name, texts.MODEL_NAME_CHARS))


def _quotas_text(workspace: WorkspaceUsage) -> str:
    """Returns the defaults, and the quotas that admins have set: first those of which most is used."""
    quotas = workspace.quotas
    replaced = {(own.cap.window, own.cap.in_dollars) for own in quotas.own if own.owner.scope is Scope.WORKSPACE}
    lines: list[str] = []
    for cap in quotas.defaults:
        name = texts.quota_for_admins(cap.window.scope, None, cap.limit_text, cap.window.period)
        if cap.window.scope is not Scope.WORKSPACE:
            lines.append(name)
        elif (cap.window, cap.in_dollars) not in replaced:
            lines.append(texts.quota_usage(name, cap.percent_used(workspace.spent[cap.window.period])))
    by_use = sorted(quotas.own, key=lambda own: (-own.cap.used_by(own.used) / own.cap.limit, own.owner.id))
    for own in by_use[:TOP]:
        window = own.cap.window
        name = texts.quota_for_admins(window.scope, own.owner.id, own.cap.limit_text, window.period)
        lines.append(texts.quota_usage(name, own.cap.percent_used(own.used)))
    if len(by_use) > TOP:
        lines.append(texts.more_quotas(len(by_use) - TOP))
    if quotas.unpriced and any(cap.in_dollars for cap in (*quotas.defaults, *(own.cap for own in quotas.own))):
        unpriced = [_short_name(name) for name in quotas.unpriced[:TOP]]
        lines.append(texts.quotas_leave_out(unpriced))
    return "\n".join(lines or [texts.NO_QUOTAS_SET])


SUGGESTION = "suggestion"
"""Begins the action_id of a suggested prompt's button. A dash and its number follow."""


def welcome(greeting: str, seen: str) -> Json:
    """Returns the arguments of chat.postMessage; `seen` says who sees what, and how to stop it. Both are mrkdwn.

    No block of it counts as an answer, so a question in its thread begins a conversation.
    """
    return {"text": greeting, "blocks": [*remark(greeting), suggestion_row(), context(mrkdwn(seen))]}


def suggestion_row() -> Json:
    """Returns the buttons of the suggested prompts."""
    buttons = [button(f"{SUGGESTION}-{number}", label, label) for number, label in enumerate(texts.PANE_SUGGESTIONS)]
    return actions(buttons, block_id=SUGGESTION)


_MENTION = re.compile(r"&lt;@([UW][A-Z0-9]+)>")
"""As escaping leaves it."""


def command_message(response: CommandResponse) -> Json:
    """Returns the message for a command's acknowledgment, or for a response_url."""
    match response.content:
        case Help() as help_asked:
            # A subcommand that doesn't exist is named first.
            command, subcommand = escape(help_asked.command), escape(help_asked.unknown_subcommand)
            unknown = texts.unknown_command(command, subcommand) if subcommand else ""
            text = f"{unknown}{texts.WHAT_I_DO}\n{texts.commands(command)}"
        case UsageToDate() as usage:
            text = usage_text(usage)
        case str(sentence):
            text = sentence
    blocks = [section(mrkdwn(text))]
    if response.settings:
        blocks.append(context(plain_text(response.settings)))
    return {"text": text, "blocks": blocks}


def usage_text(usage: UsageToDate) -> str:
    """Returns a person's usage so far and their quotas, in mrkdwn."""
    lines = [texts.usage(period, amount_text(usage.spent[period])) for period in Period]
    return "\n".join([*lines, *(_quota_lines(usage) or [texts.NO_QUOTAS])])


def _quota_lines(usage: UsageToDate) -> list[str]:
    shown = _quotas_to_show(usage)
    lines = [_quota_line(use) for use in shown]
    return lines if not shown or _is_own(shown[0]) else [texts.SHARED_QUOTAS, *lines]


def _quotas_to_show(usage: UsageToDate) -> list[CapUse]:
    """Returns a person's own quotas, and shared ones that are used up; if they have none of their own, all shared."""
    own = list(filter(_is_own, usage.caps))
    shared = [use for use in usage.caps if not _is_own(use)]
    return [*own, *(use for use in shared if use.percent == 100 or not own)]


def _is_own(use: CapUse) -> bool:
    return use.cap.window.scope is Scope.USER


def _quota_line(use: CapUse) -> str:
    if use.percent < 100 and not _is_own(use):
        # Shared usage is shown only where it keeps this person from asking.
        return texts.shared_quota(str(use.cap))
    in_utc = texts.time_in_utc(datetime.fromtimestamp(use.resets_at, UTC))
    return texts.quota_so_far(str(use.cap), use.percent, moment_mrkdwn(use.resets_at, texts.TIME_FORMAT, in_utc))


def amount_text(amount: Amount) -> str:
    """Returns usage, such as "1,234 tokens, $0.02"."""
    return texts.amount(amount.tokens, amount.cost_usd)


def action_message(response: ActionResponse) -> Json:
    """Returns chat.postEphemeral's arguments: a sentence, and below it as much Markdown as one message holds."""
    markdown, note = _first_page(response.markdown)
    lines = {"sentence": response.sentence, "note": note}
    above, *below = [blockkit.rich_text_line(unlinked(line), block_id) for block_id, line in lines.items() if line]
    text = blockkit.markdown(rendered(markdown, growing=False))
    return {"text": escaped(response.sentence), "blocks": [above, text, *below]}


def action_text(response: ActionResponse) -> str:
    """Returns the same without blocks, for a response_url: it takes no Markdown."""
    markdown, note = _first_page(response.markdown)
    # Our own sentence may name the admins. Nobody is notified: only the presser sees it.
    sentence = _MENTION.sub(r"<@\1>", escaped(response.sentence))
    more = "\n\n".join(filter(None, (with_ascii_hosts(markdown), note)))
    return "\n\n".join(filter(None, (sentence, escaped(more))))


def why_blocks(response: ActionResponse) -> list[Json]:
    """Returns the blocks that ask why an answer didn't help. The buttons name the message of the answer."""
    buttons = [
        button(f"{ReplyAction.FEEDBACK_REASON}-{reason}", label, response.asks_why)
        for reason, label in texts.DOWN_REASONS.items()
    ]
    return [section(plain_text(response.sentence)), actions(buttons)]


def _first_page(markdown: str) -> tuple[str, str]:
    """Returns as much of a text as one message holds, and a sentence about the rest."""
    pages = Pages(max_full=1)
    pages.append(markdown)
    first, *more = [*pages.full, pages.growing]
    return first.markdown, texts.REST_LEFT_OUT if more else ""


def offer(sentence: str, label: str, action_id: str, value: str = "") -> list[Json]:
    """Returns a sentence, and a button that does what the sentence is about."""
    return [section(mrkdwn(sentence)), blockkit.actions([blockkit.button(action_id, label, value)])]
