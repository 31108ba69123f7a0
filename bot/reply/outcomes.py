"""Outcomes of a call to Slack: the closed union `Outcome`. Pure.

The delivery returns an outcome (delivery.py), and `Reply.on_outcome` (reply.py) records it. A reply learns what Slack
did in no other way.
"""

from dataclasses import dataclass

from bot.errors import RateLimited, Refusal, Refused


@dataclass(frozen=True, slots=True)
class CallDone:
    """Slack did the call. `ts` identifies the message, or is "" if it isn't known."""

    ts: str = ""


@dataclass(frozen=True, slots=True)
class CallFound:
    """Slack accepted an earlier post although its response was lost: `ts` shows the page in some earlier state."""

    ts: str


@dataclass(frozen=True, slots=True)
class CallRefused:
    """Slack refused the call and did nothing, except with OUTSIDE_THREAD."""

    error: Refused


@dataclass(frozen=True, slots=True)
class CallLimited:
    """The call would have to wait for its rate, for its channel, or for a word to show."""

    error: RateLimited | None = None


@dataclass(frozen=True, slots=True)
class CallLost:
    """It isn't known whether Slack did the call or will do it later. `error` is None if the process cut it off."""

    error: Refused | None = None


@dataclass(frozen=True, slots=True)
class CallUnsent:
    """The call wasn't sent, because it no longer may be, or because a step that must come first failed."""

    error: RateLimited | Refused | None = None


Outcome = CallDone | CallFound | CallRefused | CallLimited | CallLost | CallUnsent


def refusal_of(outcome: CallRefused | CallLost) -> Refusal:
    """Returns why a call wasn't done, as far as is known."""
    return Refusal.TRANSIENT if outcome.error is None else outcome.error.reason


def error_of(outcome: Outcome) -> RateLimited | Refused | None:
    """Returns the error from which the retry policy computes the next try, or None if there is none."""
    return None if isinstance(outcome, CallDone | CallFound) else outcome.error
