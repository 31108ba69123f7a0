"""Tests that bot processes answer every question while random faults hit everything that they depend on.

Run: python -m benchmarks.chaos [--processes 3] [--questions 200] [--threads 40] [--minutes 9] [--seed 1] [--seeds 1]
                                [--database postgresql|sqlite] [--tools] [--posts strict] [--schedules 0] [--outages]

- Processes are killed, paused and replaced. Sockets drop. Events are delivered twice. PostgreSQL restarts.
- Slack rejects calls, is slow or loses responses. The sandbox enforces Slack's rate limits, and with `--posts strict`
  a limit of five posts in 5 s per channel.
- The model's vendor rejects requests, breaks off answers and becomes unreachable for a while, but only as much as
  Typist promises to tolerate (vendor_failures.py).
- People edit and delete some of their questions. In channels that allow it, questions have no mention, and people
  write messages that the bot must not answer (question_plan.py).
- With `--tools`, the model calls tools of an MCP server for some questions. Some tools write, some take seconds, and
  some need approval.
- With `--schedules`, this many schedules are due during the run, and each must be posted and answered exactly once
  (scheduled_questions.py).

With `--outages`, questions are asked while no bot can receive them (benchmarks/outages.py).

At the end, benchmarks/invariants.py checks that each question has one complete answer to its newest text, in its thread
and in order, or none if it was deleted, that nothing else is answered, and that Slack and the database agree.
benchmarks/tool_invariants.py checks that no call that can change something was made twice. Prints faults, figures and
violations, and exits with 1 if there is a violation. Each run writes the processes' logs and a timeline to a folder.
"""

import argparse
import asyncio
import math
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

from benchmarks.askers import REDELIVERIES_S, Approver, Askers
from benchmarks.databases import Database, Engine, audit_entries, database, write_settings
from benchmarks.faults import COMMON_FAULTS, POSTGRESQL_FAULTS, FaultTargets, RateLimitFault, inject_faults
from benchmarks.fleet import Fleet, Spawn, process_faults
from benchmarks.invariants import (
    LIVE_STATES,
    AskedQuestion,
    Evidence,
    Remark,
    finished,
    keeps_reply,
    unexpected_rate_limits,
    violations,
)
from benchmarks.message_recorder import MODEL, MessageRecorder
from benchmarks.outages import outages
from benchmarks.process import environment, spawn
from benchmarks.question_plan import (
    CHANNEL_SETTINGS,
    plan_questions,
    plan_remarks,
    words_in,
)
from benchmarks.scheduled_questions import RUN_NUMBERS, Scheduled, plan_schedules
from benchmarks.scripted_model import ScriptedModel
from benchmarks.tool_invariants import audit_figures, audit_violations, tool_figures, tool_violations
from benchmarks.tool_plan import SERVER
from benchmarks.tool_server import agree_to_tools, tool_server
from benchmarks.vendor_failures import VendorFailures
from bot.core.channel_settings import ChannelSettings
from bot.models.wrappers import max_silence_s
from slack_sandbox.server import Sandbox
from slack_sandbox.web_api.budgets import POST_RULES
from tests.fast import run_fast

EDITS_A_MINUTE = 50
STALL_TIMEOUT_S = 14
"""Longer than SINGLE_PROCESS_PAUSE_S, and than a worker's lease."""
SINGLE_PROCESS_PAUSE_S = (2.0, 10.0)
"""How long the only process is paused, from and to."""
SECRET = "sk-chaos-0123456789abcdef"  # noqa: S105 - opens nothing
SETTLED_S = 2.0
TOOLS_SHARE = 0.5
"""The share of questions whose model uses tools, in a run with tools."""


