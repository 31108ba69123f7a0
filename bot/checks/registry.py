"""All checks, in report order. For each one: what it checks, when it runs, and which checks it depends on.

A check is a function that returns a finding: what is wrong, and how to fix it. `typist check` prints findings, a
starting process logs them, and the daily checks also notify Typist admins (daily.py).

These checks can run at any time. Problems that take minutes to confirm, such as a vendor that refuses the key or too
many connections, are instead monitored while Typist answers (bot/services/admin_notices.py).
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import Flag, auto
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from bot.checks import machine, models, servers
from bot.checks.database import DatabaseChecks, check_workspace
from bot.checks.report import SETTINGS, CheckReport, Finding, PlannedCheck, run_checks
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
from bot.store.listening import read_teams

BOT_TOKEN, CONNECTION = "slack.bot_token", "database.connection"
APP_TOKEN, SCOPES, SOCKET_MODE, SAME_APP = "slack.app_token", "slack.scopes", "slack.socket_mode", "slack.same_app"
PROBE_POST, MODEL, SERVER = "slack.probe_post", "model.{}", "mcp.{}"


class Occasion(Flag):
    COMMAND = auto()
    """`typist check`: any call that changes nothing and is free, or nearly so."""
    PROBE = auto()
    """`typist check --probe`: posts a message in Slack."""
    PROBE_MODELS = auto()
    """`typist check --probe-models`: each model reads 6,000 tokens and calls a tool."""
    START = auto()
    """A process or a sandbox starts: no calls, so that startup isn't delayed. These checks run once their inputs are
    available."""
    RUN = auto()
    """`typist run` starts: no calls."""
    CONNECTED = auto()
    """`typist run` has connected to Slack: free calls that don't delay answers."""
    DAILY = auto()
    """Once a day, in only one process: free calls. Admins are notified of each finding once."""


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
        ours = self.settings
        app, config = (
            SlackClient(token, ours.slack_api_url, self.session)
            for token in (ours.slack_app_token, ours.slack_config_token)
        )
        extra = extra_scopes(ours)
        self.slack = SlackChecks(self.bot, app, config if ours.slack_config_token else None, self.clock, extra)
        self.database = DatabaseChecks(ours.database_url)
        self.read: Callable[..., Awaitable[Any]] = self.database.read
        self.servers = ServerChecks(ours.mcp, self.clock, self._price, has_keys=bool(ours.secret_keys))

    async def close(self) -> None:
        await self.database.close()
        await self.slack.close()

    @property
    def today(self) -> date:
        return datetime.fromtimestamp(self.clock.now(), UTC).date()

    def _price(self, tools: Sequence[ToolDefinition]) -> str:
        ours = self.settings
        price = price_of_tools(tools, models_in_use(ours), model_prices(ours), self.clock.now())
        return texts.settings.tools_price(*price)


def _once(applies: object) -> Sequence[str]:
    return [""] if applies else []


def _models(at: Checkup) -> Sequence[str]:
    return models_in_use(at.settings)


@dataclass(frozen=True, slots=True)
class Check:
    id: str
    """The ID that scripts use; never change it. {} is the model or server, also in `name` and `needs`."""
    name: str
    make: Callable[[Checkup, str], Awaitable[Finding]]
    on: Occasion = Occasion.COMMAND
    subjects: Callable[[Checkup], Iterable[str]] = lambda _: ("",)
    """Returns the models or servers, or nothing if the check doesn't apply."""
    needs: Sequence[str] = ()
    after: Sequence[str] = ()
    """IDs of checks that must finish first, whatever their result."""
    within_s: float = 0.0
    is_vital: bool = True


_AND_START = Occasion.COMMAND | Occasion.START

