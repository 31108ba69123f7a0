"""Builds the bot from its settings. No other module connects services, stores and Slack.

`open_bot` opens everything that has to be closed again, in this order: the tools' servers, Slack's Web API, the
database, and the models. `_Parts` contains the objects that several services share. `_answering` builds the answering
service, `_listen` registers the handlers for Slack events and clicks, and `_loops` returns the background loops.
"""

import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.checks.daily import check_daily, retirement_sentences
from bot.checks.registry import BOT_TOKEN, CONNECTION, Checkup, log_startup_findings
from bot.checks.slack import refuse_organization
from bot.clock import Clock, Turns, keep_trying
from bot.core import texts
from bot.core.actions import ReplyAction
from bot.core.calls import NOTIFY, READ_CHANNEL, REMEMBER, SCHEDULE, SLACK
from bot.core.caps import CAP_MARK
from bot.core.channel_settings import DefaultSettings
from bot.core.outbox import OutboxKind
from bot.core.schedules import RUN_REPORT, parse_weekly_rule
from bot.core.sign_in_urls import SignInUrls
from bot.core.triage import Engagement, Identity, TriageRules
from bot.errors import StoreAway
from bot.mcp.config import HttpTransport
from bot.models.model import Models
from bot.models.prompt import TokenEstimate, WebSearch
from bot.models.registry import (
    all_accept_pdfs,
    decider_settings,
    max_output_tokens,
    models_that_search,
    open_models,
    provider_names,
    vendor_settings,
)
from bot.reply.style import ReplyStyle
from bot.reply.workspace import Workspace
from bot.services.access_control import AccessControl
from bot.services.admin_notices import (
    AdminNotices,
    ModelNotices,
    OtherConnections,
    Outages,
    ServerNotices,
    run_checks,
)
from bot.services.answer_attempt import AnswerAttempt, report_attempt
from bot.services.answering import Answering, AnswerSettings
from bot.services.canvas_writer import CanvasWriter
from bot.services.catching_up import CatchUp
from bot.services.channel_copy import ChannelCopyWriter
from bot.services.commands import AppHome, SlashCommands
from bot.services.decisions import Decisions
from bot.services.engagement import Gate, MessageTriage, QuietThreads
from bot.services.intake import Intake, MessageEdits, SharedTokens
from bot.services.kept_tests import KeptTestModal
from bot.services.memory import MemoryCommands
from bot.services.notifications import Notifier
from bot.services.notify import NotifyTool
from bot.services.operations import AUDIT_DAYS, Probes, RetentionRule, expire_hourly
from bot.services.outbox import Outbox
from bot.services.own_accounts import OwnAccounts
from bot.services.pane import AssistantPane, ThreadStatuses
from bot.services.ports import Ports, Tools
from bot.services.presses import PressChecker
from bot.services.prompt_builder import PromptSettings
from bot.services.quota import CapNotifications, CapSettings, Quota
from bot.services.reply_actions import ReplyActions
from bot.services.schedule_tool import ScheduleTool
from bot.services.scheduled_runs import ScheduledRuns
from bot.services.schedules import Schedules
from bot.services.shortcut import MessageShortcut, QuestionPosts, Reactions
from bot.services.sign_in import SignInModal
from bot.services.slack_conversation import SlackConversation
from bot.services.steps import Steps
from bot.services.stops import AnswerStopper
from bot.services.table_writer import TableWriter
from bot.services.tool_calls import Toolbox, expire_approvals
from bot.services.transcripts import Transcription
from bot.services.welcome import Welcome
from bot.services.worker import Worker
from bot.settings import (
    Settings,
    access_rules_of,
    has_telemetry,
    model_prices,
    model_setup,
    models_in_use,
    system_prompt_in_use,
    unpriced_models,
)
from bot.slack.client import (
    Credential,
    Installation,
    SlackClient,
    app_credential,
    bot_credential,
    new_session,
)
from bot.slack.socket import Sockets
from bot.slack.user_groups import AccessGroups
from bot.slack.views.accounts import ACCOUNTS
from bot.slack.views.kept_tests import KEEP_TEST
from bot.slack.views.memory import MEMORY, OPEN_MEMORY
from bot.store import Stores
from bot.telemetry import OFF, Telemetry
from handlers.actions import (
    register_buttons,
    register_caps,
    register_commands,
    register_modal,
    register_schedules,
    register_settings_button,
)
from handlers.messages import register_home_and_pane, register_messages

