"""The errors that Typist raises, why answers end, and how long to wait after failures.

Sentences for people in Slack are in core/texts/; the others are for operators.
"""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from pathlib import Path


class TypistError(Exception):
    """Base of all errors that Typist knows. Its `str()` contains no secret and no text of a user."""


class SettingsError(TypistError):
    """The settings or the command line are invalid; `problems` has one line for each problem."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class PayloadError(TypistError):
    """Slack sent a payload in a form that Typist can't read. It would be no better if Slack sent it again."""


class EndReason(StrEnum):
    """Why a job ended, or an attempt (INTERRUPTED), a step (STEPPED) or a transcription (TRANSCRIBED).

    Stored, logged, and kept in Slack's metadata.
    """

    WHOLE = "whole"
    LENGTH_LIMIT = "length_limit"
    """The answer reached its length limit."""
    STEP_LIMIT = "step_limit"
    """The model used all its steps, and would have gone on."""
    NOTHING_ASKED = "nothing_asked"
    """The message had no words and no files, so Typist explained how to ask."""
    OFFERED = "offered"
    """The question was found late, so Typist offered to answer it."""
    COMMAND = "command"
    """The message was a command about memories, which needs no model."""
    BATCHED = "batched"
    """The question was answered with a later one of its thread."""

    STOPPED = "stopped"
    """A person pressed Stop, or the question was deleted or erased."""
    QUESTION_DELETED = "question_deleted"
    """The question was deleted before its first attempt."""
    REPLY_GONE = "reply_gone"
    """The reply was deleted in Slack."""
    SHUT_OUT = "shut_out"
    """The reply's channel was archived, or closed to Typist otherwise. It may be opened again."""

    DENIED = "denied"
    """The asker has no access."""
    CAP_REACHED = "cap_reached"

    BAD_KEY = "bad_key"
    UNKNOWN_MODEL = "unknown_model"
    OUT_OF_CREDIT = "out_of_credit"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    CONTEXT_TOO_LONG = "context_too_long"
    REFUSED = "refused"
    """The model declined to answer."""
    EMPTY = "empty"
    ONLY_THOUGHT = "only_thought"
    WROTE_CALL = "wrote_call"
    """Only of old answers: a model wrote a tool call into its text."""
    STALLED = "stalled"
    CUT = "cut"
    UNREACHABLE = "unreachable"
    SERVER_ERROR = "server_error"
    """The vendor failed, and doesn't say that it is overloaded."""
    UNREADABLE = "unreadable"
    """What came under the model's address is no answer and no error of its API: a redirect, a page, other JSON.

    It isn't charged, because a model that has run answers in its API. An answer that breaks off is CUT.
    """
    UNEXPECTED = "unexpected"
    """The vendor refused the request, and nothing is known of its reason."""

    NOT_SHOWN = "not_shown"
    """Slack took none of the reply's calls for minutes, or the reply couldn't be laid out."""
    STUCK = "stuck"
    """Working through a text held up everybody else, so the answer was ended without its text."""
    INTERNAL_ERROR = "internal_error"
    """A fault of Typist's own, which the log names."""
    INTERRUPTED_TOO_OFTEN = "interrupted_too_often"
    INTERRUPTED = "interrupted"
    """An attempt's process died, or released the job: another attempt goes on."""
    STEPPED = "stepped"
    """A step ended with calls of tools: the answer goes on with their results."""
    TRANSCRIBED = "transcribed"
    """A model wrote down what is said in a recording, for the answer that follows."""

    @property
    def is_answer(self) -> bool:
        """Whether the reader has a complete answer."""
        return self in _ANSWERS

    @property
    def is_continuable(self) -> bool:
        """Whether Continue goes on with the answer, if it has text."""
        return self in _CONTINUABLE or self.may_pass

    @property
    def may_pass(self) -> bool:
        """Whether a model that failed for this reason may soon answer the same request."""
        return self in _PASSING

    @property
    def is_charged_without_text(self) -> bool:
        """Whether a vendor charges a request that failed for this reason before the answer's first word."""
        return self in _CHARGED_WITHOUT_TEXT

    @property
    def is_stop(self) -> bool:
        """Whether people ended the answer."""
        return self in _STOPS

    @property
    def is_failure(self) -> bool:
        """Whether the job failed."""
        by_people = self.is_stop or self in (EndReason.DENIED, EndReason.SHUT_OUT)
        return not (self.is_answer or by_people or self.is_midway)

    @property
    def is_midway(self) -> bool:
        """Whether the answer goes on: what ended is an attempt, a step or a transcription."""
        return self in (EndReason.INTERRUPTED, EndReason.STEPPED, EndReason.TRANSCRIBED)