@dataclass(frozen=True)
class Run:
    """The parameters of one chaos run."""

    seed: int
    engine: Engine = "postgresql"
    processes: int = 3
    questions: int = 200
    threads: int = 40
    minutes: float = 9.0
    """How long questions are asked and faults are injected."""
    gap_s: float = 4.0
    """Mean time between the beginnings of two faults."""
    pause_s: tuple[float, float] = (9.0, 30.0)
    """How long a process is paused: long enough for others to take over from it."""
    stall_timeout_s: int = STALL_TIMEOUT_S
    """Longer than a pause after which the process still owns its answers: it would take such a pause for a stall."""
    drain_s: int = 6
    """Short, so that some answers are handed over at shutdown."""
    tools: bool = False
    """Whether models use tools for some questions."""
    posts: str = "generous"
    """How many posts a channel takes."""
    schedules: int = 0
    """How many schedules come due."""

    @property
    def idle_within_s(self) -> float:
        """How long after the last fault, and then after each question's end, the next one must end.

        Slack's budget delays them, and questions of one thread come one after another. A model that stalls in a tool
        call is thought to think.
        """
        return max(45 + 15 * self.minutes, max_silence_s(self.stall_timeout_s) + 30)


@dataclass
class Report:
    """The outcome of a run."""

    events: list[str] = field(default_factory=list)
    """Faults and figures, in order of time."""
    violations: list[str] = field(default_factory=list)
    """One sentence for each violated invariant."""


async def chaos(run: Run, folder: Path, spawn: Spawn = spawn) -> Report:
    """Executes one run and returns its report. The folder gets the processes' logs and a timeline."""
    report = Report()
    limits = {"chat.update": EDITS_A_MINUTE}
    planned = plan_questions(
        random.Random(run.seed), run.questions, run.threads, run.minutes, TOOLS_SHARE if run.tools else 0.0
    )
    # Each process learns by a 429 how many posts a channel takes.
    limited = POST_RULES["strict"].methods if run.posts == "strict" else ()
    expected_limits = [RateLimitFault(method, -math.inf, math.inf) for method in limited]
    async with (
        Sandbox(
            budgets=limits, posts=POST_RULES[run.posts], redelivery_delays_s=REDELIVERIES_S, seed=run.seed
        ) as sandbox,
        ScriptedModel() as model,
        database(run.engine, folder) as store,
        AsyncExitStack() as stack,
    ):
        began_s = time.monotonic()

        def note(text: str) -> None:
            report.events.append(f"{time.monotonic() - began_s:7.2f} s  {text}")

        env = chaos_environment(sandbox, model, store.url, run.drain_s, run.stall_timeout_s)
        server = await stack.enter_async_context(tool_server(folder)) if run.tools else None
        if server:
            env["BOT_MCP_CONFIG"] = str(server.config)
        approver = Approver(sandbox, random.Random(run.seed))
        fleet = Fleet(folder, env, spawn)
        targets = FaultTargets(sandbox, store, fleet, random.Random(run.seed), note, run.pause_s)
        recorder = MessageRecorder(sandbox.workspace)
        askers = Askers(sandbox, recorder)
        approving = asyncio.create_task(approver.run())
        try:
            await asyncio.gather(*(fleet.start() for _ in range(run.processes)))
            if server is not None:
                await agree_to_tools(store.url, server.config)
            servers = (SERVER,) if server else ()
            settings = {
                channel.id: replace(CHANNEL_SETTINGS.get(channel.name, ChannelSettings()), mcp_servers=servers)
                for channel in sandbox.workspace.channels.values()
            }
            await write_settings(store.url, settings)
            scheduled = await Scheduled.create(
                store.url,
                sandbox.workspace,
                recorder,
                plan_schedules(random.Random(run.seed), run.schedules, run.minutes),
            )
            model.failures = VendorFailures(run.seed, time.monotonic(), run.minutes * 60)
            faults = POSTGRESQL_FAULTS if run.engine == "postgresql" else COMMON_FAULTS
            (questions, remarks), runs, _ = await asyncio.gather(
                askers.write_all(planned, plan_remarks(random.Random(run.seed), planned)),
                scheduled.posted(run.minutes * 60 + run.idle_within_s),
                inject_faults(targets, faults, run.minutes * 60, run.gap_s),
            )
            note("all faults have ended")
            await _until_idle(run, [*questions, *runs, *remarks], recorder, store)
            note("idle")
            evidence = Evidence(
                questions=[*questions, *runs],
                remarks=remarks,
                histories=list(recorder.histories.values()),
                model_requests=model.requests,
                calls=list(sandbox.calls),
                rate_limit_faults=[*targets.rate_limit_faults, *expected_limits],
                outages=store.outages,
                jobs=await store.jobs(),
                began_s=began_s,
                pings=recorder.pings,
                clock_offset_s=time.time() - time.monotonic(),
                tool_calls=await store.tool_calls(),
                calls_arrived=server.counts() if server else {},
                audit=await audit_entries(store.url),
            )
            report.violations += await scheduled.violations()
            await fleet.close()
        finally:
            approving.cancel()
            fleet.kill()
        timeline = sorted(_events(evidence), key=itemgetter(0))
        lines = [f"{at_s - evidence.began_s:8.2f} s  {what}\n" for at_s, what in timeline]
        (folder / "timeline.txt").write_text("".join(lines))
        report.events += _figures(evidence, fleet, askers)
        report.events += tool_figures(evidence, approver.presses) if run.tools else []
        secrets = (sandbox.bot_token, sandbox.app_token, SECRET, *([server.secret] if server else []))
        report.events.append(audit_figures(evidence))
        report.violations += [*violations(evidence), *tool_violations(evidence), *audit_violations(evidence)]
        report.violations += [*process_faults(fleet.bots, store.outages, secrets)]
    return report


