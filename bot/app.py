"""Builds the bot from its settings, runs it, and ends it within bounds.

`built` is the only place that wires services, stores and Slack together; providers/registry.py builds the models. `run`
lasts from the start to the last answer: it serves /health, connects, runs the loops, and drains on a signal.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.core import texts
from bot.core.carriers import CarrierSetting
from bot.core.conversation import WebSearch
from bot.core.inbound.channel_settings import DefaultSettings
from bot.core.inbound.tokens import TokenEstimate, room_for_results
from bot.core.inbound.triage import Identity, TriageRules
from bot.core.lease import Lease
from bot.core.limits.access import AccessRules
from bot.core.tools import SLACK
from bot.ports.clock import Clock, SystemClock
from bot.ports.ephemeral_messages import EphemeralMessages
from bot.ports.models import Models
from bot.ports.prices import Prices
from bot.ports.tools import Tools
from bot.providers.registry import max_output_tokens, models_that_search, open_models
from bot.services import metrics
from bot.services.access_control import AccessControl
from bot.services.answering import Answering
from bot.services.app_home import AppHome
from bot.services.approval_expiry import expire_approvals
from bot.services.assistant_pane import AssistantPane
from bot.services.health import Probes, serving
from bot.services.intake import Intake
from bot.services.loops import kept_running
from bot.services.message_edits import MessageEdits
from bot.services.message_shortcut import MessageShortcut
from bot.services.outbox import Outbox
from bot.services.prompt_builder import PromptBuilder, PromptSettings
from bot.services.quota import Quota
from bot.services.reply_actions import ReplyActions
from bot.services.retention import expire_texts
from bot.services.shared_tokens import SharedTokens
from bot.services.slash_commands import SlashCommands
from bot.services.thread_statuses import ThreadStatuses
from bot.services.tool_calls import ToolCalls
from bot.services.toolbox import Toolbox
from bot.services.worker import Capacity, Worker
from bot.settings import Settings, model_prices, model_setup, models_in_use, system_prompt_in_use
from bot.slack.checks import warn_of_setup
from bot.slack.client import SlackClient, new_session
from bot.slack.credentials import app_credential, bot_credential
from bot.slack.search import SlackSearch
from bot.slack.socket import Sockets
from bot.slack.surfaces import SlackSurfaces
from bot.slack.workspace import Workspace
from bot.store import Stores
from bot.store.teams import adopt
from handlers import app_home_and_pane, messages, reply_actions, slash_commands

if TYPE_CHECKING:
    from bot.mcp.server import McpServers

LAST_TASKS_S = 1.0
"""How long the other tasks get to end once live answers have ended or were handed over."""

MACHINES_CLOCK = SystemClock()

WrapModels = Callable[[Models], Models]

log = logging.getLogger(__name__)


def _as_they_are(models: Models) -> Models:
    return models


@dataclass(frozen=True)
class Bot:
    """The parts of a built bot that run."""

    me: Identity
    worker: Worker
    sockets: Sockets
    shortcut: MessageShortcut
    loops: tuple[Callable[[], Coroutine[None, None, None]], ...]
    """Run from the start until the last answer has ended."""
    mcp_servers: "McpServers | None"
    """None if there are none."""


@asynccontextmanager
async def built(
    settings: Settings, probes: Probes, clock: Clock, wrap: WrapModels, tools: Tools | None
) -> AsyncIterator[Bot]:
    """Yields the bot, connected to its database and Slack's Web API only. Sets the probes of /health."""
    async with AsyncExitStack() as stack:
        # First, so that it closes last: by then, the processes that `_end` has told to end are gone.
        mcp_servers = await stack.enter_async_context(_mcp_servers(settings, clock))
        session = await stack.enter_async_context(new_session())
        bot_token, app_token = bot_credential(clock), app_credential(clock)
        client = SlackClient(settings.slack_bot_token, settings.slack_api_url, session, bot_token.call_refused)
        probes.problem = lambda: bot_token.problem or app_token.problem
        probes.token_refused = lambda: bot_token.refused
        installation = await bot_token.insist(client.installation)
        warn_of_setup(installation, clock.now(), search=settings.slack_search)
        _warn_of_web_search(settings)
        me = installation.identity
        prices = model_prices(settings)
        stores = await Stores.open(settings.database_url, uuid4().hex, clock, settings.max_concurrent_per_user, prices)
        stack.push_async_callback(stores.close)
        await adopt(stores.database, me.team_id)
        tools = tools or _mcp_tools(settings, mcp_servers, stores)
        lease = Lease()
        workspace = Workspace(
            me,
            client,
            ledger=stores.rate_ledger,
            records=stores.worker_queue,
            lease=lease,
            clock=clock,
            edit_budget=settings.edit_budget,
            carrier=CarrierSetting(settings.carrier),
        )
        access = AccessControl(
            access_rules_of(settings), workspace.users, workspace.ephemeral, stores.notices, stores.bot_questions
        )
        estimate = TokenEstimate(models_in_use(settings))
        statuses = ThreadStatuses(workspace.pane, stores.queue, clock, me.team_id)
        client.posted = statuses.posted
        search = workspace.search if settings.slack_search else None
        toolbox = _toolbox(search, tools)
        answering = Answering(
            jobs=stores.worker_queue,
            replies=workspace.scheduler,
            prompt_builder=PromptBuilder(
                recorded=stores.recorded_answers,
                questions=stores.queue,
                channel_settings=stores.channel_settings,
                pane_context=stores.pane_context,
                group_threads=stores.participants,
                history=workspace.history,
                files=workspace.files,
                clock=clock,
                me=me,
                settings=PromptSettings(
                    system_prompt_in_use(settings), settings.history_tokens, web_search_of(settings)
                ),
                estimate=estimate,
            ),
            models=wrap(await stack.enter_async_context(open_models(model_setup(settings)))),
            clock=clock,
            me=me,
            estimate=estimate,
            metrics=metrics.logged,
            access_control=access,
            participants=stores.participants,
            token_refused=lambda: bot_token.refused,
            tool_calls=ToolCalls(toolbox, stores.tool_steps, workspace.users, clock),
            max_steps=settings.max_steps,
            results_tokens=room_for_results(settings.history_tokens),
            admins=settings.admins,
            done_ping_s=settings.done_ping_s,
            quota=quota_of(settings, prices, stores, workspace.ephemeral, clock),
            prices=prices,
            pane=AssistantPane(
                stores.notices, stores.pane_context, workspace.pane, me, settings.suggested_prompts, statuses
            ),
        )
        worker = Worker(
            queue=stores.worker_queue,
            waiting=stores.queue,
            replies=workspace.scheduler,
            lease=lease,
            clock=clock,
            capacity=Capacity(settings.max_concurrent, settings.drain_s),
            answer=answering.answer,
            admits=access.admits,
            queued=statuses.queued,
            token_refused=lambda: bot_token.refused,
        )
        bolt = _bolt(settings, me)
        rules = TriageRules(settings.mention_only, access.may_admit_bots)
        surfaces = workspace.surfaces
        actions = ReplyActions(
            jobs=stores.queue,
            answers=stores.recorded_answers,
            worker=worker,
            access_control=access,
            admins=settings.admins,
            responses=surfaces,
            approvals=stores.tool_steps,
            modals=surfaces,
            history=workspace.history,
            clock=clock,
        )
        reply_actions.register(bolt, actions, me.team_id)
        tokens = SharedTokens(search, stores.process_messages) if search is not None else None
        intake = Intake(
            stores.queue, stores.participants, stores.channel_settings, worker, access, actions, me, rules, tokens
        )
        shortcut = MessageShortcut(stores.message_questions, surfaces, surfaces, intake, clock, me)
        _beside_messages(bolt, settings, stores, surfaces, shortcut, answering)
        messages.register(bolt, intake, MessageEdits(stores.queue, worker, intake, me), shortcut)
        app_web = SlackClient(settings.slack_app_token, settings.slack_api_url, session)
        sockets = Sockets(bolt, app_web, settings.slack_app_token, app_token)
        probes.database, probes.connections, probes.live = stores.database.ping, sockets.up, lambda: worker.live
        loops = (
            workspace.scheduler.run,
            workspace.budget.watch,
            worker.stay_alive,
            Outbox(stores.outbox, workspace.outbox_sender, workspace.scheduler, clock, settings.admins).run,
            shortcut.run,
            partial(expire_texts, stores.erasure, clock, settings.retention_days),
            partial(expire_approvals, stores.tool_steps, clock),
            partial(bot_token.watch, client.identity),
        )
        yield Bot(me, worker, sockets, shortcut, loops, mcp_servers)


