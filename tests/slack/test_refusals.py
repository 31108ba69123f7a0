"""The meaning of Slack's errors, over real HTTP: an unknown error doesn't mean that something is gone."""

from typing import Unpack

import pytest

from bot.errors import RateLimited, Refusal, Refused, TypistError
from bot.slack.client import DEFAULT_RETRY_AFTER_S, MAX_RETRY_AFTER_S, SlackClient, new_session
from sandbox.faults import FaultSettings
from sandbox.server import Sandbox

ODD = {
    "an unknown error name": ("unknown_error", Refusal.UNKNOWN),
    "HTTP 408 as text": ("stream_timeout", Refusal.TRANSIENT),
    "HTTP 500 as HTML": ("error_500", Refusal.TRANSIENT),
    "HTTP 503 as text": ("unavailable", Refusal.TRANSIENT),
    "HTTP 200 as text": ("text_200", Refusal.TRANSIENT),
    "HTTP 200 as HTML": ("html_200", Refusal.TRANSIENT),
    "HTTP 200 without a body": ("empty_200", Refusal.TRANSIENT),
    "HTTP 200 with a list": ("list_200", Refusal.TRANSIENT),
    "a cut connection": ("drop_request", Refusal.TRANSIENT),
    "internal_error": ("internal_error", Refusal.TRANSIENT),
}
NAMED = {
    "message_not_found": Refusal.MESSAGE_GONE,
    "thread_not_found": Refusal.MESSAGE_GONE,
    "channel_not_found": Refusal.CHANNEL_GONE,
    "not_in_channel": Refusal.CHANNEL_GONE,
    "is_archived": Refusal.CHANNEL_GONE,
    "is_inactive": Refusal.CHANNEL_GONE,
    "invalid_auth": Refusal.TOKEN_GONE,
    "account_inactive": Refusal.TOKEN_GONE,
    "token_revoked": Refusal.TOKEN_GONE,
    "missing_scope": Refusal.FORBIDDEN,
    "block_mismatch": Refusal.UNEDITABLE,
    "edit_window_closed": Refusal.UNEDITABLE,
    "msg_too_long": Refusal.TOO_LONG,
    "invalid_blocks": Refusal.UNREADABLE,
    "cant_delete_message": Refusal.FORBIDDEN,
    "streaming_state_conflict": Refusal.STREAM_OPEN,
    "message_not_in_streaming_state": Refusal.STREAM_CLOSED,
    "stopped_by_user": Refusal.STREAM_CLOSED,
    "cannot_provide_both_markdown_text_and_chunks": Refusal.FORBIDDEN,
    "streaming_mode_mismatch": Refusal.FORBIDDEN,
    "invalid_thread_ts": Refusal.FORBIDDEN,
    "missing_recipient_team_id": Refusal.FORBIDDEN,
    "missing_recipient_user_id": Refusal.FORBIDDEN,
    "team_not_found": Refusal.FORBIDDEN,
    "channel_type_not_supported": Refusal.FORBIDDEN,
    "channel_is_limited_access": Refusal.CHANNEL_GONE,
    "file_deleting_disabled": Refusal.FORBIDDEN,
    "delete_not_allowed": Refusal.FORBIDDEN,
    "canvas_deleting_disabled": Refusal.FORBIDDEN,
    "file_upload_size_restricted": Refusal.FORBIDDEN,
    "msg_blocks_too_many": Refusal.TOO_LONG,
    "attachment_payload_limit_exceeded": Refusal.TOO_LONG,
    "invalid_chunks": Refusal.UNREADABLE,
    "slack_connect_file_link_sharing_blocked": Refusal.LINK_BLOCKED,
    "slack_connect_canvas_sharing_blocked": Refusal.LINK_BLOCKED,
    "slack_connect_lists_sharing_blocked": Refusal.LINK_BLOCKED,
    "something_of_next_year": Refusal.UNKNOWN,
}


async def refusal(name: str, **fault: Unpack[FaultSettings]) -> TypistError:
    async with Sandbox() as sandbox, new_session() as session:
        web = SlackClient(sandbox.bot_token, sandbox.api_url, session)
        fault |= FaultSettings(method="chat.postMessage", times=1)
        sandbox.faults.start(name, **fault)
        with pytest.raises((Refused, RateLimited)) as raised:
            await web.post(channel="C0GENERAL", text="Hello")
        return raised.value


@pytest.mark.parametrize(("fault", "reason"), ODD.values(), ids=ODD.keys())
async def test_unexpected_response_may_pass(fault: str, reason: Refusal) -> None:
    refused = await refusal(fault)
    assert isinstance(refused, Refused)
    assert refused.reason is reason
    assert refused.reason.may_pass


@pytest.mark.parametrize(("error", "reason"), NAMED.items(), ids=NAMED.keys())
async def test_documented_error_has_its_documented_meaning(error: str, reason: Refusal) -> None:
    refused = await refusal("refuse", error=error)
    assert isinstance(refused, Refused)
    assert (refused.error, refused.reason) == (error, reason)


@pytest.mark.parametrize(
    ("retry_after_s", "waits_s"),
    [(7, 7), (0, 0), (-1, DEFAULT_RETRY_AFTER_S), (10**9, MAX_RETRY_AFTER_S), (10**400, MAX_RETRY_AFTER_S)],
    ids=["some", "none", "negative", "decades", "infinite"],
)
async def test_rate_limit_is_no_refusal_and_has_a_bounded_wait(retry_after_s: int, waits_s: float) -> None:
    limited = await refusal("rate_limit", retry_after_s=retry_after_s)
    assert isinstance(limited, RateLimited)
    assert limited.retry_after_s == waits_s
