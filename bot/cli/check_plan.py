"""Which checks `typist check` makes, in the order of its report, and which of them each one needs."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout

from bot import network, settings
from bot.checks import check_texts, database, models, servers, slack
from bot.checks.database import DatabaseChecks
from bot.checks.report import ANSWER_WITHIN_S, SETTINGS, Check, CheckReport, PlannedCheck, fail, ok, run_checks, warn
from bot.checks.servers import ServerChecks
from bot.checks.slack import SlackChecks
from bot.clock import Clock, SystemClock
from bot.core import texts
from bot.errors import SettingsError
from bot.mcp.config import HttpTransport
from bot.models.prices import price_of_tools
from bot.models.prompt import ToolDefinition
from bot.models.registry import resolved
from bot.settings import Settings, access_rules_of, extra_scopes, model_prices, model_setup, models_in_use
from bot.slack.client import SlackClient, new_session
from files_to_markdown import isolation

ISOLATION, NETWORK, TRACES = "isolation", "network", "traces"


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
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(new_session())
        tokens = (ours.slack_bot_token, ours.slack_app_token, ours.slack_config_token)
        bot, app, config = (SlackClient(token, ours.slack_api_url, session) for token in tokens)
        clock = SystemClock()
        in_slack = SlackChecks(bot, app, config if ours.slack_config_token else None, clock, extra_scopes(ours))
        stack.push_async_callback(in_slack.close)
        store = DatabaseChecks(ours.database_url)
        stack.push_async_callback(store.close)
        mcp = ServerChecks(ours.mcp, clock, partial(_price, ours, clock), has_keys=bool(ours.secret_keys))
        steps = [
            PlannedCheck(SETTINGS, partial(_settings, ours, env_file)),
            PlannedCheck(ISOLATION, _isolation),
            PlannedCheck(NETWORK, partial(_network, ours)),
            *_of_slack(in_slack, ours),
            *(_of_probe(in_slack, probe) if probe is not None else ()),
            *_of_models(ours, datetime.fromtimestamp(clock.now(), UTC).date()),
            *(_of_called_tools(ours) if probe_models else ()),
            *_of_database(store, in_slack),
            *([PlannedCheck(TRACES, partial(_traces, ours.traces_url, session))] if ours.traces_url else ()),
            *(_of_servers(mcp, store, ours) if ours.mcp.servers or ours.secret_keys else ()),
        ]
        return await run_checks([step for step in steps if only is None or step.id in only])


def _of_slack(checks: SlackChecks, ours: Settings) -> list[PlannedCheck]:
    both_tokens, rules = [slack.BOT_TOKEN, slack.APP_TOKEN], access_rules_of(ours)
    steps = [
        PlannedCheck(slack.BOT_TOKEN, checks.bot_token),
        PlannedCheck(slack.SCOPES_ID, checks.scopes, needs=[slack.BOT_TOKEN]),
        PlannedCheck(slack.CLOCK, checks.clocks, needs=[slack.BOT_TOKEN]),
        PlannedCheck(slack.APP_TOKEN, checks.app_token),
        PlannedCheck(slack.SOCKET_MODE, checks.socket_mode, needs=[slack.APP_TOKEN]),
        PlannedCheck(slack.SAME_APP, checks.same_app, needs=both_tokens, after=[slack.SOCKET_MODE]),
        PlannedCheck(slack.MANIFEST, checks.manifest, after=[slack.SAME_APP]),
    ]
    in_groups = PlannedCheck(slack.USER_GROUPS, partial(checks.user_groups, rules.groups), needs=[slack.SCOPES_ID])
    if ours.admins or rules.people or rules.allow_channels:
        known = partial(checks.named, ours.admins, rules)
        steps.append(PlannedCheck(slack.NAMED, known, needs=[slack.SCOPES_ID]))
    return [*steps, in_groups] if rules.groups else steps


def _of_probe(checks: SlackChecks, channel_id: str) -> list[PlannedCheck]:
    """Returns the checks that post a message in a channel, wait for its event, and delete it."""
    post, posted = partial(checks.probe_post, channel_id), [slack.PROBE_POST]
    return [
        PlannedCheck(slack.PROBE_POST, post, needs=[slack.BOT_TOKEN, slack.SOCKET_MODE]),
        PlannedCheck(slack.PROBE_EVENT, checks.probe_event, needs=posted),
        PlannedCheck(slack.PROBE_DELETE, checks.probe_delete, needs=posted, after=[slack.PROBE_EVENT]),
    ]


def _of_models(ours: Settings, today: date) -> list[PlannedCheck]:
    setup = model_setup(ours)
    steps = models.planned(setup, today)
    hears = PlannedCheck(models.TRANSCRIPTION, partial(models.check_transcription, setup, ours.transcribe))
    return [*steps, hears] if ours.transcribe else steps


def _of_called_tools(ours: Settings) -> list[PlannedCheck]:
    """Returns the checks that have each model call a tool."""
    setup = model_setup(ours)
    return [
        PlannedCheck(
            models.probe_id(model),
            partial(models.probe_model, setup, model),
            needs=[models.model_check_id(model)],
            within_s=models.PROBE_WITHIN_S + 5.0,
        )
        for model in setup.models
    ]


def _of_database(checks: DatabaseChecks, in_slack: SlackChecks) -> list[PlannedCheck]:
    """Returns the checks of the database, and of Slack's connections, which are compared with its processes."""
    connections, connected = partial(in_slack.connections, checks.living), [database.CONNECTION]
    return [
        PlannedCheck(database.CONNECTION, checks.connection),
        PlannedCheck(database.WRITE, checks.write, needs=connected),
        PlannedCheck(database.SCHEMA, checks.schema, needs=connected, after=[database.WRITE]),
        PlannedCheck(slack.CONNECTIONS_ID, connections, needs=[slack.SOCKET_MODE, *connected], after=[database.SCHEMA]),
        PlannedCheck(database.CATCH_UP, checks.catch_up, needs=connected, after=[database.SCHEMA]),
    ]


