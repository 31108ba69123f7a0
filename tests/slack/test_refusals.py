"""What Slack's error names mean, and what becomes of responses without one."""

from typing import Unpack

import pytest

from bot.errors import RateLimited, Refusal, Refused, TypistError
from bot.slack.client import DEFAULT_RETRY_AFTER_S, MAX_RETRY_AFTER_S
from slack_sandbox.faults import FaultSettings
from tests.slack.workspaces import connected

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
    Refusal.MESSAGE_GONE: "message_not_found thread_not_found",
    Refusal.CHANNEL_GONE: "channel_not_found not_in_channel is_archived is_inactive channel_is_limited_access",
    Refusal.TOKEN_GONE: "invalid_auth account_inactive token_revoked",
    Refusal.FORBIDDEN: """
        missing_scope cant_delete_message cannot_provide_both_markdown_text_and_chunks streaming_mode_mismatch
        invalid_thread_ts missing_recipient_team_id missing_recipient_user_id team_not_found
        channel_type_not_supported file_deleting_disabled delete_not_allowed canvas_deleting_disabled
        file_upload_size_restricted
    """,
    Refusal.UNEDITABLE: "block_mismatch edit_window_closed",
    Refusal.TOO_LONG: "msg_too_long msg_blocks_too_many attachment_payload_limit_exceeded",
    Refusal.UNREADABLE: "invalid_blocks invalid_chunks",
    Refusal.STREAM_OPEN: "streaming_state_conflict",
    Refusal.STREAM_CLOSED: "message_not_in_streaming_state stopped_by_user",
    Refusal.LINK_BLOCKED: """
        slack_connect_file_link_sharing_blocked slack_connect_canvas_sharing_blocked
        slack_connect_lists_sharing_blocked
    """,
    Refusal.UNKNOWN: "something_of_next_year",
}


async def refusal(name: str, **fault: Unpack[FaultSettings]) -> TypistError:
    async with connected() as (sandbox, web):
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
    assert refused.reason.is_temporary


@pytest.mark.parametrize(
    ("error", "reason"), [(name, reason) for reason, names in NAMED.items() for name in names.split()]
)
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