def chaos_environment(
    sandbox: Sandbox, model: ScriptedModel, database_url: str, drain_s: int, stall_timeout_s: int = STALL_TIMEOUT_S
) -> dict[str, str]:
    """Returns the whole environment of the bot processes."""
    return {
        **environment(sandbox, model.url, MODEL, database_url),
        "OPENAI_API_KEY": SECRET,
        "BOT_STALL_TIMEOUT_S": str(stall_timeout_s),
        "BOT_DRAIN_S": str(drain_s),
        "BOT_DONE_PING_S": "10",
    }


async def _until_idle(
    run: Run, written: Sequence[AskedQuestion | Remark], recorder: MessageRecorder, store: Database
) -> None:
    """Waits until Slack shows the end of every answer, no job is live and the outbox has shown all ends.

    Waits at most `idle_within_s` for the next of them.
    """
    give_up_s = time.monotonic() + run.idle_within_s
    questions = [question for question in written if isinstance(question, AskedQuestion)]
    most_over = 0
    while time.monotonic() < give_up_s:
        jobs = await store.jobs()
        batched = {(job.channel, job.ts) for job in jobs if job.answered_with}
        live = any(job.state in LIVE_STATES or job.is_unshown for job in jobs)
        over = [question for question in questions if _is_over(question, recorder, batched, written)]
        if not live and len(over) == len(questions):
            break
        if len(over) > most_over:
            most_over, give_up_s = len(over), time.monotonic() + run.idle_within_s
        await asyncio.sleep(0.5)
    # Late edits would be violations, too.
    await asyncio.sleep(SETTLED_S)


def _is_over(
    question: AskedQuestion,
    recorder: MessageRecorder,
    batched: Collection[tuple[str, str]],
    written: Sequence[AskedQuestion | Remark],
) -> bool:
    histories = recorder.for_question(question.channel, question.ts)
    pages = [history for history in histories if history.deleted_s is None]
    if question.changed == "delete":
        return not pages or (keeps_reply(question, written) and finished(question, pages))
    return not pages if (question.channel, question.ts) in batched else finished(question, pages)


def _figures(evidence: Evidence, fleet: Fleet, askers: Askers) -> list[str]:
    """Returns the figures of a run as lines of text."""
    calls = Counter(call.method for call in evidence.calls if call.ok)
    refused = Counter(call.error for call in evidence.calls if call.error)
    unbatched = [question for question in evidence.questions if evidence.answered_with(question) is None]
    per_answer = Counter(len(evidence.model_requests.get(question.plan.number, ())) for question in unbatched)
    requests = [request for requests in evidence.model_requests.values() for request in requests]
    ends = Counter(request.end for request in requests)
    failures = Counter(f"{request.failure}{' midway' * bool(request.words)}" for request in requests if request.failure)
    changes = Counter(question.changed for question in evidence.questions if question.changed)
    remarks = Counter(remark.plan.kind for remark in evidence.remarks)
    remark_changes = Counter(remark.plan.change for remark in evidence.remarks if remark.plan.change)
    return [
        f"{len(evidence.questions)} questions in {len({question.thread for question in evidence.questions})} threads, "
        f"{len(fleet.bots)} processes; {len(evidence.questions) - len(unbatched)} batched with a later question",
        f"runs of schedules: {sum(question.plan.number in RUN_NUMBERS for question in evidence.questions)}",
        f"changes: {_counts(changes)}",
        f"questions in channels without a mention: {_counts(askers.unmentioned)}",
        f"remarks: {_counts(remarks)}; changes: {_counts(remark_changes)}",
        f"requests for an answer: {_counts(per_answer)}; ends of requests: {_counts(ends)}",
        f"failures of the model's vendor: {_counts(failures)}",
        f"calls: {_counts(calls)}; refused: {_counts(refused)}",
        f"unexpected 429s: {len(unexpected_rate_limits(evidence))}",
    ]


