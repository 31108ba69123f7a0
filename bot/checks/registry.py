"""All checks, in report order. For each one: what it checks, when it runs, and which checks it depends on.

A check is a function that returns a finding: what is wrong, and how to fix it. `typist check` prints findings, a
starting process logs them, and the daily checks also notify Typist admins (daily.py).

These checks can run at any time. Problems that take minutes to confirm, such as a vendor that refuses the key or too
many connections, are instead monitored while Typist answers (bot/services/admin_notices.py).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from bot.checks import machine, models, servers
from bot.checks.database import DatabaseChecks, check_workspace
from bot.checks.report import SETTINGS, Check, CheckReport, Occasion, run_checks
from bot.checks.servers import ServerChecks
from bot.checks.slack import SlackChecks
from bot.clock import Clock, SystemClock
from bot.core import texts
from bot.models.prices import price_of_tools
from bot.models.prompt import ToolDefinition
from bot.settings import Settings, access_rules_of, extra_scopes, model_prices, model_setup, models_in_use
from bot.slack.client import SlackClient, new_session
from bot.store.accounts import read_secrets
from bot.store.channel_settings import read_chosen_servers
from bot.store.listening import read_message_times

BOT_TOKEN, CONNECTION = "slack.bot_token", "database.connection"
APP_TOKEN, SCOPES, SOCKET_MODE, SAME_APP = "slack.app_token", "slack.scopes", "slack.socket_mode", "slack.same_app"
PROBE_POST, PROBE_EVENT = "slack.probe_post", "slack.probe_event"
MODEL, WRITE, SCHEMA = "model.{}", "database.write", "database.schema"


@dataclass
class Checkup:
    """The inputs for the checks of one run. A running process provides the clients that it has already opened."""

    settings: Settings
    clock: Clock
    session: ClientSession
    bot: SlackClient
    env_file: Path | None = None
    probe_channel: str = ""
    slack: SlackChecks = field(init=False)
    database: DatabaseChecks = field(init=False)
    servers: ServerChecks = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        app, config = (
            SlackClient(token, settings.slack_api_url, self.session)
            for token in (settings.slack_app_token, settings.slack_config_token)
        )
        extra = extra_scopes(settings)
        self.slack = SlackChecks(self.bot, app, config if settings.slack_config_token else None, self.clock, extra)
        self.database = DatabaseChecks(settings.database_url)
        self.read: Callable[..., Awaitable[Any]] = self.database.read
        self.servers = ServerChecks(settings.mcp, self.clock, self._price, has_keys=bool(settings.secret_keys))

    async def close(self) -> None:
        await self.database.close()
        await self.slack.close()

    @property
    def today(self) -> date:
        return datetime.fromtimestamp(self.clock.now(), UTC).date()

    def _price(self, tools: Sequence[ToolDefinition]) -> str:
        settings = self.settings
        price = price_of_tools(tools, models_in_use(settings), model_prices(settings), self.clock.now())
        return texts.settings.tools_price(*price)


_AND_START = Occasion.COMMAND | Occasion.START


def planned_checks(checkup: Checkup, occasion: Occasion) -> list[Check]:
    return [check for check in all_checks(checkup) if check.on & occasion]


def all_checks(checkup: Checkup) -> Iterator[Check]:
    """Yields the checks of all occasions that apply to the settings, in report order. Their IDs never change, because
    scripts use them."""
    settings = checkup.settings
    yield Check(
        SETTINGS,
        "the settings",
        lambda: machine.check_settings(settings, checkup.env_file, checkup.clock.now()),
        on=_AND_START,
    )
    yield Check("isolation", "the kernel's protection", machine.check_isolation, on=Occasion.COMMAND | Occasion.RUN)
    yield Check(
        "files",
        "whether other users can read files with secrets",
        lambda: machine.check_files(checkup.env_file, settings.database_url),
        on=Occasion.RUN,
    )
    yield Check("network", "the network routes to the servers", lambda: machine.check_network(settings))
    yield from _slack_checks(settings, checkup.slack, checkup.probe_channel)
    yield from _model_checks(settings, checkup.today)
    yield from _database_checks(checkup)
    if settings.traces_url:
        yield Check(
            "traces",
            "BOT_TRACES_URL",
            lambda: machine.check_traces(settings.traces_url, checkup.session),
            is_vital=False,
        )
    yield from _server_checks(checkup)


def _slack_checks(settings: Settings, slack: SlackChecks, probe_channel: str) -> Iterator[Check]:
    yield Check(BOT_TOKEN, "SLACK_BOT_TOKEN", slack.check_bot_token)
    yield Check(SCOPES, "the bot token's scopes", slack.check_scopes, needs=[BOT_TOKEN], on=_AND_START)
    yield Check("slack.clock", "this machine's clock", slack.check_clock, needs=[BOT_TOKEN], on=_AND_START)
    yield Check(APP_TOKEN, "SLACK_APP_TOKEN", slack.check_app_token)
    yield Check(SOCKET_MODE, "Socket Mode", slack.check_socket_mode, needs=[APP_TOKEN])
    yield Check(
        SAME_APP,
        "whether both tokens belong to the same app",
        slack.check_same_app,
        needs=[BOT_TOKEN, APP_TOKEN],
        after=[SOCKET_MODE],
    )
    yield Check("slack.manifest", "the app's manifest", slack.check_manifest, after=[SAME_APP])
    rules = access_rules_of(settings)
    if settings.admins or settings.allow_channels or rules.people:
        yield Check(
            "slack.named",
            "whether the people and channels in the settings exist",
            lambda: slack.check_people_and_channels(settings.admins, rules),
            needs=[SCOPES],
            is_vital=False,
            on=Occasion.COMMAND | Occasion.DAILY,
        )
    if rules.groups:
        yield Check(
            "slack.user_groups",
            "the user groups in BOT_ALLOW_USERS",
            lambda: slack.check_user_groups(rules),
            needs=[SCOPES],
        )
    yield Check(
        PROBE_POST,
        "the test message",
        lambda: slack.probe_post(probe_channel),
        needs=[BOT_TOKEN, SOCKET_MODE],
        on=Occasion.PROBE,
    )
    yield Check(PROBE_EVENT, "the test message's event", slack.probe_event, needs=[PROBE_POST], on=Occasion.PROBE)
    yield Check(
        "slack.probe_delete",
        "whether the test message can be deleted",
        slack.probe_delete,
        needs=[PROBE_POST],
        after=[PROBE_EVENT],
        on=Occasion.PROBE,
    )


def _model_checks(settings: Settings, today: date) -> Iterator[Check]:
    for model in models_in_use(settings):
        yield Check(
            MODEL.format(model),
            model,
            partial(models.check_model, model_setup(settings), model, today),
            within_s=models.LOOKED_UP_WITHIN_S,
            on=Occasion.COMMAND | Occasion.CONNECTED,
        )
    for model in models_in_use(settings):
        yield Check(
            f"model.{model}.retirement",
            f"whether {model} retires soon",
            partial(models.check_retirement, model_setup(settings), model, today),
            within_s=models.LOOKED_UP_WITHIN_S + 5.0,
            on=Occasion.DAILY,
        )
    if settings.transcribe:
        yield Check(
            "transcription",
            "BOT_TRANSCRIBE",
            lambda: models.check_transcription(model_setup(settings), settings.transcribe),
            is_vital=False,
        )
    for model in models_in_use(settings):
        yield Check(
            f"model.{model}.tools",
            f"whether {model} calls tools",
            partial(models.probe_model, model_setup(settings), model),
            needs=[MODEL.format(model)],
            within_s=models.PROBE_WITHIN_S + 5.0,
            on=Occasion.PROBE_MODELS,
        )


def _database_checks(checkup: Checkup) -> Iterator[Check]:
    database, slack = checkup.database, checkup.slack
    yield Check(CONNECTION, "the database", database.check_connection)
    yield Check(WRITE, "whether the database can be written to", database.check_write, needs=[CONNECTION])
    yield Check(SCHEMA, "the database schema", database.check_schema, needs=[CONNECTION], after=[WRITE])
    yield Check(
        "database.workspace",
        "whether the database is this workspace's",
        lambda: check_workspace(partial(checkup.read, read_message_times), slack.installation.identity.team_id),
        needs=[BOT_TOKEN, CONNECTION],
        after=[SCHEMA],
        on=_AND_START,
    )
    yield Check(
        "slack.connections",
        "whether another process receives events",
        lambda: slack.check_connections(database.count_live_processes),
        needs=[SOCKET_MODE, CONNECTION],
        after=[SCHEMA],
    )
    yield Check("database.catch_up", "the last catch-up", database.check_catch_up, needs=[CONNECTION], after=[SCHEMA])


def _server_checks(checkup: Checkup) -> Iterator[Check]:
    settings = checkup.settings
    server_ids = {name: f"mcp.{name}" for name in settings.mcp.names}
    for name, server_id in server_ids.items():
        yield Check(
            server_id,
            f"the MCP server {name}",
            partial(checkup.servers.check_server, name),
            within_s=servers.CHECKED_WITHIN_S,
            is_vital=False,
        )
    if settings.mcp.servers:
        yield Check(
            "mcp",
            "the total number of MCP tools",
            lambda: checkup.servers.check_places(partial(checkup.read, read_chosen_servers)),
            after=[CONNECTION, *server_ids.values()],
            is_vital=False,
        )
    if settings.mcp.servers or settings.secret_keys:
        yield Check(
            "sign_ins",
            "whether BOT_SECRET_KEYS can decrypt the sign-ins to MCP servers",
            lambda: servers.check_sign_ins(partial(checkup.read, read_secrets), settings.secret_keys),
            needs=[CONNECTION],
            on=_AND_START,
        )


async def log_startup_findings(checkup: Checkup, *passed_ids: str) -> None:
    """Runs the startup checks that depend on the last of the passed checks and on no check that hasn't passed. Logs
    their findings."""
    checks = planned_checks(checkup, Occasion.START)
    (await run_checks([check for check in checks if set(passed_ids[-1:]) <= set(check.needs) <= set(passed_ids)])).log()


async def run_all(
    settings: Settings,
    probe: str | None = None,
    *,
    probe_models: bool = False,
    env_file: Path | None = None,
    only: AbstractSet[str] | None = None,
) -> CheckReport:
    """Checks these settings, which might come from `env_file`, and returns the report. `probe`: a channel to post in.
    `probe_models`: whether to ask models to call a tool. `only`: the IDs of the checks to run, or None for all
    checks."""
    occasions = Occasion.COMMAND
    occasions |= Occasion.PROBE if probe is not None else occasions
    occasions |= Occasion.PROBE_MODELS if probe_models else occasions
    async with _open_checkup(settings, env_file, probe or "") as checkup:
        return await run_checks(
            [check for check in planned_checks(checkup, occasions) if only is None or check.id in only]
        )


async def log_findings(settings: Settings, occasion: Occasion, env_file: Path | None = None) -> None:
    async with _open_checkup(settings, env_file) as checkup:
        (await run_checks(planned_checks(checkup, occasion))).log()


@asynccontextmanager
async def _open_checkup(settings: Settings, env_file: Path | None = None, channel: str = "") -> AsyncIterator[Checkup]:
    async with new_session() as session:
        bot = SlackClient(settings.slack_bot_token, settings.slack_api_url, session)
        checkup = Checkup(settings, SystemClock(), session, bot, env_file, channel)
        try:
            yield checkup
        finally:
            await checkup.close()
