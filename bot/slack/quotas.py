"""Renders quotas for people and admins. Pure."""

from collections.abc import Sequence

from bot.core import texts
from bot.core.caps import Amount, CapUsage, Period, Scope, UsageToDate
from bot.slack import plain
from bot.slack.blockkit import Json, chart, context, mrkdwn, plain_text, section


def cap_notification(sentence: str, unit: str, daily: Sequence[tuple[str, float]]) -> Json:
    """Returns a notification to Typist admins, which consists of an mrkdwn sentence and, unless `daily` is empty, a
    chart."""
    days, used = [day for day, _ in daily], [amount for _, amount in daily]
    charts = [chart("bar", texts.quotas.used_per_day(unit), days, [(unit, used)])] if daily else []
    blocks = [section(mrkdwn(sentence)), *charts, context(plain_text(texts.quotas.QUOTAS_ARE_SET_IN_HOME))]
    return plain.message(blocks)


def usage_text(usage: UsageToDate) -> str:
    amounts = [(period, usage.usage_by_period[period]) for period in Period]
    lines = [texts.quotas.usage(at, texts.quotas.amount_for_members(one.tokens, one.cost_usd)) for at, one in amounts]
    return "\n".join([*lines, *(quota_lines(usage) or [texts.quotas.NO_QUOTAS])])


def quota_lines(usage: UsageToDate) -> list[str]:
    shown = quotas_to_show(usage)
    lines = [_quota_line(use) for use in shown]
    return lines if not shown or _is_personal(shown[0]) else [texts.quotas.SHARED_QUOTAS, *lines]


def quotas_to_show(usage: UsageToDate) -> list[CapUsage]:
    """Returns a person's own quotas and any shared quotas that are used up. If the person has no quotas, returns all
    shared quotas."""
    own = list(filter(_is_personal, usage.caps))
    shared = [use for use in usage.caps if not _is_personal(use)]
    return [*own, *(use for use in shared if use.percent == 100 or not own)]


def _is_personal(use: CapUsage) -> bool:
    return use.cap.window.scope is Scope.USER


def _quota_line(use: CapUsage) -> str:
    if use.percent < 100 and not _is_personal(use):
        # Shared usage is shown only if it stops this person from asking.
        return texts.quotas.shared_quota(str(use.cap))
    return texts.quotas.quota_so_far(str(use.cap), use.percent, use.resets_at)


def amount_text(amount: Amount) -> str:
    return texts.quotas.amount(amount.tokens, amount.cost_usd)
