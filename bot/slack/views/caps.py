"""Shows caps in the modal for the workspace, a channel or a person, and in App Home. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bot.core import texts
from bot.core.caps import CapField, CapOwner, EnteredLimits, OwnerCaps, Period, Scope, UsageToDate
from bot.core.conversation import escape
from bot.core.surfaces import MAX_LISTED, WorkspaceUsage
from bot.slack.blockkit import (
    Json,
    actions,
    button,
    channel_select,
    context,
    divider,
    field_values,
    header,
    initial_view,
    input_field,
    modal,
    mrkdwn,
    number_input,
    plain_text,
    section,
    users_select,
)
from bot.slack.quotas import amount_text, quota_lines, quotas_to_show
from bot.slack.views.modal import Modal, metadata_of
from slack_markdown.render import beginning

_ID = "caps"


@dataclass(frozen=True, slots=True)
class SubmittedCaps:
    owner: CapOwner
    entered: EnteredLimits


def _caps_modal(caps: OwnerCaps) -> Json:
    owner = texts.quotas.quota_owner(caps.owner.scope, caps.owner.id)
    blocks = [section(mrkdwn(texts.quotas.quotas_apply_to(owner))), *caps_fields(caps)]
    return modal(_ID, texts.quotas.QUOTAS_TITLE, blocks, asdict(caps.owner))


def caps_fields(caps: OwnerCaps) -> list[Json]:
    used = "\n".join(texts.quotas.usage(period, amount_text(caps.usage_by_period[period])) for period in Period)
    blocks = [context(mrkdwn(used))]
    for field in CapField:
        own, default = caps.own_caps.get(field), caps.defaults.get(field)
        placeholder = texts.settings.default_option(default.limit_text) if default else texts.quotas.NO_QUOTA
        initial = own.limit_as_entered if own else ""
        entry = number_input(placeholder=placeholder, initial=initial, allows_decimals=field.in_dollars)
        blocks.append(input_field(field, texts.quotas.QUOTA_LABELS[field], entry))
    return blocks


def _parse_submission(view: Mapping[str, Any]) -> SubmittedCaps:
    owner = metadata_of(view)
    return SubmittedCaps(CapOwner(Scope(owner["scope"]), owner["id"]), entered_caps(view))


def entered_caps(view: Mapping[str, Any]) -> EnteredLimits:
    """Returns the entries in the fields that a person changed. Another admin might have changed other fields in the
    meantime."""
    entered, shown = field_values(view), field_values(initial_view(view))
    fields = {field: entered.get(field, "").strip() for field in CapField if field in view["state"]["values"]}
    return tuple((field, text) for field, text in fields.items() if text != shown.get(field, ""))


CAPS = Modal(_ID, _caps_modal, _parse_submission, lambda _: next(iter(CapField)))


SET_WORKSPACE_CAPS = "set_workspace_caps"


SET_PERSON_CAPS = "set_person_caps"


SET_CHANNEL_CAPS = "set_channel_caps"
"""Action IDs of the button and menus that open the caps modal."""


def home_quota_blocks(usage: UsageToDate) -> list[Json]:
    lines = quota_lines(usage)
    if not lines:
        return []
    blocks = [divider(), header(texts.home.USAGE_HEADING), section(mrkdwn("\n".join(lines)))]
    in_tokens = any(not use.cap.in_dollars for use in quotas_to_show(usage))
    return [*blocks, context(plain_text(texts.quotas.TOKENS_EXPLAINED))] if in_tokens else blocks


def quotas_for_admins(workspace: WorkspaceUsage) -> list[Json]:
    return [
        header(texts.quotas.QUOTAS_TITLE),
        section(mrkdwn(_quotas_text(workspace))),
        actions(
            [
                button(SET_WORKSPACE_CAPS, texts.home.SET_WORKSPACE_QUOTAS),
                users_select(SET_PERSON_CAPS, texts.home.SET_PERSON_QUOTAS),
                channel_select(SET_CHANNEL_CAPS, texts.home.SET_CHANNEL_QUOTAS),
            ],
            # A new block_id resets the menus: Slack doesn't report an option that is selected twice in a row.
            block_id=f"caps {workspace.built_at}",
        ),
    ]


def _quotas_text(workspace: WorkspaceUsage) -> str:
    quotas = workspace.quotas
    replaced = {(own.cap.window, own.cap.in_dollars) for own in quotas.own_caps if own.owner.scope is Scope.WORKSPACE}
    lines: list[str] = []
    for cap in quotas.defaults:
        name = texts.quotas.quota_for_admins(cap.window.scope, None, cap.limit_text, cap.window.period)
        if cap.window.scope is not Scope.WORKSPACE:
            lines.append(name)
        elif (cap.window, cap.in_dollars) not in replaced:
            lines.append(texts.quotas.quota_usage(name, cap.percent_used(workspace.usage_by_period[cap.window.period])))
    by_use = sorted(quotas.own_caps, key=lambda own: (-own.cap.amount_in_unit(own.usage) / own.cap.limit, own.owner.id))
    for own in by_use[:MAX_LISTED]:
        window = own.cap.window
        name = texts.quotas.quota_for_admins(window.scope, own.owner.id, own.cap.limit_text, window.period)
        lines.append(texts.quotas.quota_usage(name, own.cap.percent_used(own.usage)))
    if len(by_use) > MAX_LISTED:
        lines.append(texts.home.more_quotas(len(by_use) - MAX_LISTED))
    if quotas.unpriced and any(cap.in_dollars for cap in (*quotas.defaults, *(own.cap for own in quotas.own_caps))):
        unpriced = [escape(beginning(name, texts.models.MODEL_NAME_CHARS)) for name in quotas.unpriced[:MAX_LISTED]]
        lines.append(texts.home.unpriced_models_text(unpriced))
    return "\n".join(lines or [texts.home.NO_QUOTAS_SET])