def _counts(counted: Mapping[Any, int]) -> str:
    return ", ".join(f"{times} × {what}" for what, times in sorted(counted.items(), key=lambda item: str(item[0])))


def _events(evidence: Evidence) -> Iterator[tuple[float, str]]:
    """Yields a line for each event of a run, with its time in monotonic seconds."""
    names = {(question.channel, question.ts): f"q{question.plan.number}" for question in evidence.questions}
    names |= {(remark.channel, remark.ts): f"remark {remark.plan.number}" for remark in evidence.remarks}
    for question in evidence.questions:
        yield question.at_s, f"q{question.plan.number} is asked: {question.plan.words} words, {question.name}"
        for count, request in enumerate(evidence.model_requests.get(question.plan.number, ()), start=1):
            yield request.at_s, f"q{question.plan.number} goes to the model: request {count}, {request.described}"
    for remark in evidence.remarks:
        yield remark.at_s, f"{remark.name} is written"
    for history in evidence.histories:
        name = names.get((history.channel, history.question_ts), "?")
        for revision in history.revisions:
            shown = f"{len(words_in(revision.text))} words {revision.note!r}"
            yield revision.at_s, f"{name} shows {shown} in {history.ts}, page {history.page}"
        if history.deleted_s is not None:
            yield history.deleted_s, f"{name}: {history.ts} is deleted"
    for call in evidence.calls:
        yield call.at_monotonic_s, f"{call.method} {call.channel or ''} {call.ts or ''} {call.error or ''}"
    for since, until in evidence.outages:
        yield since, "the database is unavailable"
        yield until, "the database is available again"


def main() -> int:
    parser = argparse.ArgumentParser(description="Injects random faults and checks that no answer is lost.")
    parser.add_argument("--processes", type=int, default=None, help="bot processes (default: 3, and 1 on SQLite)")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--threads", type=int, default=40)
    parser.add_argument(
        "--minutes", type=float, default=9.0, help="how long questions are asked and faults are injected"
    )
    parser.add_argument("--seed", type=int, default=1, help="decides the questions and the faults")
    parser.add_argument("--seeds", type=int, default=1, help="number of runs, each with the next seed")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--posts", choices=list(POST_RULES), default="generous", help="how many posts a channel takes")
    parser.add_argument("--tools", action="store_true", help="let the model use tools for some questions")
    parser.add_argument("--schedules", type=int, default=0, help="how many schedules come due")
    parser.add_argument("--outages", action="store_true", help="ask while nobody hears, for minutes and for hours")
    options = parser.parse_args()
    processes = options.processes or (3 if options.database == "postgresql" else 1)
    failed = 0
    for seed in range(options.seed, options.seed + options.seeds):
        asked = options.questions, options.threads, options.minutes
        run = Run(
            seed,
            options.database,
            processes,
            *asked,
            tools=options.tools,
            posts=options.posts,
            schedules=options.schedules,
        )
        if processes == 1:
            run = replace(run, pause_s=SINGLE_PROCESS_PAUSE_S)
        folder = Path(tempfile.mkdtemp(prefix=f"chaos-{seed}-"))
        if options.outages:
            report = Report(*run_fast(outages(seed, run.engine, folder)))
        else:
            report = asyncio.run(chaos(run, folder))
        print(f"seed {seed}, {run.engine}", *report.events, sep="\n")
        print(*(f"VIOLATION: {violation}" for violation in report.violations), sep="\n")
        print(f"seed {seed}: {len(report.violations)} violations; logs in {folder}\n", flush=True)
        failed += bool(report.violations)
    print(f"{options.seeds - failed} of {options.seeds} runs without a violation")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