if TYPE_CHECKING:
    from bot.accounts.connections import Connections
    from bot.accounts.sign_ins import SignIns
    from bot.mcp.server import McpServers
    from bot.mcp.tools import McpTools
    from bot.models.transcription import Transcriber

WrapModels = Callable[[Models], Models]
Loop = Callable[[], Coroutine[None, None, None]]
Check = Callable[[], Awaitable[None]]
Answer = Callable[[AnswerAttempt], Awaitable[None]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bot:
    me: Identity
    worker: Worker
    sockets: Sockets
    outbox: Outbox
    loops: tuple[Loop, ...]
    mcp_servers: "McpServers | None"


@dataclass(frozen=True)
class _Parts:
    settings: Settings
    stores: Stores
    workspace: Workspace
    access: AccessControl
    notifier: Notifier
    statuses: ThreadStatuses
    estimate: TokenEstimate
    memory_commands: MemoryCommands
    quota: Quota
    caps: CapSettings
    home: AppHome
    sign_ins: "SignIns | None"
    schedules: Schedules


@asynccontextmanager
async def open_bot(
    settings: Settings, probes: Probes, clock: Clock, wrap: WrapModels, tools: Tools | None, telemetry: Telemetry
) -> AsyncIterator[Bot]:
    """Opens the bot, connected only to the database and Slack's Web API. Sets the probes."""
    async with AsyncExitStack() as stack:
        # Opened first so that it is closed last, when the processes that shutdown told to exit have exited.
        mcp_servers = await _mcp_servers(stack, settings, clock)
        session = await stack.enter_async_context(new_session())
        bot_token = bot_credential(clock)
        app_token = app_credential(clock)
        client = SlackClient(
            settings.slack_bot_token, settings.slack_api_url, session, bot_token.on_call_refused, telemetry
        )
        probes.problem = lambda: bot_token.problem or app_token.problem
        probes.token_refused = lambda: bot_token.is_refused
        checkup = Checkup(settings, clock, session, client)
        await log_startup_findings(checkup)
        installation = checkup.slack.installation = await bot_token.keep_trying(client.installation)
        refuse_organization(installation)
        await log_startup_findings(checkup, BOT_TOKEN)
        me = installation.identity
        stores = await _stores(settings, clock)
        stack.push_async_callback(stores.close)
        checkup.read = stores.database.read
        await log_startup_findings(checkup, BOT_TOKEN, CONNECTION)
        workspace = _workspace(settings, stores, client, installation, bot_token)
        parts = _parts(settings, stores, workspace, has_accounts=_has_accounts(settings))
        if parts.sign_ins is not None:
            probes.on_redirect = parts.sign_ins.on_redirect
        client.on_post(parts.statuses.on_posted)
        connections = _connections(stack, parts)
        mcp_tools = _mcp_tools(parts, mcp_servers, connections)
        admins = AdminNotices(stores.notifications, me.team_id, settings.admins)
        notices, checks = _outage_notices(parts, admins, mcp_tools, probes)
        models = wrap(
            await stack.enter_async_context(open_models(model_setup(settings), telemetry, on_result=notices.on_result))
        )
        transcriber = await _transcriber(stack, settings)
        answering = _answering(parts, models, _toolbox(parts, tools or mcp_tools), transcriber)
        can_be_queued = parts.access.can_be_queued
        answer = _with_asker_identity(parts, answering.answer)
        worker = Worker(stores, workspace, settings.drain_s, answer, can_be_queued, answering.pane)
        bolt = _bolt(settings, me)
        gate = await _gate(stack, parts)
        outbox, intake = _listen(bolt, parts, answering, worker, gate, mcp_tools)
        app_web = SlackClient(settings.slack_app_token, settings.slack_api_url, session, telemetry=telemetry)
        sockets = Sockets(bolt, app_web, settings.slack_app_token, app_token, clock)
        probes.problem = lambda: bot_token.problem or app_token.problem or sockets.problem()
        probes.database = stores.database.check
        probes.connections = sockets.up
        probes.live = lambda: worker.live
        probes.queued = stores.question_queue.count_queued
        catching_up = CatchUp(stores, workspace, intake, sockets.heard_at, settings.catch_up_hours)
        others = OtherConnections(
            sockets.app_connections, sockets.recount, stores.listening.living_workers, admins, clock
        )
        checks += [others.check, *_admin_reports(parts, checkup, admins)]
        loops: tuple[Loop, ...] = (
            *_loops(parts, worker, outbox, client, checkup, admins),
            partial(bot_token.watch, client.identity),
            partial(run_checks, checks, clock),
            catching_up.run,
            *_house_questions(parts, models, mcp_servers, admins),
            *([connections.run] if connections else []),
        )
        yield Bot(me, worker, sockets, outbox, loops, mcp_servers)


@asynccontextmanager
async def open_answering(settings: Settings, clock: Clock, *, has_tools: bool) -> AsyncIterator[Answering]:
    """Opens the answering service, without the loops that claim questions and show answers in Slack. `has_tools`:
    whether models get the MCP servers' tools, but not people's accounts. Models get no other tools. Raises
    SlackSetupError, RateLimited, Refused and StoreError."""
    async with AsyncExitStack() as stack:
        session, bot_token = await stack.enter_async_context(new_session()), bot_credential(clock)
        client = SlackClient(settings.slack_bot_token, settings.slack_api_url, session, bot_token.on_call_refused)
        installation = await bot_token.attempt(client.installation)
        stores = await Stores.open(settings.database_url, uuid4().hex, clock)
        stack.push_async_callback(stores.close)
        workspace = _workspace(settings, stores, client, installation, bot_token)
        parts = _parts(settings, stores, workspace, has_accounts=False)
        models = await stack.enter_async_context(open_models(model_setup(settings)))
        servers = await _mcp_servers(stack, settings, clock) if has_tools else None
        yield _answering(parts, models, Toolbox({}, _mcp_tools(parts, servers, None)), None)


def _workspace(
    settings: Settings, stores: Stores, client: SlackClient, installation: Installation, bot_token: Credential
) -> Workspace:
    enabled = {ReplyAction.SEND_TO_CHANNEL: settings.notify, ReplyAction.KEEP_TEST: bool(settings.house_questions)}
    return Workspace(
        installation.identity,
        client,
        ledger=stores.rate_ledger,
        worker_queue=stores.worker_queue,
        account_kinds=stores.account_kinds,
        open_now=stores.pane_context.read,
        clock=stores.clock,
        carrier=settings.carrier,
        scopes=installation.scopes,
        token_refused=lambda: bot_token.is_refused,
        sign_in_urls=_sign_in_urls(settings),
        style=ReplyStyle(admins=settings.admins),
        enabled_actions=frozenset(action for action, is_on in enabled.items() if is_on),
        reads_tabs=settings.read_tabs,
    )


async def _stores(settings: Settings, clock: Clock) -> Stores:
    """Opens the database. If its server is unavailable, waits for it, just as for Slack. Raises StoreError."""
    prices, most = model_prices(settings), settings.max_concurrent_per_user
    worker = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex}"
    opening = partial(Stores.open, settings.database_url, worker, clock, most, prices, settings.caps)
    return await keep_trying(opening, clock, "not started yet: the database is unavailable", StoreAway)


