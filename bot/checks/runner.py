"""Runs the checks of `typist check` side by side, each within its time, and reports every one of them.

A check that needs another one waits for it, and is skipped if that one failed. A check that raises something unforeseen
is a failed check, and the others go on.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from bot.checks import check_texts
from bot.checks.report import Check, CheckReport, fail, skipped
from bot.errors import TypistError, trace_of

WITHIN_S = 12.0
"""How long one check may take."""


@dataclass(frozen=True, slots=True)
class Step:
    """One check, and what it builds on."""

    id: str
    run: Callable[[], Awaitable[Check]]
    needs: Sequence[str] = ()
    """It is skipped if one of these failed or was skipped."""
    after: Sequence[str] = ()
    """It waits for these, whatever they find."""


async def run_checks(steps: Sequence[Step]) -> CheckReport:
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


async def _checked(step: Step, before: Mapping[str, asyncio.Task[Check]]) -> Check:
    results = {name: await task for name, task in before.items()}
    for name in step.needs:
        if not results[name].passed:
            return skipped(step.id, check_texts.skipped(step.id, name))
    try:
        async with asyncio.timeout(WITHIN_S):
            return await step.run()
    except TimeoutError:
        return fail(step.id, check_texts.timed_out(step.id), check_texts.TIMED_OUT_FIX)
    except TypistError as error:
        return fail(step.id, str(error), check_texts.SETTINGS_FIX)
    except Exception as error:
        # Its message may quote a secret.
        return fail(step.id, check_texts.unforeseen(step.id, trace_of(error)), check_texts.UNFORESEEN_FIX)
