"""Typist's errors, the reasons why answers end, and the delays after failures.

User-facing text for Slack is in core/texts/. The sentences in this module are for operators.
"""

import logging
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from pathlib import Path
from typing import ClassVar

from slack_pacing.ledger import LedgerUnavailable

log = logging.getLogger(__name__)


class TypistError(Exception):
    """The base class of Typist's errors. `str()` contains neither secrets nor users' text."""


class SettingsError(TypistError):
    """The settings or the command line are invalid. `problems` has one line for each problem."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class PayloadError(TypistError):
    """Slack sent a payload that Typist can't read, so the same payload would fail again."""


class StoredEnum(StrEnum):
    """An enum with stored values. A value that only another version of Typist knows is read as the class's `unknown`.
    The other version might still be running during a deployment, or might have been rolled back."""

    unknown_value: ClassVar[str]

    def __init_subclass__(cls, unknown: str) -> None:
        cls.unknown_value = unknown

    @classmethod
    def _missing_(cls, value: object) -> "StoredEnum":
        log.warning("unknown stored value, using the default: %s %.40r -> %s", cls.__name__, value, cls.unknown_value)
        default = cls(cls.unknown_value)
        # Cached, so that the value is logged only once.
        cls._value2member_map_[value] = default
        return default


class EndReason(StoredEnum, unknown="internal_error"):
    """Why a job, an attempt (INTERRUPTED), a step (STEPPED) or a transcription (TRANSCRIBED) ended. The reason is
    stored, logged, and included in Slack's metadata."""

    WHOLE = "whole"
    LENGTH_LIMIT = "length_limit"
    STEP_LIMIT = "step_limit"
    NOTHING_ASKED = "nothing_asked"
    """The message had no text and no files, so Typist explained how to ask."""
    OFFERED = "offered"
    """The question was found late, so Typist only offered to answer it."""
    COMMAND = "command"
    """The message was a command about memories, so no model was needed."""
    SILENT = "silent"
    """The work succeeded, but according to a rule that people wrote, its result wasn't worth posting."""
    BATCHED = "batched"
    """The question was answered together with a later question in the thread."""

    STOPPED = "stopped"
    """A person clicked Stop, or the question was deleted or erased."""
    QUESTION_DELETED = "question_deleted"
    REPLY_GONE = "reply_gone"
    SHUT_OUT = "shut_out"
    """The reply's channel was archived or otherwise closed to Typist, but might be reopened."""

    DENIED = "denied"
    CAP_REACHED = "cap_reached"

    BAD_KEY = "bad_key"
    UNKNOWN_MODEL = "unknown_model"
    OUT_OF_CREDIT = "out_of_credit"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    CONTEXT_TOO_LONG = "context_too_long"
    REFUSED = "refused"
    MISALIGNED = "misaligned"
    """The vendor stopped the answer because of what the model did (OpenAI's misalignment monitoring)."""
    EMPTY = "empty"
    ONLY_THOUGHT = "only_thought"
    STALLED = "stalled"
    CUT = "cut"
    UNREACHABLE = "unreachable"
    SERVER_ERROR = "server_error"
    """The vendor failed without reporting an overload."""
    UNREADABLE = "unreadable"
    """The model's URL returned a redirect, a web page or other JSON instead of an answer or an error of its API. Such a
    request isn't charged: no model ran, because a model's answer would follow the API. A partial answer is CUT
    instead."""
    UNEXPECTED = "unexpected"
    """The vendor refused the request for an unknown reason."""

    NOT_SHOWN = "not_shown"
    """Slack accepted none of the reply's calls for minutes, or the reply couldn't be laid out."""
    STUCK = "stuck"
    """Processing the answer's text blocked the event loop, so the answer ended without its text."""
    INTERNAL_ERROR = "internal_error"
    INTERRUPTED_TOO_OFTEN = "interrupted_too_often"
    INTERRUPTED = "interrupted"
    """An attempt's process died or released the job, and another attempt continues."""
    STEPPED = "stepped"
    """A step ended with tool calls, and the answer continues with their results."""
    TRANSCRIBED = "transcribed"

    @property
    def is_answer(self) -> bool:
        return self in _ANSWERS

    @property
    def is_continuable(self) -> bool:
        """Whether clicking Continue can extend the answer if it has text."""
        return self in _CONTINUABLE

    @property
    def is_temporary(self) -> bool:
        """Whether a model that failed for this reason might soon succeed with the same request."""
        return self in _TEMPORARY

    @property
    def is_charged_without_text(self) -> bool:
        """Whether a vendor charges a request that failed for this reason before the answer's first word."""
        return self in _CHARGED_WITHOUT_TEXT

    @property
    def is_declined(self) -> bool:
        """Whether a vendor decided against the question or its answer, neither of which is then sent to a model
        again."""
        return self in _DECLINED

    @property
    def is_stop(self) -> bool:
        return self in _STOPS

    @property
    def is_failure(self) -> bool:
        return not (self in _NO_FAILURES or self.is_midway)

    @property
    def is_midway(self) -> bool:
        return self in (EndReason.INTERRUPTED, EndReason.STEPPED, EndReason.TRANSCRIBED)


