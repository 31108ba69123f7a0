"""`typist replay`: asks recorded questions with another model or system prompt, and compares the answers.

The results are in the folder's results.jsonl. A request's maximum cost is recorded before the request is sent, and an
answer is recorded before the next question is asked. If the process is killed, no question is asked twice, and the
unfinished question counts at its maximum cost.
"""

import argparse
import asyncio
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot import logs, settings
from bot.cli import EXIT_FAILED, Subcommand
from bot.cli.names import names_of
from bot.cli.smoke import dollars
from bot.cli.terminal import print_note
from bot.cli.usage import parse_usage_start
from bot.clock import SystemClock, keep_trying
from bot.core.audit import time_text
from bot.core.caps import DAY_S
from bot.core.conversation import message_link, without_bot_mention
from bot.core.job import Job
from bot.core.usage import AnswerUsage, Thumb
from bot.errors import CapReached, ProviderError, RateLimited, SettingsError
from bot.models.events import Usage
from bot.settings import Settings, model_prices, models_in_use, parse_model_option

if TYPE_CHECKING:
    from bot.cli.replay_judge import Judge
    from bot.services.replay import Replay
    from bot.slack.history import ChannelReader
    from bot.slack.surfaces import Surfaces
    from bot.store.replays import RecordedQuestion, Replays

LIMIT_USD = 10.0
BEGIN = "{count:,} of {all:,} questions left to ask {model}, for at most ${left:g}. Nothing will be posted."
KEPT = "{count:,} tests will ask {model}, for about ${about:.4f} and at most ${limit:g}. Nothing will be posted."
JUDGED = "{judge} will then compare the answers to {count:,} questions, in both orders, for about ${usd:.4f} of that."
DENIED = "{count:,} questions weren't asked because their askers no longer have access."
AT_LIMIT = "Stopped at the limit of ${limit:g}. To continue, repeat this command with a higher --limit."
NO_PRICE = "{model} has no price, so the limit can't be enforced. Add a price (it can be 0) to the BOT_PRICES file."
OTHER_JUDGE = "{folder} has verdicts from {judge}. Use that judge, or another folder with --folder."
FAILING = "Stopped: {model} failed ({end}). To continue, repeat this command."
OTHERS = "{folder} contains a replay with a different model, system prompt or tools. Use another folder with --folder."
OPEN_FOLDER = "Other users can write to {folder}. Use another folder with --folder, or run: chmod go-w {folder}"
UNUSABLE = "Can't write to {file}: {reason}. Use another folder with --folder."
_OTHERS_WRITE = 0o022


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="model to ask instead of BOT_MODELS, as vendor/model")
    parser.add_argument(
        "--kept", action="store_true", help="ask only the questions of kept tests, and check the answers"
    )
    parser.add_argument(
        "--since",
        metavar="DAY",
        help=("first day in UTC: 2026-11-20, yesterday, or 7d for seven days ago (default: 30 days ago)"),
    )
    parser.add_argument(
        "--system-prompt",
        metavar="FILE",
        help=("file with a system prompt that replaces BOT_SYSTEM_PROMPT and channels' prompts"),
    )
    parser.add_argument(
        "--channel", metavar="ID", action="append", help=("only questions in this channel (can be repeated)")
    )
    parser.add_argument("--tools", action="store_true", help="offer read-only tools that don't need approval")
    parser.add_argument("--direct-messages", action="store_true", help="include direct and group messages")
    parser.add_argument(
        "--judge", metavar="MODEL", help="model that decides which answer is better, in both orders, as vendor/model"
    )
    parser.add_argument("--limit", metavar="USD", type=dollars, default=LIMIT_USD, help="default: %(default)s")
    parser.add_argument("--folder", metavar="PATH", help="folder for the results (default: replay-MODEL)")


