"""What `typist check` finds: one check for each thing that must be right, and the report as text and JSON.

The checks run side by side, each within its time, and every one is reported. A check that needs another one waits for
it, and is skipped if that one failed. A check that raises something unforeseen is a failed check, and the others go on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bot.checks import check_texts
from bot.core.unseen import visible
from bot.errors import TypistError, trace_of

SETTINGS = "settings"
"""The id of the settings' check: the only one made if they are invalid."""


class CheckStatus(StrEnum):
    """What became of a check."""

    OK = "ok"
    WARN = "warn"
    """A feature does not work, or something will fail later."""
    FAIL = "fail"
    """Questions stay unanswered until somebody fixes it."""
    SKIPPED = "skipped"
    """The check could not be made, or nobody asked for it."""


_MARKS: Mapping[CheckStatus, str] = {
    CheckStatus.OK: "✔",
    CheckStatus.WARN: "⚠",
    CheckStatus.FAIL: "✘",
    CheckStatus.SKIPPED: "–",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. No part of it holds a secret."""

    id: str
    """Stays the same between versions, for scripts: "slack.scopes"."""
    status: CheckStatus
    message: str
    fix: str = ""
    """The remedy, "" if none is needed."""
    cause: str = ""
    """Why checks that need this one are not made, as a clause; "": because it did not pass."""

    @property
    def passed(self) -> bool:
        """Whether checks that depend on this one make sense."""
        return self.status in (CheckStatus.OK, CheckStatus.WARN)

    def lines(self) -> list[str]:
        """Returns the check as lines of text: the message with its mark, and the remedy below.

        Names from Slack and from servers lose what a terminal would obey.
        """
        first, *others = visible(self.message).splitlines()
        remedy = [f"  → {visible(self.fix)}"] if self.fix else []
        return [f"{_MARKS[self.status]} {first}", *(f"    {line}" for line in others), *remedy]


def ok(check_id: str, message: str) -> Check:
    """Returns a check that passed."""
    return Check(check_id, CheckStatus.OK, message)


def warn(check_id: str, message: str, fix: str) -> Check:
    """Returns a check that found something that limits a feature."""
    return Check(check_id, CheckStatus.WARN, message, fix)


def fail(check_id: str, message: str, fix: str) -> Check:
    """Returns a check that found something that must be fixed."""
    return Check(check_id, CheckStatus.FAIL, message, fix)


def skipped(check_id: str, reason: str) -> Check:
    """Returns a check that was not made."""
    return Check(check_id, CheckStatus.SKIPPED, reason)


def skipped_for(check_id: str, needed: Check) -> Check:
    """Returns a check that was not made because of another one, and hands the cause on."""
    return replace(skipped(check_id, check_texts.skipped(check_id, needed.id, needed.cause)), cause=needed.cause)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The checks, in the order in which they are shown."""

    checks: Sequence[Check]

    @property
    def is_ok(self) -> bool:
        """Whether nothing must be fixed."""
        return not any(check.status is CheckStatus.FAIL for check in self.checks)

    @property
    def for_people(self) -> Sequence[Check]:
        """The checks without those that would say the same again: people read of one cause once."""
        first: dict[tuple[str, str], Check] = {}
        for check in self.checks:
            first.setdefault((check.message, check.fix), check)
        return list(first.values())

    def text(self) -> str:
        """Returns the report for people."""
        found = self.for_people
        lines = [line for check in found for line in check.lines()]
        shown = (CheckStatus.FAIL, CheckStatus.WARN, CheckStatus.SKIPPED)
        counts = (sum(check.status is status for check in found) for status in shown)
        return "\n".join([*lines, "", check_texts.summary(*counts)])

    def json(self) -> dict[str, object]:
        """Returns the report for scripts, as data for a JSON object."""
        names = ("id", "status", "message", "fix")
        return {"ok": self.is_ok, "checks": [{name: getattr(check, name) for name in names} for check in self.checks]}


WITHIN_S = 12.0
"""How long one check may take."""
ANSWER_WITHIN_S = 8.0
"""How long a check waits for Slack or the database. Less, so that it can say what did not come."""


@dataclass(frozen=True, slots=True)
class PlannedCheck:
    """One check, and what it builds on."""

    id: str
    run: Callable[[], Awaitable[Check]]
    needs: Sequence[str] = ()
    """The checks without which this one is skipped."""
    after: Sequence[str] = ()
    """The checks that come first, whatever they find."""
    within_s: float = 0.0
    """How long it may take, if that is longer than WITHIN_S."""


async def run_checks(steps: Sequence[PlannedCheck]) -> CheckReport:
    """Returns the report, in the order of the steps. A step comes behind those that it needs."""
    tasks: dict[str, asyncio.Task[Check]] = {}
    for step in steps:
        before = {name: tasks[name] for name in (*step.needs, *step.after) if name in tasks}
        tasks[step.id] = asyncio.create_task(_checked(step, before))
    try:
        return CheckReport([await task for task in tasks.values()])
    finally:
        # Somebody may have pressed Ctrl-C.
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _checked(step: PlannedCheck, before: Mapping[str, asyncio.Task[Check]]) -> Check:
    results = {name: await task for name, task in before.items()}
    for name in step.needs:
        if not results[name].passed:
            return skipped_for(step.id, results[name])
    try:
        async with asyncio.timeout(max(WITHIN_S, step.within_s)):
            return await step.run()
    except TimeoutError:
        message, cause = check_texts.timed_out(step.id)
        return replace(fail(step.id, message, check_texts.TIMED_OUT_FIX), cause=cause)
    except TypistError as error:
        return fail(step.id, str(error), check_texts.SETTINGS_FIX)
    except Exception as error:
        # Its message may quote a secret.
        return fail(step.id, check_texts.unforeseen(step.id, trace_of(error)), check_texts.UNFORESEEN_FIX)