_ANSWERS = {
    EndReason.WHOLE,
    EndReason.LENGTH_LIMIT,
    EndReason.STEP_LIMIT,
    EndReason.NOTHING_ASKED,
    EndReason.OFFERED,
    EndReason.COMMAND,
    EndReason.SILENT,
    EndReason.BATCHED,
}
_STOPS = {EndReason.STOPPED, EndReason.QUESTION_DELETED, EndReason.REPLY_GONE}
_NO_FAILURES = {*_ANSWERS, *_STOPS, EndReason.DENIED, EndReason.SHUT_OUT}
_TEMPORARY = {
    EndReason.RATE_LIMITED,
    EndReason.OVERLOADED,
    EndReason.UNREACHABLE,
    EndReason.SERVER_ERROR,
    EndReason.CUT,
    EndReason.STALLED,
}
_DECLINED = {EndReason.REFUSED, EndReason.MISALIGNED}
_CONTINUABLE = {
    *_TEMPORARY,
    EndReason.EMPTY,
    EndReason.ONLY_THOUGHT,
    EndReason.LENGTH_LIMIT,
    EndReason.STEP_LIMIT,
    EndReason.STOPPED,
    EndReason.SHUT_OUT,
    EndReason.INTERRUPTED_TOO_OFTEN,
}
_CHARGED_WITHOUT_TEXT = {
    EndReason.STALLED,
    EndReason.CUT,
    EndReason.EMPTY,
    EndReason.ONLY_THOUGHT,
    *_DECLINED,
}


_FREE_BEFORE_OUTPUT = {("anthropic", EndReason.REFUSED)}
"""Pairs of vendor and reason: failures that the vendor doesn't charge for if they come before any output. Anthropic:
"You are not billed for a refusal that arrives before any output" (read on 2026-11-30, in a copy of August).
https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback"""


class FileFault(Enum):
    FILE = auto()
    """The vendor can't read or doesn't accept some of the files."""
    TOO_LARGE = auto()
    TOGETHER = auto()
    """There are too many files, or the files and the text together have too many tokens."""
    KIND = auto()


class ProviderError(TypistError):
    """A model didn't complete an answer. `detail` is for the log; `texts.for_error` returns the asker's sentence."""

    def __init__(
        self,
        reason: EndReason,
        model: str,
        *,
        retry_after_s: float | None = None,
        detail: str = "",
        is_temporary: bool | None = None,
        window_tokens: int | None = None,
        explanation: str = "",
    ) -> None:
        """`is_temporary`: whether the same request might soon succeed, or None for the reason's default.
        `window_tokens`: the model's window, if the model rejected a prompt as too long and stated its window.
        `explanation`: why a vendor stopped the answer, for the asker. An explanation can contain users' text, so it
        isn't logged.
        """
        self.reason = reason
        self.model = model
        self.retry_after_s = retry_after_s
        self.detail = detail
        self.is_temporary = reason.is_temporary if is_temporary is None else is_temporary
        self.window_tokens = window_tokens
        self.explanation = explanation
        super().__init__(f"{model}: {reason}")

    def is_charged(self, *, has_output: bool) -> bool:
        """Returns whether the vendor charges for a failed request that produced no text. `has_output`: whether the
        model did any thinking."""
        is_free = (self.model.partition("/")[0], self.reason) in _FREE_BEFORE_OUTPUT and not has_output
        return self.reason.is_charged_without_text and not is_free


class CapReached(TypistError):
    """A cap is used up. `str()` is a sentence for the asker, which includes the time when the cap resets."""


class RateLimited(TypistError):
    """Slack returned status 429. The call wasn't made, and Slack rejects the method for `retry_after_s` seconds."""

    def __init__(self, method: str, retry_after_s: float) -> None:
        self.method = method
        self.retry_after_s = retry_after_s
        super().__init__(f"Slack limits {method}: wait {retry_after_s:.0f} s before the next call.")


