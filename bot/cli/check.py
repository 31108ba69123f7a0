"""`typist check`: checks tokens, scopes, Socket Mode, models, tools and the database, and names each remedy."""

import argparse
import asyncio
import json
import re
import signal
import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from io import TextIOWrapper
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout

from bot import logs, network, settings
from bot.checks import check_texts
from bot.checks.report import ANSWER_WITHIN_S, Check, CheckReport, fail, ok, warn
from bot.cli import EXIT_FAILED, EXIT_INVALID, Subcommand
from bot.errors import SettingsError
from bot.mcp.config import HttpTransport
from bot.models.registry import resolved
from bot.settings import Settings, access_rules_of, extra_scopes, model_setup, models_in_use
from files_to_markdown import isolation

EXIT_INTERRUPTED = 130
SETTINGS, ISOLATION, NETWORK, TRACES = "settings", "isolation", "network", "traces"

_CONVERSATION = re.compile(r"[CDGUW][A-Z0-9]+")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the probe and the form of the report."""
    parser.add_argument(
        "--probe",
        metavar="CHANNEL",
        help="also post a message in this channel (an ID such as C0123ABCD), wait for its event, and delete it",
    )
    parser.add_argument(
        "--probe-models", action="store_true", help="also ask each model to call a tool, which costs a short answer"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Prints the report and returns the exit code."""
    try:
        ours = settings.read(env, needs_slack=True, needs_model=True)
        probe: str | None = options.probe
        if probe is not None and not _CONVERSATION.fullmatch(probe):
            problem = (
                f"--probe must be a channel ID such as C0123ABCD (in Slack: in the channel's details), not {probe}."
            )
            raise SettingsError([problem])
    except SettingsError as error:
        if not options.json:
            raise
        checks = [fail(SETTINGS, problem, check_texts.SETTINGS_FIX) for problem in error.problems]
        _print(CheckReport(checks), as_json=True)
        return EXIT_INVALID
    logs.set_up_quietly(ours.log_level, ours.log_format)
    if probe is not None:
        # Ctrl-C elsewhere ends the process at once. Here it would leave the probe's message behind.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        report = asyncio.run(
            checked(
                ours,
                probe,
                probe_models=options.probe_models,
                env_file=settings.ENV_FILE,
            )
        )
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    _print(report, as_json=options.json)
    return 0 if report.is_ok else EXIT_FAILED


async def checked(
    ours: Settings,
    probe: str | None = None,
    *,
    probe_models: bool = False,
    env_file: Path | None = None,
    only: AbstractSet[str] | None = None,
) -> CheckReport:
    """Returns the report on these settings, which may come from `env_file`.

    `probe` is a channel to post in, `probe_models` has models call a tool. `only`: the ids of the checks to make,
    and of those that they need; None: all.
    """
    from bot.checks import models as models
    from bot.checks import slack as slack
    from bot.checks.report import PlannedCheck, run_checks
    from bot.clock import SystemClock
    from bot.slack.client import SlackClient, new_session

    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(new_session())
        tokens = (ours.slack_bot_token, ours.slack_app_token, ours.slack_config_token)
        bot, app, config = (SlackClient(token, ours.slack_api_url, session) for token in tokens)
        clock = SystemClock()
        setup = model_setup(ours)
        in_slack = slack.SlackChecks(bot, app, config if ours.slack_config_token else None, clock, extra_scopes(ours))
        stack.push_async_callback(in_slack.close)
        store = models.DatabaseChecks(ours.database_url)
        stack.push_async_callback(store.close)
        servers = models.ServerChecks(ours.mcp, clock, has_keys=bool(ours.secret_keys))
        today = datetime.fromtimestamp(clock.now(), UTC).date()
        steps = [
            PlannedCheck(SETTINGS, partial(_settings, ours, env_file)),
            PlannedCheck(ISOLATION, _isolation),
            PlannedCheck(NETWORK, partial(_network, ours)),
            PlannedCheck(slack.BOT_TOKEN, in_slack.bot_token),
            PlannedCheck(slack.SCOPES_ID, in_slack.scopes, needs=[slack.BOT_TOKEN]),
            PlannedCheck(slack.CLOCK, in_slack.clocks, needs=[slack.BOT_TOKEN]),
            PlannedCheck(slack.APP_TOKEN, in_slack.app_token),
            PlannedCheck(slack.SOCKET_MODE, in_slack.socket_mode, needs=[slack.APP_TOKEN]),
            PlannedCheck(
                slack.SAME_APP, in_slack.same_app, needs=[slack.BOT_TOKEN, slack.APP_TOKEN], after=[slack.SOCKET_MODE]
            ),
            PlannedCheck(slack.MANIFEST, in_slack.manifest, after=[slack.SAME_APP]),
        ]
        if groups := access_rules_of(ours).groups:
            steps.append(
                PlannedCheck(slack.USER_GROUPS, partial(in_slack.user_groups, groups), needs=[slack.SCOPES_ID])
            )
        if probe is not None:
            steps += [
                PlannedCheck(
                    slack.PROBE_POST, partial(in_slack.probe_post, probe), needs=[slack.BOT_TOKEN, slack.SOCKET_MODE]
                ),
                PlannedCheck(slack.PROBE_EVENT, in_slack.probe_event, needs=[slack.PROBE_POST]),
                PlannedCheck(
                    slack.PROBE_DELETE, in_slack.probe_delete, needs=[slack.PROBE_POST], after=[slack.PROBE_EVENT]
                ),
            ]
        steps += [
            PlannedCheck(models.model_check_id(model), partial(models.check_model, setup, model, today))
            for model in setup.models
        ]
        if ours.transcribe:
            steps.append(
                PlannedCheck(models.TRANSCRIPTION, partial(models.check_transcription, setup, ours.transcribe))
            )
        if probe_models:
            steps += [
                PlannedCheck(
                    models.probe_id(model),
                    partial(models.probe_model, setup, model),
                    needs=[models.model_check_id(model)],
                    within_s=models.PROBE_WITHIN_S + 5.0,
                )
                for model in setup.models
            ]
        steps += [
            PlannedCheck(models.CONNECTION, store.connection),
            PlannedCheck(models.WRITE, store.write, needs=[models.CONNECTION]),
            PlannedCheck(models.SCHEMA, store.schema, needs=[models.CONNECTION], after=[models.WRITE]),
            PlannedCheck(
                slack.CONNECTIONS_ID,
                partial(in_slack.connections, store.living),
                needs=[slack.SOCKET_MODE, models.CONNECTION],
                after=[models.SCHEMA],
            ),
            PlannedCheck(models.CATCH_UP, store.catch_up, needs=[models.CONNECTION], after=[models.SCHEMA]),
        ]
        if ours.traces_url:
            steps.append(PlannedCheck(TRACES, partial(_traces, ours.traces_url, session)))
        if ours.mcp.servers:
            alone = [
                PlannedCheck(models.server_check_id(server.name), partial(servers.server, server))
                for server in ours.mcp.servers
            ]
            places = partial(servers.places, store.chosen_servers)
            steps += [
                *alone,
                PlannedCheck(models.MCP_PLACES, places, after=[models.CONNECTION, *(step.id for step in alone)]),
            ]
        return await run_checks([step for step in steps if only is None or step.id in only])