_ANSWERS = {
    EndReason.WHOLE,
    EndReason.LENGTH_LIMIT,
    EndReason.STEP_LIMIT,
    EndReason.NOTHING_ASKED,
    EndReason.OFFERED,
    EndReason.COMMAND,
    EndReason.BATCHED,
}
_STOPS = {EndReason.STOPPED, EndReason.QUESTION_DELETED, EndReason.REPLY_GONE}
_PASSING = {
    EndReason.RATE_LIMITED,
    EndReason.OVERLOADED,
    EndReason.UNREACHABLE,
    EndReason.SERVER_ERROR,
    EndReason.CUT,
    EndReason.STALLED,
}
_CONTINUABLE = {
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
    EndReason.REFUSED,
}


class FileFault(Enum):
    """What may be wrong with the images and PDFs of a request."""

    FILE = auto()
    """Some of them can't be read, or aren't accepted."""
    TOO_LARGE = auto()
    """A file, or the request, has too many bytes."""
    TOGETHER = auto()
    """The files are too many, or too many tokens together with the text."""
    KIND = auto()
    """The model takes no such files."""


class ProviderError(TypistError):
    """A model gave no complete answer. `detail` is for the log; `texts.for_error` has the sentence for the asker."""

    def __init__(
        self,
        reason: EndReason,
        model: str,
        *,
        retry_after_s: float | None = None,
        detail: str = "",
        may_pass: bool | None = None,
        window_tokens: int | None = None,
    ) -> None:
        """`may_pass`: whether the same request may succeed soon; None: as failures for this reason usually do.

        `window_tokens`: what a model that refuses a text as too long takes, if it names that.
        """
        self.reason = reason
        self.model = model
        self.retry_after_s = retry_after_s
        self.detail = detail
        self.may_pass = reason.may_pass if may_pass is None else may_pass
        self.window_tokens = window_tokens
        super().__init__(f"{model}: {reason}")


class CapReached(TypistError):
    """A cap is used up; `str()` is the sentence for the asker and says when the cap resets."""


class RateLimited(TypistError):
    """Slack answered 429: it did nothing, and rejects this method for `retry_after_s` seconds."""

    def __init__(self, method: str, retry_after_s: float) -> None:
        self.method = method
        self.retry_after_s = retry_after_s
        super().__init__(f"Slack limits {method}: wait {retry_after_s:.0f} s before the next call.")


