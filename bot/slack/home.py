"""App Home, welcomes, and the responses to commands and buttons, as Block Kit. Pure.

App Home has Typist's features, a person's usage, the default settings, and the admins' part. Only one person reads a
response.
"""

import math
import re
from collections.abc import Callable, Sequence
from itertools import accumulate

from bot.core import texts
from bot.core.actions import ActionResponse
from bot.core.caps import Amount, Period, Scope, UsageToDate
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
from bot.markdown.links import with_ascii_hosts
from bot.markdown.pages import Pages
from bot.markdown.render import beginning, rendered
from bot.markdown.render import mrkdwn as escaped
from bot.slack import blockkit
from bot.slack.blockkit import (
    PIECE_CHARS,
    Json,
    actions,
    bar_chart,
    button,
    channel_select,
    context,
    divider,
    header,
    home,
    mrkdwn,
    plain_text,
    remark,
    section,
    users_select,
)

PROMPT_CHARS = 400
BAR_CHARS = 8
SET_WORKSPACE_CAPS = "set_workspace_caps"
SET_PERSON_CAPS = "set_person_caps"
SET_CHANNEL_CAPS = "set_channel_caps"
"""Action ids of the button and the menus that open the modal with caps."""


def home_view(view: HomeView) -> Json:
    """Returns the view that views.publish takes."""
    defaults = view.defaults
    mentions = texts.MENTIONS_NEEDED[defaults.engagement]
    prompt = escape(beginning(defaults.system_prompt, PROMPT_CHARS))
    blocks = [
        header("Typist"),
        section(mrkdwn(f"{texts.WHAT_I_DO}\n{texts.COMMANDS_IN_HOME}")),
        section(plain_text(texts.TRY_ONE)),
        suggestion_row(),
        divider(),
        header(texts.USAGE_HEADING),
        section(mrkdwn(usage_text(view.usage))),
        header(texts.DEFAULTS_HEADING),
        section(mrkdwn(texts.defaults(escape(defaults.model_name), mentions, prompt))),
        context(plain_text(texts.CHANNELS_DIFFER)),
    ]
    return home(blocks + (_admin_blocks(view.workspace) if view.workspace else []))


def cap_notice_blocks(sentence: str, unit: str, daily: Sequence[tuple[str, float]]) -> list[Json]:
    """Returns the blocks of a notice to Typist admins, in mrkdwn, with a chart of the last days unless it is empty."""
    chart = [bar_chart(texts.used_per_day(unit), unit, daily)] if daily else []
    return [section(mrkdwn(sentence)), *chart, context(plain_text(texts.QUOTAS_ARE_SET_IN_HOME))]


def denied_view(sentence: str) -> Json:
    """Returns the view of a person without access, with a sentence of mrkdwn that says why."""
    return home([header("Typist"), section(mrkdwn(sentence))])


def _admin_blocks(workspace: WorkspaceUsage) -> list[Json]:
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
        _ranking(texts.PEOPLE, people, lambda user_id: f"<@{user_id}>", amount_text),
        _ranking(texts.CHANNELS, channels, lambda id_: f"<#{id_}>" if id_ else texts.DIRECT_MESSAGES, amount_text),
        _ranking(texts.MODELS, models, lambda model: _short_name(workspace.names.of(model)), amount_text),
        _ranking(texts.TOOLS, calls, _short_name, texts.calls_made),
    ]


def _ranking(heading: str, ranking: Ranking[UsedT], name: Callable[[str], str], amount: Callable[[UsedT], str]) -> Json:
    """Returns one list: a bar for this month, a name, and what was used in this month and the last."""
    parts = _parts([this for _, this, _ in ranking.top])
    lines: list[str] = []
    for part, (key, this, last) in zip(parts, ranking.top, strict=True):
        # What is more than nothing shows.
        filled = min(BAR_CHARS, math.ceil(part * BAR_CHARS))
        bar = "█" * filled + "░" * (BAR_CHARS - filled)
        lines.append(f"{bar} {name(key)}: {_in_both_months(this, last, amount)}")
    if ranking.others:
        lines.append(texts.others(ranking.others, _in_both_months(*ranking.others_used, amount)))
    return section(mrkdwn("\n".join([f"*{heading}*", *(lines or [texts.NO_USAGE])])))


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
        unpriced = [_short_name(workspace.names.of(model)) for model in quotas.unpriced[:TOP]]
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
    has_own = any(cap.window.scope is Scope.USER for cap, _ in usage.caps)
    if not has_own:
        lines.append(texts.SHARED_QUOTAS if usage.caps else texts.NO_QUOTAS)
    # What others use is shown only where it keeps this person from asking.
    shown = [(cap, percent) for cap, percent in usage.caps if cap.window.scope is Scope.USER or percent == 100]
    return "\n".join([*lines, *(texts.quota_usage(str(cap), percent) for cap, percent in shown)])


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


def _first_page(markdown: str) -> tuple[str, str]:
    """Returns as much of a text as one message holds, and a sentence about the rest."""
    pages = Pages(max_full=1)
    pages.append(markdown)
    first, *more = [*pages.full, pages.growing]
    return first.markdown, texts.REST_LEFT_OUT if more else ""


def offer(sentence: str, label: str, action_id: str, value: str = "") -> list[Json]:
    """Returns a sentence, and a button that does what the sentence is about."""
    return [section(mrkdwn(sentence)), blockkit.actions([blockkit.button(action_id, label, value)])]