@asynccontextmanager
async def _mcp_servers(settings: Settings, clock: Clock) -> AsyncIterator["McpServers | None"]:
    if not settings.mcp.servers:
        yield None
        return
    # Only now: it imports the SDK, which takes 27 MB and half a second.
    from bot.mcp.server import open_servers

    async with open_servers(settings.mcp.servers, clock) as servers:
        yield servers


def _mcp_tools(settings: Settings, servers: "McpServers | None", stores: Stores) -> Tools | None:
    if servers is None:
        return None
    from bot.mcp.tools import McpTools

    return McpTools(settings.mcp, servers, stores.tool_pins, stores.channel_settings)


def _beside_messages(
    bolt: AsyncApp,
    settings: Settings,
    stores: Stores,
    slack: SlackSurfaces,
    shortcut: MessageShortcut,
    answering: Answering,
) -> None:
    """Registers the listeners for commands, modals, App Home and the pane, which share parts with answering."""
    me, quota = answering.me, answering.quota
    defaults, admins = default_settings_of(settings), settings.admins
    commands = SlashCommands(
        channel_settings=stores.channel_settings,
        modals=slack,
        responses=slack,
        channels=slack,
        access_control=answering.access_control,
        quota=quota,
        me=me,
        defaults=defaults,
        admins=admins,
    )
    home = AppHome(stores.usage, slack, quota, answering.clock, me, defaults, admins, shown_to_admins(settings))
    slash_commands.register(bolt, commands, shortcut)
    app_home_and_pane.register(bolt, home, answering.pane)