async def _gate(stack: AsyncExitStack, parts: _Parts) -> Gate | None:
    settings = decider_settings(model_setup(parts.settings))
    if settings is None:
        return None
    # Imported late, because it imports OpenAI's SDK.
    from bot.models.openai import Decider

    decider = await stack.enter_async_context(aclosing(Decider(settings)))
    return Gate(decider, parts.workspace, parts.quota, parts.estimate)


async def _transcriber(stack: AsyncExitStack, settings: Settings) -> "Transcriber | None":
    if not settings.transcribe:
        return None
    # Imported late, because it imports OpenAI's SDK.
    from bot.models.transcription import Transcriber

    vendor = settings.transcribe.partition("/")[0]
    server = vendor_settings(vendor, model_setup(settings))
    return await stack.enter_async_context(aclosing(Transcriber(server, settings.transcribe)))


@contextmanager
def open_telemetry(settings: Settings) -> Iterator[Telemetry]:
    """Opens a recorder for traces and, if a port serves them, for metrics. Without the SDK, nothing is recorded."""
    with_metrics = settings.health_at is not None and has_telemetry()
    if not (with_metrics or settings.traces_url):
        yield OFF
        return
    # Imported late, because it imports OpenTelemetry's SDK.
    from bot.telemetry_sdk import open_sdk

    with open_sdk(with_metrics=with_metrics, traces_url=settings.traces_url, providers=provider_names()) as telemetry:
        yield telemetry