CHECKS: Sequence[Check] = (
    Check(
        SETTINGS,
        "the settings",
        lambda at, _: machine.check_settings(at.settings, at.env_file, at.clock.now()),
        _AND_START,
    ),
    Check(
        "isolation",
        "the kernel's protection",
        lambda *_: machine.check_isolation(),
        Occasion.COMMAND | Occasion.RUN,
    ),
    Check(
        "files",
        "whether other users can read files with secrets",
        lambda at, _: machine.check_files(at.env_file, at.settings.database_url),
        Occasion.RUN,
    ),
    Check("network", "the network routes to the servers", lambda at, _: machine.check_network(at.settings)),
    Check(BOT_TOKEN, "SLACK_BOT_TOKEN", lambda at, _: at.slack.check_bot_token()),
    Check(SCOPES, "the bot token's scopes", lambda at, _: at.slack.check_scopes(), _AND_START, needs=[BOT_TOKEN]),
    Check("slack.clock", "this machine's clock", lambda at, _: at.slack.check_clock(), _AND_START, needs=[BOT_TOKEN]),
    Check(APP_TOKEN, "SLACK_APP_TOKEN", lambda at, _: at.slack.check_app_token()),
    Check(SOCKET_MODE, "Socket Mode", lambda at, _: at.slack.check_socket_mode(), needs=[APP_TOKEN]),
    Check(
        SAME_APP,
        "whether both tokens belong to the same app",
        lambda at, _: at.slack.check_same_app(),
        needs=[BOT_TOKEN, APP_TOKEN],
        after=[SOCKET_MODE],
    ),
    Check("slack.manifest", "the app's manifest", lambda at, _: at.slack.check_manifest(), after=[SAME_APP]),
    Check(
        "slack.named",
        "whether the people and channels in the settings exist",
        lambda at, _: at.slack.check_named(at.settings.admins, access_rules_of(at.settings)),
        Occasion.COMMAND | Occasion.DAILY,
        lambda at: _once(at.settings.admins or at.settings.allow_channels or access_rules_of(at.settings).people),
        needs=[SCOPES],
        is_vital=False,
    ),
    Check(
        "slack.user_groups",
        "the user groups in BOT_ALLOW_USERS",
        lambda at, _: at.slack.check_user_groups(access_rules_of(at.settings)),
        subjects=lambda at: _once(access_rules_of(at.settings).groups),
        needs=[SCOPES],
    ),
    Check(
        PROBE_POST,
        "the test message",
        lambda at, _: at.slack.probe_post(at.probe_channel),
        Occasion.PROBE,
        needs=[BOT_TOKEN, SOCKET_MODE],
    ),
    Check(
        "slack.probe_event",
        "the test message's event",
        lambda at, _: at.slack.probe_event(),
        Occasion.PROBE,
        needs=[PROBE_POST],
    ),
    Check(
        "slack.probe_delete",
        "whether the test message can be deleted",
        lambda at, _: at.slack.probe_delete(),
        Occasion.PROBE,
        needs=[PROBE_POST],
        after=["slack.probe_event"],
    ),
    Check(
        MODEL,
        "{}",
        lambda at, model: models.check_model(model_setup(at.settings), model, at.today),
        Occasion.COMMAND | Occasion.CONNECTED,
        _models,
        within_s=models.LOOKED_UP_WITHIN_S,
    ),
    Check(
        "model.{}.retirement",
        "whether {} retires soon",
        lambda at, model: models.check_retirement(model_setup(at.settings), model, at.today),
        Occasion.DAILY,
        _models,
        within_s=models.LOOKED_UP_WITHIN_S + 5.0,
    ),
    Check(
        "transcription",
        "BOT_TRANSCRIBE",
        lambda at, _: models.check_transcription(model_setup(at.settings), at.settings.transcribe),
        subjects=lambda at: _once(at.settings.transcribe),
        is_vital=False,
    ),
    Check(
        "model.{}.tools",
        "whether {} calls tools",
        lambda at, model: models.probe_model(model_setup(at.settings), model),
        Occasion.PROBE_MODELS,
        _models,
        needs=[MODEL],
        within_s=models.PROBE_WITHIN_S + 5.0,
    ),
    Check(CONNECTION, "the database", lambda at, _: at.database.check_connection()),
    Check(
        "database.write",
        "whether the database can be written to",
        lambda at, _: at.database.check_write(),
        needs=[CONNECTION],
    ),
    Check(
        "database.schema",
        "the database schema",
        lambda at, _: at.database.check_schema(),
        needs=[CONNECTION],
        after=["database.write"],
    ),
    Check(
        "database.workspace",
        "whether the database is this workspace's",
        lambda at, _: check_workspace(partial(at.read, read_teams), at.slack.installation.identity.team_id),
        _AND_START,
        needs=[BOT_TOKEN, CONNECTION],
        after=["database.schema"],
    ),
    Check(
        "slack.connections",
        "whether another process receives events",
        lambda at, _: at.slack.check_connections(at.database.count_live_processes),
        needs=[SOCKET_MODE, CONNECTION],
        after=["database.schema"],
    ),
    Check(
        "database.catch_up",
        "the last catch-up",
        lambda at, _: at.database.check_catch_up(),
        needs=[CONNECTION],
        after=["database.schema"],
    ),
    Check(
        "traces",
        "BOT_TRACES_URL",
        lambda at, _: machine.check_traces(at.settings.traces_url, at.session),
        subjects=lambda at: _once(at.settings.traces_url),
        is_vital=False,
    ),
    Check(
        SERVER,
        "the MCP server {}",
        lambda at, name: at.servers.check_server(name),
        subjects=lambda at: at.settings.mcp.names,
        within_s=servers.CHECKED_WITHIN_S,
        is_vital=False,
    ),
    Check(
        "mcp",
        "the total number of MCP tools",
        lambda at, _: at.servers.check_places(partial(at.read, read_chosen_servers)),
        subjects=lambda at: _once(at.settings.mcp.servers),
        after=[CONNECTION, SERVER],
        is_vital=False,
    ),
    Check(
        "sign_ins",
        "whether BOT_SECRET_KEYS can decrypt the sign-ins to MCP servers",
        lambda at, _: servers.check_sign_ins(partial(at.read, read_secrets), at.settings.secret_keys),
        _AND_START,
        lambda at: _once(at.settings.mcp.servers or at.settings.secret_keys),
        needs=[CONNECTION],
    ),
)