class Refusal(StrEnum):
    """Reasons why Slack refuses a call, by their effect on the next call."""

    MESSAGE_GONE = "message_gone"
    CHANNEL_GONE = "channel_gone"
    """The channel was deleted, or Typist can't write there."""
    TOKEN_GONE = "token_gone"  # noqa: S105
    """The token was revoked, has expired or is rejected. No call succeeds until an admin reinstalls the app."""
    FORBIDDEN = "forbidden"
    """The app's scopes or the workspace's policy forbid this call, so the same call would be refused again."""
    OUTSIDE_THREAD = "outside_thread"
    """Slack posted the message outside its thread because the thread was deleted. `Refused.ts` is the message's ts."""
    TOO_LONG = "too_long"
    UNEDITABLE = "uneditable"
    """The message can't be edited anymore, but a new message can be posted."""
    STREAM_OPEN = "stream_open"
    """The message is a native stream in progress. It can be edited once the stream is stopped."""
    STREAM_CLOSED = "stream_closed"
    """The message isn't a native stream, or isn't one anymore."""
    UNREADABLE = "unreadable"
    """Slack rejects the blocks. Plain text might be accepted."""
    LINK_BLOCKED = "link_blocked"
    """An admin has forbidden links to Slack's files, canvases or lists in channels shared with other organizations."""
    TRANSIENT = "transient"
    """Slack or the network failed. The call might have succeeded."""
    UNKNOWN = "unknown"
    """Slack reported an unknown error name. The call will be tried again."""

    @property
    def is_temporary(self) -> bool:
        return self in (Refusal.TRANSIENT, Refusal.UNKNOWN)

    @property
    def is_final(self) -> bool:
        """Whether trying the same call later can't succeed. False for a rejected token, which might be accepted again
        or replaced."""
        return not (self.is_temporary or self is Refusal.TOKEN_GONE)

    @property
    def is_permanent(self) -> bool:
        """Whether the call can never succeed. False for CHANNEL_GONE, because people can reopen a channel."""
        return self.is_final and self is not Refusal.CHANNEL_GONE

    @property
    def is_unavailable(self) -> bool:
        """Whether Slack refuses the method in a channel regardless of its arguments, so that it can be skipped for a
        while."""
        return self in (Refusal.FORBIDDEN, Refusal.CHANNEL_GONE)

    @property
    def is_gone(self) -> bool:
        """Whether the message's channel or thread was deleted, so that nobody could read a message."""
        return self in (Refusal.MESSAGE_GONE, Refusal.CHANNEL_GONE)


class Refused(TypistError):
    def __init__(self, method: str, error: str, reason: Refusal, ts: str = "", *, problems: Sequence[str] = ()) -> None:
        """`problems`: errors in blocks, with their locations. These errors can quote text, so they aren't logged."""
        self.method = method
        self.error = error
        self.reason = reason
        self.ts = ts
        self.problems = problems
        failed = f"{method} failed" if reason is Refusal.TRANSIENT else f"Slack refused {method}"
        super().__init__(f"{failed}: {error}.")

    @property
    def name(self) -> str:
        """Slack's name for the reason, without the scope that missing_scope appends."""
        return self.error.partition(" ")[0]


class NothingAsked(TypistError):
    """A mention has no text, and the conversation has no earlier text that it could be about."""


class NotShown(TypistError):
    """A reply was given up: Slack accepted none of its calls for minutes, or the reply couldn't be laid out."""


class SlackSetupError(TypistError):
    """Typist can't connect because of the tokens or the app's setup. The exception's message states what to change."""


class Stuck(TypistError):
    """A step of the event loop computed for too long (standstill.py). The log shows where it was."""


class StoreError(TypistError, LedgerUnavailable):
    """The database failed. The exception's message states what to check, and never contains the password."""


class StoreClosed(StoreError):
    """This process has closed its database connections, because it is ending."""


class StoreAway(StoreError):
    """The database server is unreachable, starting or stopping, which might be temporary."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays before retries, which double after each consecutive failure, up to a maximum."""

    first_s: float
    max_s: float

    def wait_s(self, failures: int) -> float:
        # More doublings would only overflow a float.
        return min(self.first_s * 2.0 ** min(failures - 1, 30), self.max_s) if failures else 0.0


def source_path(filename: str) -> str:
    """Returns a module's path from its outermost package (bot/services/steps.py), because file names aren't unique."""
    path = Path(filename)
    outside = next((folder for folder in path.parents if not (folder / "__init__.py").exists()), path.parent)
    return path.relative_to(outside).as_posix()


def trace_of(error: BaseException) -> str:
    """Returns an error's type and origin, but not its message, which might quote a user or a secret."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = " < ".join(f"{source_path(frame.filename)}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {places}" if places else type(error).__name__
