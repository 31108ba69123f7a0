"""The app's Home: what Typist can do, what a person used, what is in force; more for its admins. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.core.entities import escape
from bot.core.inbound.channel_settings import InForce
from bot.core.limits.caps import Amount, Cap, Period, Scope
from bot.core.reply.preview import beginning
from bot.slack.format.command_answers import COMMANDS, WHAT_I_DO, amount_text, part_used, use_text

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
        _section(f"{WHAT_I_DO}\n{COMMANDS}"),
        {"type": "divider"},
        _header("Your use"),
        _section(use_text(own.spent, own.caps)),
        _header("In force"),
        _section(_in_force(usual)),
        _note("A channel may have its own: write /typist there."),
    ]
    return {"type": "home", "blocks": blocks + (_of_admins(workspace) if workspace else [])}


def _in_force(usual: InForce) -> str:
    mentions = "for each question" if usual.mention_only else "to begin; follow-ups of one person need none"
    prompt = escape(beginning(usual.system_prompt, PROMPT_CHARS))
    return f"*Model*: {escape(usual.model)}\n*Mentions in channels*: {mentions}\n*System prompt*: {prompt}"


def _of_admins(workspace: WorkspaceUsage) -> list[Json]:
    spent, caps = workspace.use.spent, workspace.use.caps
    used = [f"*Today* (UTC): {amount_text(spent[Period.DAY])}", f"*This month*: {amount_text(spent[Period.MONTH])}"]
    for cap in caps:
        counted = f": {part_used(cap, spent[cap.window.period])}% used" if cap.window.scope is Scope.WORKSPACE else ""
        used.append(f"{_name(cap)}{counted}")
    most = sorted(workspace.by_model.items(), key=lambda item: (-item[1].cost_usd, -item[1].tokens))[:MOST_MODELS]
    models = [f"{escape(model)}: {amount_text(amount)}" for model, amount in most]
    settings = [f"*{name}*: {escape(value)}" for name, value in workspace.settings.items()]
    return [
        {"type": "divider"},
        _header("This workspace"),
        _section("\n".join(used)),
        _section("*By model, this month*\n" + ("\n".join(models) or "Nothing yet.")),
        _header("Settings"),
        _section("\n".join(settings)),
        _note("You see this because BOT_ADMINS names you. Settings are changed where the bot runs."),
    ]


def _name(cap: Cap) -> str:
    """A cap as its admin thinks of it."""
    whose = {Scope.USER: "Each person's", Scope.CHANNEL: "Each channel's", Scope.WORKSPACE: "The workspace's"}
    return f"{whose[cap.window.scope]} limit{str(cap).partition(' limit')[2]}"


def _header(text: str) -> Json:
    return {"type": "header", "text": {"type": "plain_text", "text": text}}


def _section(text: str) -> Json:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:_SECTION_CHARS], "verbatim": True}}


def _note(text: str) -> Json:
    return {"type": "context", "elements": [{"type": "plain_text", "text": text}]}
