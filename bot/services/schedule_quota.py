from bot.clock import keep_trying
from bot.core import texts
from bot.core.job import Job
from bot.errors import CapReached
from bot.store import Stores


async def check_run_quota(job: Job, stores: Stores) -> None:
    if job.question.schedule_id is None:
        return
    run = await keep_trying(lambda: stores.schedules.run(job.id), stores.clock, "schedule not read")
    if run is None:
        # The schedule was stopped meanwhile.
        return
    schedule = run.schedule
    used = await keep_trying(
        lambda: stores.schedules.tokens_used(schedule, job.id), stores.clock, "usage of a schedule not read"
    )
    of_run, of_day = used
    if of_run >= schedule.run_tokens:
        raise CapReached(texts.schedules.schedule_used_up(schedule.run_tokens, in_day=False))
    if of_day >= schedule.day_tokens:
        raise CapReached(texts.schedules.schedule_used_up(schedule.day_tokens, in_day=True))
