"""What `typist check` finds: one check for each thing that must be right, and the report as text and JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

from bot.checks import check_texts


class CheckStatus(StrEnum):
    """What became of a check."""

    OK = "ok"
    WARN = "warn"
    """A feature does not work, or something will fail later."""
    FAIL = "fail"
    """Questions stay unanswered until somebody fixes it."""
    SKIPPED = "skipped"
    """It could not be checked, or nobody asked for it."""


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

    @property
    def passed(self) -> bool:
        """Whether checks that depend on this one make sense."""
        return self.status in (CheckStatus.OK, CheckStatus.WARN)

    def lines(self) -> list[str]:
        """Returns the check as lines of text: the message with its mark, and the remedy below."""
        first, *others = self.message.splitlines()
        remedy = [f"  → {self.fix}"] if self.fix else []
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


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The checks, in the order in which they are shown."""

    checks: Sequence[Check]

    @property
    def is_ok(self) -> bool:
        """Whether nothing must be fixed."""
        return not any(check.status is CheckStatus.FAIL for check in self.checks)

    def text(self) -> str:
        """Returns the report for people, who read of one cause once."""
        found = self._distinct()
        lines = [line for check in found for line in check.lines()]
        shown = (CheckStatus.FAIL, CheckStatus.WARN, CheckStatus.SKIPPED)
        counts = (sum(check.status is status for check in found) for status in shown)
        return "\n".join([*lines, "", check_texts.summary(*counts)])

    def json(self) -> dict[str, object]:
        """Returns the report for scripts, as data for a JSON object."""
        return {"ok": self.is_ok, "checks": [asdict(check) for check in self.checks]}

    def _distinct(self) -> list[Check]:
        """Returns the checks without those that say the same as an earlier one: they have one cause."""
        first: dict[tuple[str, str], Check] = {}
        for check in self.checks:
            first.setdefault((check.message, check.fix), check)
        return list(first.values())