def default_settings_of(settings: Settings) -> DefaultSettings:
    """Returns the settings that apply where a channel has none of its own."""
    return DefaultSettings(
        models_in_use(settings),
        system_prompt_in_use(settings),
        settings.mention_only,
        web_search_of(settings) is not None,
        settings.mcp.names,
    )


def web_search_of(settings: Settings) -> WebSearch | None:
    """Returns the web search that prompts may ask for; None if BOT_WEB_SEARCH is off or no model can search."""
    may_search = settings.web_search and models_that_search(model_setup(settings))
    return WebSearch(settings.web_search_domains) if may_search else None


def _warn_of_web_search(settings: Settings) -> None:
    """Logs the models that can't search the web, although BOT_WEB_SEARCH is on."""
    if not settings.web_search:
        return
    able = models_that_search(model_setup(settings))
    for model in models_in_use(settings):
        if model not in able:
            log.warning("BOT_WEB_SEARCH has no effect on %s: its server has no web search of its own", model)


def shown_to_admins(settings: Settings) -> dict[str, str]:
    """Returns the settings that App Home shows to Typist admins: no address and no secret."""
    return texts.settings_for_admins(
        models_in_use(settings),
        ["members", *sorted(settings.allow_also)],
        settings.max_output_tokens,
        settings.max_concurrent_per_user,
        settings.retention_days,
    )


def access_rules_of(settings: Settings) -> AccessRules:
    """Returns the settings' access rules."""
    return AccessRules(
        settings.allow_also,
        settings.allow_users,
        settings.deny_users,
        settings.allow_channels,
        settings.deny_channels,
    )


def quota_of(settings: Settings, prices: Prices, stores: Stores, ephemeral: EphemeralMessages, clock: Clock) -> Quota:
    """Builds the quota from the settings' caps."""
    models, max_tokens = models_in_use(settings), max_output_tokens(model_setup(settings))
    return Quota(settings.caps, models, max_tokens, prices, stores.usage, stores.notices, ephemeral, clock)


def _toolbox(search: SlackSearch | None, tools: Tools | None) -> Tools | None:
    if search is None or tools is None:
        return search or tools
    return Toolbox({SLACK: search}, tools)


@dataclass(frozen=True)
class Shutdown:
    """The events that end the bot."""

    requested: asyncio.Event = field(default_factory=asyncio.Event)
    """Claim nothing more and let live answers end."""
    at_once: asyncio.Event = field(default_factory=asyncio.Event)
    """Don't wait for live answers any longer."""


