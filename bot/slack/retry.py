"""When a call that Slack did not do is tried again: one rule for all callers.

Slack declines a call in three ways:

1. A rate limit (HTTP 429): nothing was done, and Retry-After says how long to wait. The wait is obeyed, up to
   `max_retry_after_s`.
2. A failure that may pass (`Refusal.may_pass`): an outage, a lost connection, an error name that Typist doesn't know.
   Waits grow (`Backoff`). The call may have been done, so a caller whose call must not happen twice looks for its
   result first.
3. Any other refusal: the same call would be refused again, so it isn't retried.

Each caller only sets its bounds: the policies below. `Retrier` applies a policy to a call and sleeps in between: only
it does, and lookups of people, which share one pace (users.py). The edit scheduler applies a policy to a reply's calls
without sleeping, because other replies go on meanwhile.

Which way it is, Slack's error name says (`reason_of`). An unknown name proves nothing: only the names listed here mean
that a message, a channel or the token is gone. Calls with any other name, and those whose answer is no JSON object, are
retried in other forms (reply/edits.py), and given up after minutes.
"""

import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from bot.clock import Clock
from bot.errors import Backoff, RateLimited, Refusal, Refused

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Failures:
    """A call's failures in a row."""

    count: int = 0
    since: float = math.inf
    """When the first of them happened, by the monotonic clock."""

    def and_one(self, now: float) -> "Failures":
        """Returns these failures and one that happens now."""
        return Failures(self.count + 1, min(self.since, now))


NO_FAILURES = Failures()


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a failing call is tried, and the waits in between. Times are in seconds."""

    backoff: Backoff
    max_tries: float = math.inf
    within_s: float = math.inf
    """The time after the first failure at which the next one is the last."""
    max_retry_after_s: float = math.inf
    retries_any_refusal: bool = False
    """Refusals that can't pass are retried as well: the caller has sorted out those that are final."""
    rate_limits_only: bool = False
    """Nothing is retried that Slack may have done."""

    def next_try_at(self, error: RateLimited | Refused, failures: Failures, now: float) -> float | None:
        """Returns when to try again, or None to give up; `failures` include the one that `error` reports."""
        if failures.count >= self.max_tries or now >= failures.since + self.within_s:
            return None
        if isinstance(error, RateLimited):
            return now + min(max(error.retry_after_s, self.backoff.first_s), self.max_retry_after_s)
        if self.rate_limits_only or not (error.reason.may_pass or self.retries_any_refusal):
            return None
        return now + self.backoff.wait_s(failures.count)


REPLY_CALLS = RetryPolicy(Backoff(0.5, 8.0), within_s=180.0, retries_any_refusal=True)
"""A live reply's posts, updates, uploads and deletions. After a refusal the reply says which call is next. After these
minutes the outbox shows the answer's end later."""
RECOVERY = RetryPolicy(Backoff(0.5, 8.0))
"""Reading what Slack shows of a reply; the caller bounds it by a timeout."""
HISTORY_PAGE = RetryPolicy(Backoff(1.0, 1.0), max_tries=3)
"""A page of a conversation; the caller bounds the whole conversation by a timeout."""
USER_KIND = RetryPolicy(Backoff(0.5, 6.0))
"""users.info where access depends on it. Each caller has a timeout of its own."""
EPHEMERAL = RetryPolicy(Backoff(1.0, 8.0), max_tries=5, max_retry_after_s=60.0)
"""Telling one person something that is told once. Slack keeps no such message: one whose response was lost is shown
twice."""
NOTICE = RetryPolicy(Backoff(1.0, 30.0), max_tries=5, max_retry_after_s=60.0, rate_limits_only=True)
"""Telling a channel something. It is better missing than there twice."""
LOOKS = Backoff(0.5, 8.0)
"""The waits between looks for a message that Slack may have posted."""
MAX_LOOKS = 6
OUTSIDE_THREAD_DELETION = RetryPolicy(Backoff(0.5, 8.0), max_tries=6)
"""Deleting a post that Slack put outside its thread."""
CONNECTION = RetryPolicy(Backoff(1.0, 30.0), max_retry_after_s=300.0, retries_any_refusal=True)
"""Connecting to Slack: tried for as long as the process runs, unless Slack says that a token is bad."""