async def _mcp_servers(stack: AsyncExitStack, settings: Settings, clock: Clock) -> "McpServers | None":
    if not settings.mcp.servers:
        return None
    # Imported late, because it imports the SDK, which takes 27 MB and half a second.
    from bot.mcp.server import open_servers

    return await stack.enter_async_context(open_servers(settings.mcp.servers, clock))


def _sign_in_urls(settings: Settings) -> SignInUrls:
    transports = (server.transport for server in settings.mcp.servers if settings.secret_keys)
    # Without a server's name, because all URLs with this prefix belong to sign-ins.
    return SignInUrls(one.sign_in.redirect_uri("") for one in transports if isinstance(one, HttpTransport))


def _has_accounts(settings: Settings) -> bool:
    transports = (server.transport for server in settings.mcp.servers if settings.secret_keys)
    return any(transport.can_need_sign_in for transport in transports)


def _sign_ins(settings: Settings, stores: Stores, workspace: Workspace, home: AppHome) -> "SignIns":
    # Imported late, because it imports the SDK and cryptography.
    from bot.accounts.sign_ins import SignIns

    keys, servers, telemetry = settings.secret_keys, settings.mcp.servers, workspace.telemetry
    return SignIns(stores.accounts, keys, servers, stores.clock, telemetry, on_change=home.on_changed)


def _connections(stack: AsyncExitStack, parts: _Parts) -> "Connections | None":
    if parts.sign_ins is None:
        return None
    from bot.accounts.connections import Connections

    servers = {server.name: server for server in parts.settings.mcp.servers}
    connections = Connections(parts.sign_ins, servers, parts.stores.clock)
    stack.push_async_callback(connections.close)
    return connections


def _parts(settings: Settings, stores: Stores, workspace: Workspace, *, has_accounts: bool) -> _Parts:
    notifier = Notifier(stores, workspace)
    rules = access_rules_of(settings)
    people = AccessGroups(workspace.paced, workspace.users, rules)
    access = AccessControl(rules, workspace.users, notifier, settings.admins, people)
    statuses = ThreadStatuses(workspace.pane, stores.clock, workspace.scheduler.show_stop_button)
    estimate = TokenEstimate(models_in_use(settings))
    memory_commands = MemoryCommands(stores, workspace, access)
    quota = build_quota(settings, stores, notifier)
    unpriced = tuple(map(settings.model_names.label, unpriced_models(settings)))
    caps = CapSettings(stores, workspace, settings.caps, unpriced, access)
    defaults, shown = default_settings(settings, workspace), settings_for_admins(settings)
    home = AppHome(stores, workspace, quota, caps, access, defaults, shown, has_accounts)
    sign_ins = _sign_ins(settings, stores, workspace, home) if has_accounts else None
    schedules = Schedules(stores, workspace, access, sign_ins)
    return _Parts(
        settings,
        stores,
        workspace,
        access,
        notifier,
        statuses,
        estimate,
        memory_commands,
        quota,
        caps,
        home,
        sign_ins,
        schedules,
    )