async def run(
    settings: Settings,
    shutdown: Shutdown,
    ready: Callable[[Bot], None],
    clock: Clock = MACHINES_CLOCK,
    wrap_models: WrapModels = _as_they_are,
    tools: Tools | None = None,
) -> None:
    """Runs the bot until `shutdown`. /health is served from the start and says what startup is waiting for.

    `wrap_models` returns what answers in place of the settings' models. The sandbox adds its showcase.
    `tools`: what models may ask for, in place of the tools of BOT_MCP_CONFIG.
    """
    probes = Probes()
    async with AsyncExitStack() as stack:
        if settings.health_port is not None:
            await stack.enter_async_context(serving(settings.health_port, probes))
        bot = await _built_unless_stopped(built(settings, probes, clock, wrap_models, tools), stack, shutdown.requested)
        if bot is not None:
            await _run(bot, shutdown, ready)


async def _built_unless_stopped(
    building: AbstractAsyncContextManager[Bot], stack: AsyncExitStack, stop: asyncio.Event
) -> Bot | None:
    """Returns the bot, or None if a signal came first: startup may wait for Slack for hours."""
    loop, patience = asyncio.get_running_loop(), asyncio.timeout(None)

    async def give_up() -> None:
        await stop.wait()
        patience.reschedule(loop.time())

    try:
        async with patience:
            giving_up = asyncio.create_task(give_up())
            try:
                return await stack.enter_async_context(building)
            finally:
                giving_up.cancel()
    except TimeoutError:
        if not patience.expired():
            raise
        log.info("startup canceled by a signal")
        return None


async def _run(bot: Bot, shutdown: Shutdown, ready: Callable[[Bot], None]) -> None:
    """Runs a built bot from connecting to its end."""
    stop = asyncio.create_task(shutdown.requested.wait())
    opening = asyncio.create_task(bot.sockets.open())
    working = asyncio.create_task(kept_running(bot.worker.run))
    others = [asyncio.create_task(kept_running(loop)) for loop in bot.loops]
    try:
        ended, _ = await asyncio.wait((stop, opening, working, *others), return_when=asyncio.FIRST_COMPLETED)
        if opening in ended:
            opening.result()
            ready(bot)
            ended, _ = await asyncio.wait((stop, working, *others), return_when=asyncio.FIRST_COMPLETED)
        for task in ended:
            task.result()
    finally:
        await _end(bot, working, [stop, opening, *others], shutdown)


async def _end(bot: Bot, working: asyncio.Task[None], others: list[asyncio.Task[Any]], shutdown: Shutdown) -> None:
    """Ends the bot in bounded steps, so that it ends in time even if Slack, a model or the database doesn't answer."""
    bot.worker.stop()
    closing = asyncio.create_task(bot.sockets.close())
    await bot.worker.drain(working, shutdown.at_once)
    if not shutdown.at_once.is_set():
        await bot.shortcut.end(bot.worker.left_s)
    for task in (working, *others):
        task.cancel()
    # Together: an attempt that is handed over may wait for its last call, which the edit scheduler's loop ends.
    await bot.worker.hand_over()
    if bot.mcp_servers is not None:
        others = [*others, asyncio.create_task(bot.mcp_servers.close())]
    _, late = await asyncio.wait((closing, working, *others), timeout=LAST_TASKS_S)
    for task in late:
        task.cancel()


def _bolt(settings: Settings, me: Identity) -> AsyncApp:
    result = AuthorizeResult(
        enterprise_id=None,
        team_id=me.team_id,
        bot_token=settings.slack_bot_token,
        bot_id=me.bot_id,
        bot_user_id=me.user_id,
    )

    async def authorize() -> AuthorizeResult:
        """Returns the same result for each event, which saves an auth.test per event."""
        return result

    return AsyncApp(
        # Without a name, Bolt reads the sources of all its callers to find one.
        name="typist",
        client=AsyncWebClient(base_url=settings.slack_api_url),
        authorize=authorize,
        logger=logging.getLogger("slack_bolt"),
        process_before_response=True,
        raise_error_for_unhandled_request=True,
        # An event about our own post says where it is (services/message_shortcut.py).
        ignoring_self_events_enabled=False,
        request_verification_enabled=False,
        ssl_check_enabled=False,
        url_verification_enabled=False,
    )
