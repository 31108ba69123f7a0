"""Shows a person's accounts on MCP servers in App Home, and in the modal for signing out. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.core import texts
from bot.core.conversation import escape
from bot.slack.blockkit import (
    Json,
    checkboxes,
    checked_options,
    context,
    input_field,
    modal,
    mrkdwn,
    plain_text,
    section,
)
from bot.slack.views.modal import Modal

_ID, _KEPT, _EVERYBODY = "accounts", "kept", "everybody"
MAX_LISTED = 10
"""Maximum number of servers in the modal. This is Slack's limit for one field, and also the limit for servers in
BOT_MCP_CONFIG."""


@dataclass(frozen=True, slots=True)
class SubmittedAccounts:
    servers: Sequence[str]
    servers_of_everybody: Sequence[str] = ()


def _accounts_modal(signed_in: Mapping[str, tuple[float, str]], people: Mapping[str, int]) -> Json:
    """Returns the accounts modal. `signed_in`: the sign-in time and scopes, keyed by server. `people`: for admins, the
    number of people who are signed in, keyed by server."""
    listed = list(people.items())[:MAX_LISTED]
    everybody = {server: texts.accounts.people_signed_in(server, number) for server, number in listed}
    fields = (
        (_KEPT, texts.accounts.SIGNED_IN_TO, texts.accounts.SIGN_OUT_HINT, _account_labels(signed_in)),
        (_EVERYBODY, texts.accounts.EVERYBODY, texts.accounts.EVERYBODY_HINT, everybody),
    )
    blocks = [
        input_field(name, label, checkboxes(labels, chosen=labels), hint=hint)
        for name, label, hint, labels in fields
        if labels
    ]
    return modal(_ID, texts.accounts.ACCOUNTS_TITLE, blocks)


def home_account_blocks(signed_in: Mapping[str, tuple[float, str]]) -> list[Json]:
    if not signed_in:
        return []
    # Scopes are text from the server.
    listed = escape("\n".join(_account_labels(signed_in).values()))
    shown = section(mrkdwn(f"*{texts.accounts.YOUR_ACCOUNTS}*\n{listed}"))
    return [shown, context(plain_text(texts.accounts.WHERE_TO_SIGN_OUT))]


def _account_labels(signed_in: Mapping[str, tuple[float, str]]) -> dict[str, str]:
    return {
        server: texts.accounts.account(server, texts.times.format_date(since), scope)
        for server, (since, scope) in list(signed_in.items())[:MAX_LISTED]
    }


def _parse_submission(view: Mapping[str, Any]) -> SubmittedAccounts:
    ended: dict[str, list[str]] = {}
    for block in view["blocks"]:
        listed = (str(option["value"]) for option in block["element"]["options"])
        ended[block["block_id"]] = [
            server for server in listed if server not in checked_options(view, block["block_id"])
        ]
    return SubmittedAccounts(ended.get(_KEPT, ()), ended.get(_EVERYBODY, ()))


ACCOUNTS = Modal(_ID, _accounts_modal, _parse_submission, lambda _: _KEPT)