def _with_asker_identity(parts: _Parts, answer: Answer) -> Answer:
    settings = parts.settings
    if not settings.identity:
        return answer
    from bot.services.asker_identities import AskerIdentities

    placeholders = frozenset[str]().union(*settings.identity.values())
    return AskerIdentities(answer, parts.stores, parts.workspace, placeholders, settings.identifies_creators).answer


def _mcp_tools(parts: _Parts, servers: "McpServers | None", accounts: "Connections | None") -> "McpTools | None":
    if servers is None:
        return None
    from bot.mcp.tools import McpTools

    stores = parts.stores
    return McpTools(parts.settings.mcp, servers, stores.tool_pins.pin, stores.channel_settings.read, accounts)


def _toolbox(parts: _Parts, tools: Tools | None) -> Tools:
    servers = tuple(parts.sign_ins.servers.transports) if parts.sign_ins else ()
    proposals = ScheduleTool(parts.stores, parts.workspace, parts.access.admins, servers)
    own: dict[str, Tools] = {REMEMBER: parts.memory_commands, SCHEDULE: proposals}
    if parts.settings.notify:
        own[NOTIFY] = NotifyTool(parts.stores, parts.workspace)
    if parts.settings.slack_search:
        own[SLACK] = parts.workspace.search
    if parts.settings.read_channel:
        own[READ_CHANNEL] = parts.workspace.channel_reader
    return Toolbox(own, tools)


def _answering(parts: _Parts, models: Models, tools: Tools, transcriber: "Transcriber | None") -> Answering:
    settings, stores, workspace = parts.settings, parts.stores, parts.workspace
    quota = parts.quota
    prompts = PromptSettings(
        system_prompt_in_use(settings),
        settings.history_tokens,
        enabled_web_search(settings),
        reads_channel=settings.read_channel,
        needs_pdf_texts=not all_accept_pdfs(model_setup(settings)),
        step_tokens=lambda model: quota.prices.price_tier_tokens(model or quota.models[0], stores.clock.now()),
    )
    transcription = Transcription(stores, transcriber, quota)
    pane = AssistantPane(stores, workspace, parts.statuses)
    conversation = SlackConversation(stores, workspace, transcription)
    ports = Ports(stores.recorded_calls, conversation, tools, quota, stores.clock, workspace.telemetry)
    steps = Steps(ports, models, prompts, parts.estimate)
    answers = AnswerSettings(settings.done_mention_s, settings.model_names)
    report = partial(report_attempt, workspace.telemetry)
    return Answering(
        stores, workspace, steps, report, parts.access, quota, pane, parts.memory_commands, parts.schedules, answers
    )