class Folder:
    """The record of a replay. Only the last line for each question is used."""

    def __init__(self, path: Path, shared: Mapping[str, Any], limit_usd: float) -> None:
        """Opens or creates the record. `shared`: settings that all answers share. Raises SettingsError and OSError."""
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_mode & _OTHERS_WRITE:
            raise SettingsError([OPEN_FOLDER.format(folder=path)])
        self.path, self.limit_usd = path, limit_usd
        record = self.open("results.jsonl", os.O_RDWR | os.O_APPEND)
        self._record = os.fdopen(record, "r+b", buffering=0)
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SettingsError([f"Another process is using {path} for a replay."]) from None
        whole, newline, _ = self._record.read().rpartition(b"\n")
        # A killed process might have left half a line.
        self._record.truncate(len(whole + newline))
        if not whole:
            self._write(shared)
        try:
            self.shared, *lines = [json.loads(line) for line in whole.splitlines()] or [dict(shared)]
            self.lines: dict[int, dict[str, Any]] = {line["job"]: line for line in lines}
            is_this = {**self.shared, "since": 0} == {**shared, "since": 0}
        except (ValueError, TypeError, KeyError):
            is_this = False
        if not is_this:
            raise SettingsError([OTHERS.format(folder=path)])

    def open(self, name: str, flags: int) -> int:
        file = os.open(self.path / name, flags | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        os.fchmod(file, 0o600)
        return file

    def has_answer(self, job_id: int) -> bool:
        line = self.lines.get(job_id)
        return line is not None and ("now" in line or line["at_most_usd"] > 0)

    @property
    def spent_usd(self) -> float:
        """The cost of all answers. An unfinished answer counts at its maximum cost."""
        of_answers = (line["now"]["usd"] if "now" in line else line["at_most_usd"] for line in self.lines.values())
        return float(sum((*of_answers, *(line["judge"]["usd"] for line in self.lines.values() if "judge" in line))))

    def needs_verdict(self, job_id: int) -> bool:
        """Returns whether a judge can still be asked about a question, which requires two answers."""
        line = self.lines.get(job_id, {})
        return "now" in line and "judge" not in line and all(line[at]["text"].strip() for at in ("then", "now"))

    def begin(self, job_id: int, most_usd: float) -> None:
        """Records an answer's maximum cost, including the next request. Raises CapReached if it exceeds the limit."""
        begun_usd = self.lines[job_id]["at_most_usd"] if job_id in self.lines else 0.0
        self.check(most_usd - begun_usd)
        self.add(job_id, at_most_usd=most_usd)

    def check(self, more_usd: float) -> None:
        if more_usd > self.limit_usd - self.spent_usd:
            raise CapReached("beyond the limit")

    def add(self, job: int, **known: Any) -> None:
        self.lines[job] = {"job": job, **known}
        self._write(self.lines[job])

    def _write(self, line: Mapping[str, Any]) -> None:
        self._record.write(json.dumps(line).encode() + b"\n")


def _replay(env: Mapping[str, str], options: argparse.Namespace) -> int:
    try:
        prompt = Path(options.system_prompt).read_text("utf-8", "replace").strip() if options.system_prompt else ""
    except OSError as error:
        raise SettingsError([f"--system-prompt: {options.system_prompt}: {error.strerror}."]) from None
    if options.kept:
        if options.since or options.judge or options.folder:
            raise SettingsError(["--since, --judge and --folder can't be combined with --kept."])
        model, ours = _model_settings(env, "--model", options.model or "")
        return asyncio.run(_check_kept_answers(_set_up(ours, prompt), model, options))
    if not options.model:
        raise SettingsError(["typist replay needs --model or --kept."])
    model, ours = _model_settings(env, "--model", options.model)
    judge, judges = _model_settings(env, "--judge", options.judge) if options.judge else ("", None)
    ours = _set_up(ours, prompt)
    since = parse_usage_start(options.since)
    path = Path(options.folder or "replay-" + re.sub(r"[^\w.-]+", "-", model))
    version = hashlib.sha256(prompt.encode()).hexdigest() if prompt else ""
    shared = {"model": model, "system_prompt": version, "since": since} | ({"tools": True} if options.tools else {})
    try:
        folder = Folder(path, shared, options.limit)
    except OSError as error:
        raise SettingsError([UNUSABLE.format(file=error.filename, reason=error.strerror)]) from None
    earlier = {line["judge"]["model"] for line in folder.lines.values() if "judge" in line}
    if judge and earlier - {judge}:
        raise SettingsError([OTHER_JUDGE.format(folder=path, judge=earlier.pop())])
    return asyncio.run(_run(ours, judges, options, folder))


def _set_up(ours: Settings, prompt: str) -> Settings:
    """Sets up logging, and returns the settings of the models that are asked."""
    logs.set_up_quietly(ours.log_level, ours.log_format)
    if not ours.slack_bot_token:
        raise SettingsError(["typist replay needs SLACK_BOT_TOKEN."])
    # The vendor's search would be a tool.
    return replace(ours, system_prompt=prompt or ours.system_prompt, web_search=None)


def _model_settings(env: Mapping[str, str], option: str, value: str) -> tuple[str, Settings]:
    """Returns the model that an option names, and settings with that model. With "", returns the first model in
    BOT_MODELS."""
    [model, *others] = parse_model_option(value, option) if value else [""]
    if others:
        raise SettingsError([f"{option} must be one model."])
    ours = settings.read({**env, "BOT_MODELS": model} if model else env, needs_model=True)
    for one in models_in_use(ours):
        if model_prices(ours).cost_usd(one, Usage(1, 1), time.time()) is None:
            raise SettingsError([NO_PRICE.format(model=one)])
    return model or models_in_use(ours)[0], ours


async def _check_kept_answers(ours: Settings, model: str, options: argparse.Namespace) -> int:
    """Prints a line of JSON for each kept test. Returns EXIT_FAILED if a test failed or wasn't run."""
    from bot.services.kept_test_run import KeptTestRun
    from bot.wiring import open_answering

    async with open_answering(ours, SystemClock(), has_tools=True) as answering:
        setting_overrides = _setting_overrides(has_model=bool(options.model), has_prompt=bool(options.system_prompt))
        run = KeptTestRun(answering, setting_overrides, has_tools=True, limit_usd=options.limit)
        tests = await answering.stores.kept_tests.all(answering.workspace.me.team_id)
        channels = await _chosen_channels(options, {test.channel_id for test in tests}, answering.workspace.surfaces)
        tests = [test for test in tests if test.channel_id in channels]
        about_usd = await run.estimated_usd(tests)
        print_note(KEPT.format(count=len(tests), model=model, about=about_usd, limit=options.limit))
        failed, stopped = 0, ""
        try:
            async for result in run.results(tests):
                failed += bool(result.failed)
                print(json.dumps(result.as_json), flush=True)
        except (CapReached, ProviderError) as error:
            stopped = _stop_notice(error, options.limit)
    for note in (stopped, run.denied_count and DENIED.format(count=run.denied_count)):
        if note:
            print_note(note)
    return EXIT_FAILED if failed or stopped else 0


def _stop_notice(error: CapReached | ProviderError, limit_usd: float) -> str:
    if isinstance(error, CapReached):
        return AT_LIMIT.format(limit=limit_usd)
    return FAILING.format(model=error.model, end=error.reason)


async def _run(ours: Settings, judges: Settings | None, options: argparse.Namespace, folder: Folder) -> int:
    from bot.services.replay import Replay
    from bot.wiring import open_answering

    async with AsyncExitStack() as stack:
        unseen = open_answering(ours, SystemClock(), has_tools=options.tools)
        answering = await stack.enter_async_context(unseen)
        judge = None
        if judges is not None:
            # Imported here because few runs use it.
            from bot.cli.replay_judge import open_judge

            judge = await stack.enter_async_context(open_judge(judges))
        setting_overrides = _setting_overrides(has_model=True, has_prompt=bool(folder.shared["system_prompt"]))
        replay = Replay(answering, setting_overrides, has_tools=options.tools)
        asked = await replay.replays.question_ids(folder.shared["since"] * DAY_S)
        channels = await _chosen_channels(options, set(asked.values()), answering.workspace.surfaces)
        ids = [job_id for job_id, channel in asked.items() if channel in channels]
        left = [job_id for job_id in ids if not folder.has_answer(job_id)]
        usd = max(0.0, folder.limit_usd - folder.spent_usd)
        print_note(BEGIN.format(count=len(left), all=len(ids), model=folder.shared["model"], left=usd))
        if judge is not None:
            left = [job_id for job_id in ids if not folder.has_answer(job_id) or folder.needs_verdict(job_id)]
            print_note(await _judge_notice(judge, replay.replays, folder, left))
        stopped = await _ask_each(replay, folder, left, judge)
        await _write_report(ours, replay.replays, folder, answering.workspace.channel_reader)
    if not stopped:
        return 0
    print_note(stopped)
    return EXIT_FAILED


async def _chosen_channels(options: argparse.Namespace, conversations: set[str], surfaces: "Surfaces") -> set[str]:
    """Returns the conversations that the options choose. By default, excludes direct messages and group
    conversations."""
    conversations = {one for one in conversations if options.channel is None or one in options.channel}
    if options.direct_messages:
        return conversations
    looks = {one: partial(surfaces.is_among_direct_messages, one) for one in sorted(conversations)}
    clock = SystemClock()
    return {one for one, look in looks.items() if not await keep_trying(look, clock, "channel not read", RateLimited)}


async def _judge_notice(judge: "Judge", replays: "Replays", folder: Folder, job_ids: list[int]) -> str:
    """Returns the sentence that announces the judge. Assumes that missing answers will be as long as recorded ones."""
    usds = []
    for job_id in job_ids:
        if folder.has_answer(job_id):
            usds.append(judge.usd(folder.lines[job_id], at_most=False))
        elif (asked := await replays.read(job_id, folder.shared["since"] * DAY_S)) and (
            text := asked.original.text.strip()
        ):
            answer = {"text": text}
            line = {"question": asked.job.question.text, "then": answer, "now": answer}
            usds.append(judge.usd(line, at_most=False))
    return JUDGED.format(judge=judge.model, count=len(usds), usd=sum(usds))


async def _ask_each(replay: "Replay", folder: Folder, job_ids: list[int], judge: "Judge | None") -> str:
    """Asks the questions one by one. Returns the reason for stopping early, or "" if all questions were asked."""
    numbers = {job_id: number for number, job_id in enumerate(job_ids, start=1)}
    async for asked in replay.questions(job_ids, folder.shared["since"] * DAY_S):
        job_id = asked.job.id
        progress = f"{numbers[job_id]:,} of {len(job_ids):,}"
        try:
            if not folder.has_answer(job_id):
                said = await _ask_question(replay, folder, asked)
                print_note(f"{progress}: {said}, ${folder.spent_usd:.4f} so far")
            if judge is not None and folder.needs_verdict(job_id):
                said = await _compare_answers(judge, replay.replays, folder, asked.job)
                print_note(f"{progress}: judged {said}, ${folder.spent_usd:.4f} so far")
        except (CapReached, ProviderError) as error:
            return _stop_notice(error, folder.limit_usd)
    if replay.denied_count:
        print_note(DENIED.format(count=replay.denied_count))
    return ""


async def _ask_question(replay: "Replay", folder: Folder, asked: "RecordedQuestion") -> str:
    """Asks a question and returns how the answer ended. Raises CapReached, and ProviderError for failures that would
    affect every question."""
    from bot.cli.replay_report import answer_values

    job, question = asked.job, asked.job.question
    try:
        now = await replay.ask_again(asked, partial(folder.begin, job.id))
    except ProviderError:
        folder.add(job.id, at_most_usd=0.0)
        raise
    about = {"asked": time_text(float(question.ts)), "channel": question.thread.channel_id}
    words = without_bot_mention(question.text, replay.answering.workspace.me.user_id)
    folder.add(job.id, **about, question=words, then=answer_values(asked.original), now=answer_values(now))
    return f"{now.end}, {now.seconds:.1f} s"


def _setting_overrides(*, has_model: bool, has_prompt: bool) -> dict[str, Any]:
    return ({"model": None} if has_model else {}) | ({"system_prompt": ""} if has_prompt else {})


async def _compare_answers(judge: "Judge", replays: "Replays", folder: Folder, job: Job) -> str:
    line = folder.lines[job.id]
    most_usd = judge.usd(line, at_most=True)
    folder.check(most_usd)
    folder.add(**line, judge={"model": judge.model, "usd": most_usd})
    await replays.record_question(job, judge.model)
    try:
        verdict, use = await judge.verdict(job, line)
    except ProviderError:
        folder.add(**line)
        raise
    await replays.record_usage(job, use)
    folder.add(**line, judge={"model": judge.model, "usd": use.cost_usd, "verdict": verdict})
    return verdict


async def _write_report(ours: Settings, replays: "Replays", folder: Folder, reader: "ChannelReader") -> None:
    from bot.cli.replay_report import TIMES, UNFINISHED, labeled_totals, page, totals

    lines = []
    uses: list[AnswerUsage] = []
    thumbs: list[Thumb] = []
    for job_id, line in sorted(folder.lines.items()):
        if "now" in line and (asked := await replays.read(job_id, folder.shared["since"] * DAY_S)):
            thread, ts = asked.job.question.thread, asked.job.question.ts
            base = await reader.link_base(thread.channel_id, ts)
            link = message_link(base, thread.channel_id, ts, thread.thread_ts)
            lines.append({**line, "thumbs_down": totals((), asked.thumbs).thumbs_down, "link": link})
            uses += asked.original.uses
            thumbs += asked.thumbs
    sums, names = labeled_totals(lines, totals(uses, thumbs)), await names_of(ours, {line["channel"] for line in lines})
    killed = [job_id for job_id, line in folder.lines.items() if "now" not in line and line["at_most_usd"] > 0]
    notes = [TIMES, *([UNFINISHED.format(", ".join(map(str, killed)))] if killed else [])]
    judges = "".join({f", judged by {line['judge']['model']}" for line in lines if "judge" in line})
    html = page(f"{len(lines):,} questions at {folder.shared['model']}{judges}", sums, lines, names, notes)
    with os.fdopen(
        folder.open("report.html", os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8", errors="replace"
    ) as file:
        file.write(html)
    for what, before, after in sums:
        print(f"{what:36}{before:>16}{after:>16}")
    print("", *notes, folder.path / "report.html", sep="\n")


SUBCOMMAND = Subcommand(
    "ask recorded questions again with another model or system prompt",
    "Asks recorded questions again, with the code that answers questions in Slack, and writes a folder with "
    "report.html, which shows both answers side by side, and results.jsonl. Nothing is posted, and only tools that "
    "read are called. Running it again with the same folder continues where the last run ended. Exits with 1 if it "
    "stopped before the last question. With --kept, prints a line of JSON for each kept test, and exits with 1 if a "
    "test failed.",
    _replay,
    _add_arguments,
)