class Retrier:
    """Makes calls, each until it succeeds or the policy gives up; all of them share the policy's tries.

    `problem`: what a failure means, for the log.
    `until`: gives up rather than try again later than this, by the monotonic clock.
    """

    def __init__(self, policy: RetryPolicy, clock: Clock, problem: str, *, until: float = math.inf) -> None:
        self._problem = problem
        self._policy = policy
        self._clock = clock
        self._until = until
        self._failures = NO_FAILURES

    async def call(self, call: Callable[[], Awaitable[T]]) -> T:
        """Returns the call's result; raises its last RateLimited or Refused once the policy gives up."""
        while True:
            try:
                return await call()
            except (RateLimited, Refused) as error:
                now = self._clock.monotonic()
                self._failures = self._failures.and_one(now)
                next_try_at = self._policy.next_try_at(error, self._failures, now)
                if next_try_at is None or next_try_at > self._until:
                    raise
                log.warning("%s: %s Next try in %.0f s.", self._problem, error, next_try_at - now)
            await self._clock.sleep(next_try_at - now)


RATE_LIMITED = ("ratelimited", "rate_limited")
_NAMES: Mapping[Refusal, str] = {
    Refusal.MESSAGE_GONE: "message_not_found thread_not_found",
    Refusal.CHANNEL_GONE: """
        channel_is_limited_access channel_not_found not_in_channel user_not_in_channel is_archived is_inactive
        invalid_channel messages_tab_disabled cannot_reply_to_message posting_to_channel_denied restricted_action
        restricted_action_non_threadable_channel restricted_action_read_only_channel restricted_action_thread_locked
        restricted_action_thread_only_channel
    """,
    Refusal.TOKEN_GONE: "account_inactive invalid_auth not_authed token_expired token_revoked",
    Refusal.FORBIDDEN: """
        access_denied accesslimited canvas_creation_failed canvas_deleted canvas_deleting_disabled
        canvas_disabled_user_team canvas_not_found canvas_tab_creation_failed
        cannot_provide_both_markdown_text_and_chunks cant_delete_message cant_delete_file channel_type_not_supported
        compliance_exports_prevent_deletion delete_not_allowed deprecated_endpoint ekm_access_denied
        enterprise_is_restricted expired_trigger_id file_deleted file_deleting_disabled file_is_deleted file_not_found
        file_type_not_allowed file_upload_size_restricted file_uploads_disabled file_uploads_except_images_disabled
        failed_to_update_user_ids free_team_canvas_tab_already_exists free_teams_cannot_create_non_tabbed_canvases
        invalid_parameters invalid_thread_ts invalid_trigger_id message_not_owned_by_app method_deprecated
        method_not_supported_for_channel_type missing_recipient_team_id missing_recipient_user_id missing_scope
        no_permission not_allowed not_allowed_token_type not_authorized not_enabled not_visible org_login_required
        session_not_found storage_limit_reached streaming_mode_mismatch team_access_not_granted team_not_found
        trigger_exchanged trigger_expired two_factor_setup_required unknown_method user_not_found user_not_visible
    """,
    Refusal.TOO_LONG: "attachment_payload_limit_exceeded msg_blocks_too_long msg_blocks_too_many msg_too_long",
    Refusal.UNREADABLE: """
        invalid_attachments invalid_blocks invalid_blocks_format invalid_chunks markdown_text_conflict no_text
        too_many_attachments
    """,
    Refusal.LINK_BLOCKED: """
        slack_connect_canvas_sharing_blocked slack_connect_file_link_sharing_blocked
        slack_connect_lists_sharing_blocked
    """,
    Refusal.UNEDITABLE: "block_mismatch cant_update_message edit_window_closed",
    Refusal.STREAM_OPEN: "streaming_state_conflict",
    Refusal.STREAM_CLOSED: "message_not_in_streaming_state stopped_by_user",
    Refusal.TRANSIENT: """
        external_channel_migrating fatal_error internal_error message_limit_exceeded request_timeout
        service_unavailable team_added_to_org update_failed
    """,
}
"""The names that Slack documents for the methods that Typist calls (docs.slack.dev/reference/methods), and those that
were observed (sandbox/FIDELITY.md)."""
_REASON_OF = {name: reason for reason, names in _NAMES.items() for name in names.split()}
METHOD_GONE = ("deprecated_endpoint", "method_deprecated", "unknown_method")
"""What Slack says of a method that it no longer has, wherever it is called."""


def reason_of(name: str) -> Refusal:
    """Returns what an error name means. An answer without one (`name` is "") didn't come from Slack's method."""
    return _REASON_OF.get(name, Refusal.UNKNOWN) if name else Refusal.TRANSIENT