def _listen(
    bolt: AsyncApp,
    parts: _Parts,
    answering: Answering,
    worker: Worker,
    gate: Gate | None,
    mcp_tools: "McpTools | None",
) -> tuple[Outbox, Intake]:
    """Registers all handlers. Returns the outbox, which posts questions from shortcuts, and the intake."""
    settings, stores, workspace, access = parts.settings, parts.stores, parts.workspace, parts.access
    quota, caps, home = parts.quota, parts.caps, parts.home
    stops = AnswerStopper(stores, workspace, worker, access)
    quiet_threads = QuietThreads(stores, workspace, parts.notifier, access)
    rules = TriageRules(
        Engagement(settings.engagement), allows_bots=access.can_allow_bots, alert_runs=settings.alert_runs
    )
    tokens = SharedTokens(workspace.search, stores.process_messages) if settings.slack_search else None
    triage = MessageTriage(stores, workspace, rules, quiet_threads, gate)
    intake = Intake(stores, workspace, worker, access, stops, triage, parts.notifier, tokens)
    runs = ScheduledRuns(stores, workspace, access, quota, parts.schedules)
    posts = QuestionPosts(stores, workspace, intake, access, runs)
    writers = {CAP_MARK: CapNotifications(stores, settings.admins).write, RUN_REPORT: runs.write}
    canvases = CanvasWriter(stores, workspace)
    copiers = {
        OutboxKind.MAKE_CANVAS: canvases,
        OutboxKind.SHARE_TABLES: TableWriter(stores, workspace),
        OutboxKind.SEND_TO_CHANNEL: ChannelCopyWriter(stores, workspace),
    }
    outbox = Outbox(stores, workspace, settings.admins, parts.notifier, writers, canvases, copiers, posts, runs)
    shortcut = MessageShortcut(stores, workspace, access, outbox.check_now)
    reactions = Reactions(stores, workspace, access, parts.notifier, shortcut)
    # Registered first, because Bolt asks one handler after another, and most events are messages.
    register_messages(bolt, intake, MessageEdits(stores, workspace, worker, intake), shortcut, reactions)
    presses = PressChecker(stores, workspace, access)
    decisions = Decisions(stores, workspace, worker, presses, shortcut, parts.schedules)
    keeping = KeptTestModal(stores, workspace, presses)
    actions = ReplyActions(stores, workspace, worker, presses, decisions, SignInModal(decisions), stops, keeping)
    turns = Turns()
    register_buttons(bolt, turns, actions, quiet_threads, workspace.me.team_id)
    accounts = OwnAccounts(stores, workspace, access, parts.sign_ins)
    subcommands = {
        "schedules": parts.schedules.on_command,
        "memory": parts.memory_commands.on_command,
        "accounts": accounts.on_command,
    }
    list_tools = mcp_tools.place_tools if mcp_tools else None
    commands = SlashCommands(stores, workspace, access, quota, caps, home.defaults, subcommands, list_tools)
    register_commands(bolt, turns, commands, shortcut)
    register_modal(bolt, turns, ACCOUNTS, accounts.sign_out, accounts.sign_everybody_out)
    register_settings_button(bolt, turns, OPEN_MEMORY, parts.memory_commands.open_on_settings)
    register_modal(bolt, turns, MEMORY, parts.memory_commands.save)
    register_modal(bolt, turns, KEEP_TEST, keeping.save)
    welcome = Welcome(stores, workspace, access, shortcut, settings.welcome, settings.read_channel)
    register_home_and_pane(bolt, turns, home, answering.pane, welcome)
    register_caps(bolt, turns, caps, home, workspace.me.team_id)
    register_schedules(bolt, turns, parts.schedules, home, workspace.me.team_id)
    return outbox, intake


def _loops(
    parts: _Parts, worker: Worker, outbox: Outbox, client: SlackClient, checkup: Checkup, admins: AdminNotices
) -> tuple[Loop, ...]:
    settings, stores, workspace = parts.settings, parts.stores, parts.workspace
    kept = (
        RetentionRule("texts", stores.erasure.expire, settings.retention_days),
        RetentionRule("audit entries", stores.erasure.expire_audit, AUDIT_DAYS),
    )
    return (
        workspace.scheduler.run,
        workspace.budget.watch,
        worker.send_heartbeats,
        outbox.run,
        partial(expire_hourly, kept, stores.clock, client.time_s),
        partial(check_daily, checkup, admins, stores.clock),
        partial(expire_approvals, stores.approvals.expire, stores.clock),
    )