def _price(ours: Settings, clock: Clock, tools: Sequence[ToolDefinition]) -> str:
    """Returns what tools' definitions cost."""
    price = price_of_tools(tools, models_in_use(ours), model_prices(ours), clock.now())
    return texts.settings.tools_price(*price)


def _of_servers(checks: ServerChecks, store: DatabaseChecks, ours: Settings) -> list[PlannedCheck]:
    alone = [
        PlannedCheck(servers.server_check_id(server.name), partial(checks.server, server))
        for server in ours.mcp.servers
    ]
    places = partial(checks.places, store.chosen_servers)
    before = [database.CONNECTION, *(step.id for step in alone)]
    signed_in = partial(_sign_ins, store, ours.secret_keys)
    return [
        *alone,
        *([PlannedCheck(servers.MCP_PLACES, places, after=before)] if alone else ()),
        PlannedCheck(servers.SIGN_INS, signed_in, needs=[database.CONNECTION]),
    ]


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


async def _sign_ins(store: DatabaseChecks, keys: Sequence[str]) -> Check:
    return servers.check_sign_ins(await store.secrets(), keys)


async def _traces(url: str, session: ClientSession) -> Check:
    """Sends the collector no traces, to see whether one answers."""
    headers = {"Content-Type": "application/x-protobuf"}
    try:
        async with session.post(url, data=b"", headers=headers, timeout=ClientTimeout(ANSWER_WITHIN_S)) as response:
            said = "" if response.status < HTTPStatus.BAD_REQUEST else f"HTTP {response.status}"
    except (ClientError, OSError, TimeoutError) as error:
        said = network.reason_of(error, url) or type(error).__name__
    return warn(TRACES, *check_texts.traces_lost(said)) if said else ok(TRACES, check_texts.TRACES)