async def _settings(ours: Settings, env_file: Path | None) -> Check:
    shown = {"models in use": ", then ".join(models_in_use(ours)), **settings.in_force(ours)}
    lines = [check_texts.SETTINGS, *(f"{name}: {value}" for name, value in shown.items())]
    problems = [check_texts.misnamed(name, variable) for name, variable in ours.misnamed.items()]
    if env_file is not None and isolation.others_may_read(env_file):
        problems.append(check_texts.others_may_read(str(env_file), str(env_file)))
    problems += [(sentence, check_texts.NO_SEARCH_FIX) for sentence in settings.without_effect(ours)]
    message = "\n".join([*(problem for problem, _ in problems), *lines, *ours.mcp.notes])
    fixes = list(dict.fromkeys(fix for _, fix in problems)) + ([check_texts.MCP_NOTES_FIX] if ours.mcp.notes else [])
    return warn(SETTINGS, message, " ".join(fixes)) if fixes else ok(SETTINGS, message)


async def _isolation() -> Check:
    if not isolation.ON_LINUX:
        return warn(ISOLATION, check_texts.NOT_ON_LINUX, check_texts.ISOLATION_FIX)
    abi = isolation.landlock_abi()
    if abi >= isolation.TRUNCATE_ABI:
        return ok(ISOLATION, check_texts.isolated(abi))
    return warn(ISOLATION, check_texts.OLD_LANDLOCK if abi else check_texts.NO_LANDLOCK, check_texts.ISOLATION_FIX)


async def _network(ours: Settings) -> Check:
    """Says which way leads to each server, and whose certificates are trusted. Nothing is sent."""
    vendors = sorted({model.partition("/")[0] for model in models_in_use(ours)})
    urls = [ours.slack_api_url, *(resolved(vendor, model_setup(ours)).base_url for vendor in vendors)]
    urls += [server.transport.url for server in ours.mcp.servers if isinstance(server.transport, HttpTransport)]
    urls.append(ours.traces_url)
    try:
        ways = {urlsplit(url).hostname or "": network.way_to(url) for url in urls if url}
    except SettingsError as error:
        return fail(NETWORK, str(error), check_texts.NETWORK_FIX)
    return ok(NETWORK, check_texts.ways(ways, network.certificates()))


async def _traces(url: str, session: ClientSession) -> Check:
    """Sends the collector no traces, to see whether one answers."""
    headers = {"Content-Type": "application/x-protobuf"}
    try:
        async with session.post(url, data=b"", headers=headers, timeout=ClientTimeout(ANSWER_WITHIN_S)) as response:
            said = "" if response.status < HTTPStatus.BAD_REQUEST else f"HTTP {response.status}"
    except (ClientError, OSError, TimeoutError) as error:
        said = network.reason_of(error, url) or type(error).__name__
    return warn(TRACES, *check_texts.traces_lost(said)) if said else ok(TRACES, check_texts.TRACES)


def _print(report: CheckReport, *, as_json: bool) -> None:
    print_any_mark()
    print(json.dumps(report.json(), indent=2) if as_json else report.text())


def print_any_mark() -> None:
    """Has stdout replace the marks that the terminal doesn't know."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


SUBCOMMAND = Subcommand(
    "check tokens, scopes, models, tools and the database",
    "Checks what must be right before Typist can answer, and says how to fix what is wrong. It changes nothing. "
    "Exits with 1 if something must be fixed, with 2 if the settings are invalid.",
    run,
    add_arguments,
)