def _outage_notices(
    parts: _Parts, admins: AdminNotices, mcp_tools: "McpTools | None", probes: Probes
) -> tuple[ModelNotices, list[Check]]:
    clock = parts.stores.clock
    outages = Outages(admins, clock, models_in_use(parts.settings))
    notices = ModelNotices(admins, outages, parts.estimate, clock)
    if mcp_tools is None:
        return notices, [notices.check, outages.check]
    servers = ServerNotices(outages, mcp_tools, parts.settings.mcp.servers)
    probes.servers = lambda: servers.states
    return notices, [notices.check, servers.check, outages.check]


def _admin_reports(parts: _Parts, checkup: Checkup, admins: AdminNotices) -> Iterator[Check]:
    # The reports are imported late, because few people use them.
    settings, is_direct_message = parts.settings, parts.workspace.surfaces.is_among_direct_messages
    if settings.weekly_report:
        from bot.services.weekly_report import WeeklyReport

        rule, retiring = parse_weekly_rule(settings.weekly_report), partial(retirement_sentences, checkup)
        yield WeeklyReport(rule, parts.stores, retiring, admins, is_direct_message).check
    if settings.cost_alert:
        from bot.services.cost_alert import CostAlert

        yield CostAlert(parts.stores, admins, settings.model_names, is_direct_message).check


def _house_questions(
    parts: _Parts, models: Models, servers: "McpServers | None", admins: AdminNotices
) -> Iterator[Loop]:
    settings = parts.settings
    if settings.runs_kept_tests:
        # Imported late, because few people use it.
        from bot.services.house_questions import HouseQuestions

        # Answers are the same as on the command line.
        alone = replace(parts, settings=replace(settings, web_search=None))
        answering = _answering(alone, models, Toolbox({}, _mcp_tools(parts, servers, None)), None)
        check = HouseQuestions(parse_weekly_rule(settings.house_questions), answering, admins).check
        yield partial(run_checks, [check], parts.stores.clock)


def _bolt(settings: Settings, me: Identity) -> AsyncApp:
    result = AuthorizeResult(
        enterprise_id=None,
        team_id=me.team_id,
        bot_token=settings.slack_bot_token,
        bot_id=me.bot_id,
        bot_user_id=me.user_id,
    )

    async def authorize() -> AuthorizeResult:
        """Returns the same result for every event, which saves an auth.test call per event."""
        return result

    return AsyncApp(
        # Without a name, Bolt reads its callers' source files to find one.
        name="typist",
        client=AsyncWebClient(base_url=settings.slack_api_url),
        authorize=authorize,
        logger=logging.getLogger("slack_bolt"),
        process_before_response=True,
        raise_error_for_unhandled_request=True,
        # An event about Typist's own post contains its location (services/shortcut.py).
        ignoring_self_events_enabled=False,
        request_verification_enabled=False,
        ssl_check_enabled=False,
        url_verification_enabled=False,
    )


def default_settings(settings: Settings, workspace: Workspace) -> DefaultSettings:
    return DefaultSettings(
        models_in_use(settings),
        system_prompt_in_use(settings),
        Engagement(settings.engagement),
        enabled_web_search(settings) is not None,
        settings.read_channel,
        decider_settings(model_setup(settings)) is not None,
        settings.mcp.names,
        workspace.can_read_reactions,
        settings.model_names,
        settings.alert_runs > 0,
    )


def enabled_web_search(settings: Settings) -> WebSearch | None:
    return settings.web_search if models_that_search(model_setup(settings)) else None


def settings_for_admins(settings: Settings) -> dict[str, str]:
    """Returns the settings that App Home shows to Typist admins, without URLs or secrets."""
    return texts.home.settings_for_admins(
        list(map(settings.model_names.label, models_in_use(settings))),
        ["members", *sorted(settings.allow_also)],
        settings.max_output_tokens,
        settings.max_concurrent_per_user,
        settings.retention_days,
    )


def build_quota(settings: Settings, stores: Stores, notifier: Notifier) -> Quota:
    max_tokens = max_output_tokens(model_setup(settings))
    prices, models = model_prices(settings), models_in_use(settings)
    return Quota(stores, notifier, settings.caps, models, max_tokens, prices, settings.admins)
