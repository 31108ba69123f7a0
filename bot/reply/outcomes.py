"""The outcomes of a call to Slack. Pure."""

from dataclasses import dataclass

from bot.errors import RateLimited, Refusal, Refused


@dataclass(frozen=True, slots=True)
class CallDone:
    """Slack carried out the call. `ts`: the message's ts, or "" if unknown."""

    ts: str = ""


@dataclass(frozen=True, slots=True)
class CallFound:
    """Slack had accepted an earlier post whose response was lost. The message `ts` shows an earlier state of the
    page."""

    ts: str


@dataclass(frozen=True, slots=True)
class CallRefused:
    """Slack refused the call and did nothing, except that it did post the message if the reason is OUTSIDE_THREAD."""

    error: Refused


@dataclass(frozen=True, slots=True)
class CallLimited:
    """The call must wait for a rate limit, for its channel, or for the first visible word."""

    error: RateLimited


@dataclass(frozen=True, slots=True)
class CallLost:
    """Slack might have carried out the call, or might still do so. `error`: None if the process was ending."""

    error: Refused | None = None


@dataclass(frozen=True, slots=True)
class CallUnsent:
    """The call wasn't sent, because it was no longer allowed or a preceding step failed."""

    error: RateLimited | Refused | None = None


Outcome = CallDone | CallFound | CallRefused | CallLimited | CallLost | CallUnsent


def refusal_of(outcome: CallRefused | CallLost) -> Refusal:
    return Refusal.TRANSIENT if outcome.error is None else outcome.error.reason


def error_of(outcome: Outcome) -> RateLimited | Refused | None:
    """Returns the error that determines when to try again, or None if there is no error."""
    return None if isinstance(outcome, CallDone | CallFound) else outcome.error