class Refusal(StrEnum):
    """Why Slack refused a call, as far as it affects the next call."""

    MESSAGE_GONE = "message_gone"
    """The message, or the thread, no longer exists."""
    CHANNEL_GONE = "channel_gone"
    """The channel no longer exists, or we can't write there."""
    TOKEN_GONE = "token_gone"  # noqa: S105
    """The token is revoked, expired or not accepted: no call succeeds until an admin installs the app again."""
    FORBIDDEN = "forbidden"
    """The app's scopes or the workspace's policy forbid this call: the same call is refused again."""
    OUTSIDE_THREAD = "outside_thread"
    """Slack posted the message, but at the channel's root: its thread was deleted. `Refused.ts` is the message."""
    TOO_LONG = "too_long"
    """The page has too much text."""
    UNEDITABLE = "uneditable"
    """This message can no longer be edited, but a new one can be posted."""
    STREAM_OPEN = "stream_open"
    """The message is a native stream that grows. It can be edited once the stream is stopped."""
    STREAM_CLOSED = "stream_closed"
    """The message is no native stream, or not anymore."""
    UNREADABLE = "unreadable"
    """Slack rejects the blocks. Plain text may be accepted."""
    LINK_BLOCKED = "link_blocked"
    """An admin has forbidden links to Slack's files, canvases or lists in channels shared with other organizations."""
    TRANSIENT = "transient"
    """Slack or the network failed. The call may have been done."""
    UNKNOWN = "unknown"
    """Slack gave an error name that Typist doesn't know. Nothing follows from it: the call is tried again."""

    @property
    def may_pass(self) -> bool:
        """Whether the same call may succeed later."""
        return self in (Refusal.TRANSIENT, Refusal.UNKNOWN)

    @property
    def is_final(self) -> bool:
        """Whether the same call never succeeds later. A refused token may be accepted again, or replaced."""
        return not (self.may_pass or self is Refusal.TOKEN_GONE)

    @property
    def is_for_good(self) -> bool:
        """Whether the same call never succeeds later, whatever people do: they may open a channel again."""
        return self.is_final and self is not Refusal.CHANNEL_GONE

    @property
    def is_unavailable(self) -> bool:
        """Whether Slack refuses the method there, whatever the arguments are: then it may be left alone for a while."""
        return self in (Refusal.FORBIDDEN, Refusal.CHANNEL_GONE)

    @property
    def is_gone(self) -> bool:
        """Whether the readers' place is gone, so that nobody could read a message."""
        return self in (Refusal.MESSAGE_GONE, Refusal.CHANNEL_GONE)


class Refused(TypistError):
    """Slack refused a call; `error` is Slack's name for the reason."""

    def __init__(self, method: str, error: str, reason: Refusal, ts: str = "", *, problems: Sequence[str] = ()) -> None:
        """`problems`: what is wrong with blocks, each with its place. They may quote a text, so no log has them."""
        self.method = method
        self.error = error
        self.reason = reason
        self.ts = ts
        self.problems = problems
        failed = f"{method} failed" if reason is Refusal.TRANSIENT else f"Slack refused {method}"
        super().__init__(f"{failed}: {error}.")

    @property
    def name(self) -> str:
        """Slack's name for the reason alone: the scope that missing_scope names stands behind it."""
        return self.error.partition(" ")[0]


class NothingAsked(TypistError):
    """A mention has no words, and no words that it could be about come before it."""


class NotShown(TypistError):
    """A reply was given up: Slack took none of its calls for minutes, or it couldn't be laid out."""


class SlackSetupError(TypistError):
    """Typist can't connect because of the tokens or the app's setup; the sentence says what to change."""


class Stuck(TypistError):
    """A step of the event loop computed for too long (standstill.py). The log names its place."""


class StoreError(TypistError):
    """The database failed; the sentence says what to check, and never contains the password."""


class StoreAway(StoreError):
    """The database's server can't be reached, or says that it is starting or stopping: that may pass."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait before another try: twice as long after each failure in a row, up to a bound."""

    first_s: float
    max_s: float

    def wait_s(self, failures: int) -> float:
        """Returns the wait after so many failures in a row; 0.0 after none."""
        # More doublings would only make a float overflow.
        return min(self.first_s * 2.0 ** min(failures - 1, 30), self.max_s) if failures else 0.0


def source_path(filename: str) -> str:
    """Returns a module's path from its outermost package, such as bot/services/steps.py.

    Several packages have a file of one name, and the rest of the path only says where Typist is installed.
    """
    path = Path(filename)
    outside = next((folder for folder in path.parents if not (folder / "__init__.py").exists()), path.parent)
    return path.relative_to(outside).as_posix()


def trace_of(error: BaseException) -> str:
    """Returns an unforeseen error's type and where it was raised, for the log.

    The error's own message is left out, because it may quote a user's text or a secret.
    """
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = " < ".join(f"{source_path(frame.filename)}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__name__} at {places}" if places else type(error).__name__
