"""The app's Home: what Typist can do, what a person used, what is in force; more for its admins. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.core import texts
from bot.core.entities import escape
from bot.core.inbound.channel_settings import InForce
from bot.core.limits.caps import Amount, Cap, Period, Scope
from bot.core.reply.preview import beginning
from bot.slack.format.command_answers import amount_text, use_text

Json = dict[str, Any]

PROMPT_CHARS = 400
MOST_MODELS = 10
_SECTION_CHARS = 3_000


@dataclass(frozen=True, slots=True)
class PersonUsage:
    """What was used so far today and this month, and the caps on it."""

    spent: Mapping[Period, Amount]
    caps: Sequence[Cap]


@dataclass(frozen=True, slots=True)
class WorkspaceUsage:
    """What its admins see."""

    use: PersonUsage
    by_model: Mapping[str, Amount]
    """This month."""
    settings: Mapping[str, str]
    """As those who run the bot have set it, by what each is called."""


def view(usual: InForce, own: PersonUsage, workspace: WorkspaceUsage | None) -> Json:
    """The Home of one person; `workspace` is for admins."""
    blocks = [
        _header("Typist"),
        _section(f"{texts.WHAT_I_DO}\n{texts.COMMANDS}"),
        {"type": "divider"},
        _header(texts.USAGE_HEADING),
        _section(use_text(own.spent, own.caps)),
        _header(texts.DEFAULTS_HEADING),
        _section(_in_force(usual)),
        _note(texts.CHANNELS_DIFFER),
    ]
    return {"type": "home", "blocks": blocks + (_of_admins(workspace) if workspace else [])}


def _in_force(usual: InForce) -> str:
    mentions = texts.MENTIONS_FOR_EVERY_QUESTION if usual.mention_only else texts.MENTIONS_TO_START
    prompt = escape(beginning(usual.system_prompt, PROMPT_CHARS))
    return texts.defaults(escape(usual.model), mentions, prompt)


def _of_admins(workspace: WorkspaceUsage) -> list[Json]:
    spent, caps = workspace.use.spent, workspace.use.caps
    used = [texts.usage(period, amount_text(spent[period])) for period in Period]
    for cap in caps:
        name = texts.quota_for_admins(cap.window.scope, cap.limit_text, cap.window.period)
        is_counted = cap.window.scope is Scope.WORKSPACE
        used.append(texts.quota_usage(name, cap.percent_used(spent[cap.window.period])) if is_counted else name)
    most = sorted(workspace.by_model.items(), key=lambda item: (-item[1].cost_usd, -item[1].tokens))[:MOST_MODELS]
    models = [f"{escape(model)}: {amount_text(amount)}" for model, amount in most]
    settings = [f"*{name}*: {escape(value)}" for name, value in workspace.settings.items()]
    return [
        {"type": "divider"},
        _header(texts.WORKSPACE_HEADING),
        _section("\n".join(used)),
        _section(f"{texts.BY_MODEL}\n" + ("\n".join(models) or texts.NO_USAGE)),
        _header(texts.SETTINGS_HEADING),
        _section("\n".join(settings)),
        _note(texts.WHY_ADMINS_SEE_THIS),
    ]


def _header(text: str) -> Json:
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def _section(text: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:_SECTION_CHARS], "verbatim": True}}


def _note(text: str) -> Json:
    return {"type": "context", "elements": [{"type": "plain_text", "text": text}]}
