"""Defines checks and their findings, runs checks, and reports findings as text, JSON and log lines.

A finding states what is wrong and how to fix it; both texts are written next to the check. All checks of a run are made
concurrently, each with a time limit, and every check is reported. A check waits for the checks that it needs, and is
skipped if any of them failed. A check that raises an unexpected exception counts as failed, and the others continue.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import Flag, StrEnum, auto

from bot.core.unseen import visible
from bot.errors import TypistError, trace_of

log = logging.getLogger(__name__)

SETTINGS = "settings"
"""The ID of the settings check, the only check made if the settings are invalid."""
SETTINGS_FIX = "Run typist settings to see all settings."
SLACK_SILENT = "Slack didn't respond in time"


class CheckStatus(StrEnum):
    OK = "ok"
    WARN = "warn"
    """A feature doesn't work, or something will fail later."""
    FAIL = "fail"
    """Questions stay unanswered until someone fixes the problem."""
    SKIPPED = "skipped"


_MARKS: Mapping[CheckStatus, str] = {
    CheckStatus.OK: "✔",
    CheckStatus.WARN: "⚠",
    CheckStatus.FAIL: "✘",
    CheckStatus.SKIPPED: "–",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check. A finding never contains a secret."""

    status: CheckStatus
    message: str
    """The text of the finding, or "" for a check that was skipped because of `cause`."""
    fix: str = ""
    cause: str = ""
    """A clause that says why checks that need this one are skipped, or "" for "it didn't pass"."""
    details: Sequence[str] = ()
    people: AbstractSet[str] = frozenset()
    """The IDs of people in the message. Admins among them aren't notified."""
    is_notable: bool = False
    """Whether the finding is logged at startup even if nothing is wrong."""
    is_conclusive: bool = True
    """False if the check itself failed or timed out. Admins aren't notified of that in Slack."""
    id: str = ""

    @property
    def passed(self) -> bool:
        return self.status in (CheckStatus.OK, CheckStatus.WARN)

    @property
    def is_problem(self) -> bool:
        return self.status in (CheckStatus.WARN, CheckStatus.FAIL)

    @property
    def text(self) -> str:
        return "\n".join((self.message, *self.details))

    @property
    def sentence(self) -> str:
        return " ".join((*self.message.splitlines(), self.fix)).rstrip()

    def lines(self) -> list[str]:
        """Returns report lines: the text with its mark, and the remedy. Control characters in names are removed."""
        first, *others = visible(self.text).splitlines()
        remedy = [f"  → {visible(self.fix)}"] if self.fix else []
        return [f"{_MARKS[self.status]} {first}", *(f"    {line}" for line in others), *remedy]


def ok(message: str, *details: str, is_notable: bool = False) -> Finding:
    return Finding(CheckStatus.OK, message, details=details, is_notable=is_notable)


def warn(message: str, fix: str, *details: str) -> Finding:
    return Finding(CheckStatus.WARN, message, fix, details=details)


def fail(message: str, fix: str) -> Finding:
    return Finding(CheckStatus.FAIL, message, fix)


def skipped(reason: str) -> Finding:
    return Finding(CheckStatus.SKIPPED, reason)


def skip_because(cause: str) -> Finding:
    return Finding(CheckStatus.SKIPPED, "", cause=cause)


@dataclass(frozen=True, slots=True)
class CheckReport:
    checks: Sequence[Finding]

    @property
    def is_ok(self) -> bool:
        return not any(check.status is CheckStatus.FAIL for check in self.checks)

    @property
    def for_people(self) -> Sequence[Finding]:
        """The findings without duplicates, so that people see each cause once."""
        first: dict[tuple[str, str], Finding] = {}
        for check in self.checks:
            first.setdefault((check.text, check.fix), check)
        return list(first.values())

    def text(self) -> str:
        found = self.for_people
        lines = [line for check in found for line in check.lines()]
        shown = (CheckStatus.FAIL, CheckStatus.WARN, CheckStatus.SKIPPED)
        return "\n".join([*lines, "", _summary(*(sum(check.status is status for check in found) for status in shown))])

    def json(self) -> dict[str, object]:
        checks = [{"id": one.id, "status": one.status, "message": one.text, "fix": one.fix} for one in self.checks]
        return {"ok": self.is_ok, "checks": checks}

    def log(self) -> None:
        for finding in self.for_people:
            if finding.is_problem or finding.is_notable:
                level = logging.WARNING if finding.is_problem else logging.INFO
                log.log(level, "setup: %s: %s", finding.id, finding.sentence)


def _summary(failed: int, warned: int, skipped: int) -> str:
    found = "Everything is set up."
    if failed or warned:
        problems, warnings = "problem" if failed == 1 else "problems", "warning" if warned == 1 else "warnings"
        found = f"{failed} {problems}, {warned} {warnings}."
    if not skipped:
        return found
    return f"{found} {skipped} {'check was' if skipped == 1 else 'checks were'} skipped (–)."


WITHIN_S = 12.0
ANSWER_WITHIN_S = 8.0
"""Time limit for Slack or the database in a check. It is below WITHIN_S, so that the check can report what didn't
respond."""


class Occasion(Flag):
    COMMAND = auto()
    """`typist check`: any call that changes nothing and is free, or nearly so."""
    PROBE = auto()
    """`typist check --probe`: posts a message in Slack."""
    PROBE_MODELS = auto()
    """`typist check --probe-models`: each model reads 6,000 tokens and calls a tool."""
    START = auto()
    """A process or a sandbox starts: no calls, so that startup isn't delayed. These checks run once their inputs are
    available."""
    RUN = auto()
    """`typist run` starts: no calls."""
    CONNECTED = auto()
    """`typist run` has connected to Slack: free calls that don't delay answers."""
    DAILY = auto()
    """Once a day, in only one process: free calls. Admins are notified of each finding once."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check, and its dependencies. A dependency that isn't part of the run is treated as passed."""

    id: str
    name: str
    make: Callable[[], Awaitable[Finding]]
    needs: Sequence[str] = ()
    after: Sequence[str] = ()
    """IDs of checks that must finish first, whatever their result."""
    within_s: float = 0.0
    is_vital: bool = True
    """Whether questions stay unanswered if the check fails. If they don't, a timeout is only a warning."""
    on: Occasion = Occasion.COMMAND


async def run_checks(checks: Sequence[Check]) -> CheckReport:
    tasks: dict[str, asyncio.Task[Finding]] = {}
    names = {check.id: check.name for check in checks}
    # No task runs before all have been created.
    tasks |= {check.id: asyncio.create_task(_finding_of(check, names, tasks)) for check in checks}
    try:
        return CheckReport([await task for task in tasks.values()])
    finally:
        # Someone might have pressed Ctrl-C.
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


async def _finding_of(check: Check, names: Mapping[str, str], tasks: Mapping[str, asyncio.Task[Finding]]) -> Finding:
    before = {id_: await tasks[id_] for id_ in (*check.needs, *check.after) if id_ in tasks}
    failed = next((id_ for id_ in check.needs if id_ in before and not before[id_].passed), None)
    if failed is not None:
        cause = before[failed].cause
        found = Finding(
            CheckStatus.SKIPPED, _no_finding(check.name, cause or f"the check of {names[failed]} failed"), cause=cause
        )
    else:
        found = await _run_check(check)
    if not found.message:
        found = replace(found, message=_no_finding(check.name, found.cause))
    return replace(found, id=check.id)


def _no_finding(name: str, cause: str) -> str:
    return f"Skipped because {cause}: {name}."


async def _run_check(check: Check) -> Finding:
    try:
        async with asyncio.timeout(max(WITHIN_S, check.within_s)):
            return await check.make()
    except TimeoutError:
        fix = "Check the network, proxies, firewalls and the server. Then run the check again."
        severity = fail if check.is_vital else warn
        late = replace(severity(f"Timed out: {check.name}.", fix), is_conclusive=False)
        # Regardless of the call: if Slack answers nothing, that is one problem.
        of_slack = check.id.startswith("slack.")
        return replace(late, message=f"{SLACK_SILENT}.", cause=SLACK_SILENT) if of_slack else late
    except TypistError as error:
        return replace(fail(str(error), SETTINGS_FIX), is_conclusive=False)
    except Exception as error:
        # The exception's message might contain a secret.
        message = f"A check failed unexpectedly ({trace_of(error)}): {check.name}."
        return replace(
            fail(message, "This is a bug in Typist's check. The rest of the report is valid."), is_conclusive=False
        )
