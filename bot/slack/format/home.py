"""App Home as Block Kit: Typist's features, a person's usage, the default settings, and the admins' part."""

from bot.core import texts
from bot.core.app_home import HomeView, WorkspaceUsage
from bot.core.entities import escape
from bot.core.inbound.channel_settings import EffectiveSettings
from bot.core.limits.access import Denial
from bot.core.limits.caps import Period, Scope
from bot.core.reply.preview import beginning
from bot.slack.format.blockkit import Json, context, divider, header, home, mrkdwn, plain_text, section
from bot.slack.format.command_responses import amount_text, usage_text

PROMPT_CHARS = 400
MAX_MODELS = 10


def home_view(view: HomeView) -> Json:
    """Returns the view that views.publish takes."""
    blocks = [
        header("Typist"),
        section(mrkdwn(f"{texts.WHAT_I_DO}\n{texts.COMMANDS_IN_HOME}")),
        divider(),
        header(texts.USAGE_HEADING),
        section(mrkdwn(usage_text(view.usage))),
        header(texts.DEFAULTS_HEADING),
        section(mrkdwn(_defaults_text(view.defaults))),
        context(plain_text(texts.CHANNELS_DIFFER)),
    ]
    return home(blocks + (_admin_blocks(view.workspace) if view.workspace else []))


def cap_notice_blocks(sentence: str) -> list[Json]:
    """Returns the blocks of a notice to Typist admins, in mrkdwn."""
    return [section(mrkdwn(sentence)), context(plain_text(texts.QUOTAS_ARE_SET_IN_HOME))]


def denied_view(denial: Denial) -> Json:
    """Returns the view of a person without access."""
    return home([header("Typist"), section(plain_text(denial))])


def _defaults_text(defaults: EffectiveSettings) -> str:
    mentions = texts.MENTIONS_NEEDED[defaults.engagement]
    prompt = escape(beginning(defaults.system_prompt, PROMPT_CHARS))
    return texts.defaults(escape(defaults.model), mentions, prompt)


def _admin_blocks(workspace: WorkspaceUsage) -> list[Json]:
    settings = "\n".join(f"*{label}*: {escape(value)}" for label, value in workspace.settings.items())
    return [
        divider(),
        header(texts.WORKSPACE_HEADING),
        section(mrkdwn(_workspace_usage_text(workspace))),
        section(mrkdwn(f"{texts.BY_MODEL}\n{_models_text(workspace)}")),
        header(texts.SETTINGS_HEADING),
        section(mrkdwn(settings)),
        context(plain_text(texts.WHY_ADMINS_SEE_THIS)),
    ]


def _workspace_usage_text(workspace: WorkspaceUsage) -> str:
    spent = workspace.total.spent
    lines = [texts.usage(period, amount_text(spent[period])) for period in Period]
    for cap in workspace.total.caps:
        name = texts.quota_for_admins(cap.window.scope, cap.limit_text, cap.window.period)
        is_counted = cap.window.scope is Scope.WORKSPACE
        lines.append(texts.quota_usage(name, cap.percent_used(spent[cap.window.period])) if is_counted else name)
    return "\n".join(lines)


def _models_text(workspace: WorkspaceUsage) -> str:
    """Returns the most expensive models, one per line."""
    by_cost = sorted(workspace.by_model.items(), key=lambda item: (-item[1].cost_usd, -item[1].tokens))
    lines = [f"{escape(model)}: {amount_text(amount)}" for model, amount in by_cost[:MAX_MODELS]]
    return "\n".join(lines) or texts.NO_USAGE
