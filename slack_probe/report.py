"""Runs the checks and writes their observations next to the expectations, as Markdown for an issue."""

import asyncio
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from bot import __version__
from bot.errors import RateLimited, Refused, trace_of
from slack_probe.bench import REMOVE_WITHIN_S, WITHIN_S, Bench, NotObserved
from slack_probe.checks import CHECKS, Check, Observed
from slack_probe.expectations import EXPECTED, Expectation

NOT_RUN = "not run"
_SECRETS = re.compile(
    r"\b[A-Z][A-Z0-9]{7,}\b|\bx(?:ox|app)[a-z.]{0,12}-[\w-]+|https?://[^\s|<)]+|\b\d{10}\.\d{6}\b|<[@#!][^<>]{0,200}>"
)
"""IDs, tokens, URLs, message times and mentions. Checks don't write any; Slack's error texts might."""
_MAX_CHARS = 600


@dataclass
class Report:
    observed: dict[str, Observed] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    """The reason by check, if a check has no observation for some of its expectations."""
    remaining: int | None = None
    """The number of messages that couldn't be deleted. None until they were looked for."""

    @property
    def is_complete(self) -> bool:
        return not self.remaining and not any(reason.startswith("error") for reason in self.missing.values())

    def different(self) -> Mapping[str, Expectation]:
        found = {key: one for key, one in self.observed.items() if one.value}
        return {key: row for key, row in EXPECTED.items() if key in found and found[key].value != row.observed}

    def markdown(self, about: str) -> str:
        seen = sum(bool(one.value) for one in self.observed.values())
        different = self.different()
        lines = [
            f"Typist {__version__}, {about}: {seen} observations, {len(different)} different from the expectation, "
            f"{len(EXPECTED) - seen} missing.",
            "",
            "| | ID | Question | Observed | Expected | Source |",
            "|---|---|---|---|---|---|",
        ]
        for key, row in EXPECTED.items():
            one = self.observed.get(key, Observed(key, ""))
            why = one.detail if one.value or one.detail else self.missing.get(key.partition(".")[0], NOT_RUN)
            mark = "**≠**" if key in different else "=" if one.value else "?"
            value = ": ".join(filter(None, (one.value or "not observed", why)))
            cells = (mark, key, row.question, _cell(value), row.observed, row.source)
            lines.append(f"| {' | '.join(cells)} |")
        if self.remaining:
            lines += ["", f"{self.remaining} messages couldn't be deleted."]
        return "\n".join(lines)


def _cell(text: str) -> str:
    shown = " ".join(_SECRETS.sub("…", text).replace("|", "\\|").split())
    return shown if len(shown) <= _MAX_CHARS else f"{shown[:_MAX_CHARS]}…"


async def run_checks(bench: Bench, groups: Collection[str], report: Report) -> None:
    """Runs the checks of some groups and adds to the report. Deletes the posts in the end, even if it is cancelled."""
    try:
        async with asyncio.timeout(WITHIN_S):
            await bench.open()
            for check in CHECKS:
                if check.group in groups:
                    await _run(bench, check, report)
    except TimeoutError:
        report.missing |= {check.id: "limit of time" for check in CHECKS if check.id not in report.missing}
    finally:
        await _remove(bench, report)


async def _remove(bench: Bench, report: Report) -> None:
    report.remaining = len(bench.posts)
    try:
        async with asyncio.timeout(REMOVE_WITHIN_S):
            report.remaining = await bench.remove_posts()
    except (TimeoutError, Refused, RateLimited, NotObserved):
        report.remaining = len(bench.posts)


async def _run(bench: Bench, check: Check, report: Report) -> None:
    try:
        async for one in check.run(bench):
            report.observed[f"{check.id}.{one.name}"] = one
    except NotObserved as reason:
        report.missing[check.id] = str(reason)
    except Refused as error:
        report.missing[check.id] = f"{error.method} was refused ({error.name})"
    except RateLimited as error:
        report.missing[check.id] = f"{error.method} was rate limited"
    except Exception as error:
        # One broken check must not end the others.
        report.missing[check.id] = f"error: {trace_of(error)}"
