"""Checks that one running process makes every day. Typist admins are notified of each finding once."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from bot.checks.registry import Checkup, planned_checks
from bot.checks.report import CheckStatus, Occasion, run_checks
from bot.clock import Clock
from bot.core.caps import DAY_S, HOUR_S
from bot.errors import TypistError, trace_of
from bot.services.admin_notices import AdminNotices

log = logging.getLogger(__name__)


async def check_daily(checkup: Checkup, admins: AdminNotices, clock: Clock) -> None:
    """Runs the daily checks when they are due, looking every hour, until canceled."""
    while True:
        # `typist check` covers the time of the start.
        await clock.sleep(HOUR_S)
        try:
            await notify_admins(checkup, admins)
        except Exception as error:
            reason = error if isinstance(error, TypistError) else trace_of(error)
            log.error("setup not checked, retrying in an hour: %s", reason)


async def notify_admins(checkup: Checkup, admins: AdminNotices) -> None:
    """Logs the daily checks' findings and notifies admins, unless a process has done so today. Raises StoreError."""
    if not await admins.notifications.claim(admins.team_id, "", "checked", DAY_S):
        return
    report = await run_checks(planned_checks(checkup, Occasion.DAILY))
    report.log()
    for finding in report.checks:
        if finding.is_problem and finding.is_conclusive:
            others = replace(admins, admins=set(admins.admins) - finding.people)
            digest = sha256(finding.message.encode()).hexdigest()[:16]
            await others.send(f"{finding.id} {digest}", finding.sentence)
        elif finding.status is CheckStatus.OK:
            # If the problem returns, admins are notified again.
            await admins.withdraw(finding.id)


async def retirement_sentences(checkup: Checkup) -> Sequence[str]:
    checks = [check for check in planned_checks(checkup, Occasion.DAILY) if check.id.endswith(".retirement")]
    return [finding.sentence for finding in (await run_checks(checks)).checks if finding.is_problem]