def planned_checks(at: Checkup, on: Occasion) -> list[PlannedCheck]:
    rows = [(check, subject) for check in CHECKS if check.on & on for subject in check.subjects(at)]

    def dependencies(names: Iterable[str], subject: str) -> list[str]:
        """Returns the IDs of a check's dependencies. A model's check depends only on checks of the same model."""
        return [
            other.id.format(theirs)
            for name in names
            for other, theirs in rows
            if other.id == name and (not subject or theirs in ("", subject))
        ]

    return [
        PlannedCheck(
            check.id.format(subject),
            check.name.format(subject),
            partial(check.make, at, subject),
            dependencies(check.needs, subject),
            dependencies(check.after, subject),
            check.within_s,
            check.is_vital,
        )
        for check, subject in rows
    ]


async def log_startup_findings(at: Checkup, *having: str) -> None:
    """Logs the findings of startup checks that need the last of these checks, and no checks other than these."""
    ready = {check.id for check in CHECKS if set(having[-1:]) <= set(check.needs) <= set(having)}
    (await run_checks([check for check in planned_checks(at, Occasion.START) if check.id in ready])).log()


async def run_all(
    ours: Settings,
    probe: str | None = None,
    *,
    probe_models: bool = False,
    env_file: Path | None = None,
    only: AbstractSet[str] | None = None,
) -> CheckReport:
    """Checks these settings, which might come from `env_file`, and returns the report. `probe`: a channel to post in.
    `probe_models`: whether to ask models to call a tool. `only`: the IDs of the checks to run, or None for all
    checks."""
    on = Occasion.COMMAND
    on |= Occasion.PROBE if probe is not None else on
    on |= Occasion.PROBE_MODELS if probe_models else on
    async with _open_checkup(ours, env_file, probe or "") as at:
        return await run_checks([check for check in planned_checks(at, on) if only is None or check.id in only])


async def log_findings(ours: Settings, on: Occasion, env_file: Path | None = None) -> None:
    async with _open_checkup(ours, env_file) as at:
        (await run_checks(planned_checks(at, on))).log()


@asynccontextmanager
async def _open_checkup(ours: Settings, env_file: Path | None = None, channel: str = "") -> AsyncIterator[Checkup]:
    async with new_session() as session:
        bot = SlackClient(ours.slack_bot_token, ours.slack_api_url, session)
        at = Checkup(ours, SystemClock(), session, bot, env_file, channel)
        try:
            yield at
        finally:
            await at.close()
