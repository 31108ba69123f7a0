"""Builds the bot from its settings: the only place that wires services, stores and Slack together.

`built` opens what has to be closed, in order: the tools' servers, Slack's Web API, the database, the models. `_Parts`
has what several services share. Each function below builds one service from it; `_listen` registers the listeners.
"""

import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from bot.clock import Clock
from bot.core import texts
from bot.core.carriers import CarrierSetting
from bot.core.conversation import WebSearch
from bot.core.inbound.channel_settings import DefaultSettings
from bot.core.inbound.engagement import Engagement, TriageRules
from bot.core.inbound.tokens import TokenEstimate, room_for_results
from bot.core.inbound.triage import Identity
from bot.core.lease import Lease
from bot.core.limits.access import AccessRules
from bot.core.tools import SLACK
from bot.prices import ModelPrices
from bot.providers.models import Models
from bot.providers.registry import (
    all_take_pdfs,
    decider_settings,
    max_output_tokens,
    models_that_search,
    open_models,
    resolved,
)
from bot.services import metrics
from bot.services.access_control import AccessControl
from bot.services.answering import Answering
from bot.services.app_home import AppHome
from bot.services.approval_expiry import expire_approvals
from bot.services.assistant_pane import AssistantPane
from bot.services.audit import seal_entries
from bot.services.canvas_writer import CanvasWriter
from bot.services.cap_notices import CapNotices
from bot.services.cap_settings import CapSettings
from bot.services.choices import ChoicePresses
from bot.services.gate import Gate
from bot.services.health import Probes
from bot.services.intake import Intake
from bot.services.message_edits import MessageEdits
from bot.services.message_shortcut import MessageShortcut
from bot.services.outbox import Outbox
from bot.services.private_notices import PrivateNotices
from bot.services.prompt_builder import PromptBuilder, PromptSettings
from bot.services.quiet_threads import QuietThreads
from bot.services.quota import Quota
from bot.services.reactions import Reactions
from bot.services.reply_actions import ReplyActions
from bot.services.retention import Kept, expire_old
from bot.services.shared_tokens import SharedTokens
from bot.services.slash_commands import SlashCommands
from bot.services.thread_statuses import ThreadStatuses
from bot.services.tool_calls import ToolCalls
from bot.services.toolbox import Toolbox, Tools
from bot.services.transcription import Transcription
from bot.services.worker import Capacity, Worker
from bot.settings import Settings, model_prices, model_setup, models_in_use, system_prompt_in_use, unpriced_models
from bot.slack.checks import log_setup
from bot.slack.client import Installation, SlackClient, new_session
from bot.slack.credentials import app_credential, bot_credential
from bot.slack.ephemeral_messages import EphemeralMessages
from bot.slack.socket import Sockets
from bot.slack.workspace import Workspace
from bot.store import Stores
from bot.telemetry import OFF, Telemetry
from handlers import app_home_and_pane, caps, messages, reply_actions, slash_commands

if TYPE_CHECKING:
    from bot.mcp.server import McpServers
    from bot.providers.transcription import Transcriber

WrapModels = Callable[[Models], Models]
Loop = Callable[[], Coroutine[None, None, None]]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bot:
    """The parts of a built bot that run."""

    me: Identity
    worker: Worker
    sockets: Sockets
    shortcut: MessageShortcut
    loops: tuple[Loop, ...]
    """Run from the start until the last answer has ended."""
    mcp_servers: "McpServers | None"
    """None if there are none."""


@dataclass(frozen=True)
class _Parts:
    """What several services share."""

    settings: Settings
    clock: Clock
    me: Identity
    token_refused: Callable[[], bool]
    stores: Stores
    prices: ModelPrices
    lease: Lease
    workspace: Workspace
    access: AccessControl
    statuses: ThreadStatuses
    estimate: TokenEstimate
    telemetry: Telemetry


@asynccontextmanager
async def built(
    settings: Settings, probes: Probes, clock: Clock, wrap: WrapModels, tools: Tools | None, telemetry: Telemetry
) -> AsyncIterator[Bot]:
    """Yields the bot, connected to its database and Slack's Web API only. Sets the probes."""
    async with AsyncExitStack() as stack:
        # First, so that it closes last: by then, the processes that the bot's end has told to end are gone.
        mcp_servers = await stack.enter_async_context(_mcp_servers(settings, clock))
        session = await stack.enter_async_context(new_session())
        bot_token = bot_credential(clock)
        app_token = app_credential(clock)
        client = SlackClient(
            settings.slack_bot_token, settings.slack_api_url, session, bot_token.call_refused, telemetry
        )
        probes.problem = lambda: bot_token.problem or app_token.problem
        probes.token_refused = lambda: bot_token.refused
        installation = await bot_token.insist(client.installation)
        log_setup(installation, clock.now(), search=settings.slack_search)
        _warn_of_web_search(settings)
        me = installation.identity
        prices = model_prices(settings)
        stores = await Stores.open(
            settings.database_url, uuid4().hex, clock, settings.max_concurrent_per_user, prices, settings.caps
        )
        stack.push_async_callback(stores.close)
        parts = _parts(
            settings, stores.clock, installation, client, stores, prices, lambda: bot_token.refused, telemetry
        )
        toolbox = _toolbox(parts, tools or _mcp_tools(settings, mcp_servers, stores))
        models = wrap(await stack.enter_async_context(open_models(model_setup(settings), telemetry)))
        transcriber = await stack.enter_async_context(_transcriber(settings))
        answering = _answering(parts, models, toolbox, transcriber)
        worker = _worker(parts, answering)
        bolt = _bolt(settings, me)
        gate = await stack.enter_async_context(_gate(parts, answering.quota))
        shortcut = _listen(bolt, parts, answering, worker, gate)
        app_web = SlackClient(settings.slack_app_token, settings.slack_api_url, session, telemetry=telemetry)
        sockets = Sockets(bolt, app_web, settings.slack_app_token, app_token, clock)
        probes.problem = lambda: bot_token.problem or app_token.problem or sockets.problem()
        probes.database = stores.database.ping
        probes.connections = sockets.up
        probes.live = lambda: worker.live
        probes.waiting = stores.queue.count_waiting
        watch: Loop = partial(bot_token.watch, client.identity)
        yield Bot(me, worker, sockets, shortcut, (*_loops(parts, worker, shortcut, client), watch), mcp_servers)


@asynccontextmanager
async def _gate(parts: _Parts, quota: Quota) -> AsyncIterator[Gate | None]:
    settings = decider_settings(model_setup(parts.settings))
    if settings is None:
        yield None
        return
    # Only now: it imports OpenAI's SDK.
    from bot.providers.decisions import Decider

    async with aclosing(Decider(settings)) as decider:
        yield Gate(decider, parts.workspace.history, quota, parts.estimate, parts.me)


@asynccontextmanager
async def _transcriber(settings: Settings) -> AsyncIterator["Transcriber | None"]:
    if not settings.transcribe:
        yield None
        return
    # Only now: it imports OpenAI's SDK.
    from bot.providers.transcription import Transcriber

    vendor = settings.transcribe.partition("/")[0]
    async with aclosing(Transcriber(resolved(vendor, model_setup(settings)), settings.transcribe)) as transcriber:
        yield transcriber


@contextmanager
def telemetry_of(settings: Settings) -> Iterator[Telemetry]:
    """Yields what records metrics and traces, if they are on."""
    if not (settings.metrics or settings.traces_url):
        yield OFF
        return
    # Only now: it imports OpenTelemetry's SDK.
    from bot.telemetry_sdk import opened

    with opened(with_metrics=settings.metrics, traces_url=settings.traces_url) as telemetry:
        yield telemetry


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

    return McpTools(settings.mcp, servers, stores.tool_pins.pin, stores.channel_settings.read)


def _parts(
    settings: Settings,
    clock: Clock,
    installation: Installation,
    client: SlackClient,
    stores: Stores,
    prices: ModelPrices,
    token_refused: Callable[[], bool],
    telemetry: Telemetry,
) -> _Parts:
    lease = Lease()
    me = installation.identity
    workspace = Workspace(
        me,
        client,
        ledger=stores.rate_ledger,
        records=stores.worker_queue,
        lease=lease,
        clock=clock,
        edit_budget=settings.edit_budget,
        carrier=CarrierSetting(settings.carrier),
        telemetry=telemetry,
        scopes=installation.scopes,
    )
    access = AccessControl(
        access_rules_of(settings),
        workspace.users,
        PrivateNotices(workspace.ephemeral, stores.notices),
        settings.admins,
    )
    statuses = ThreadStatuses(workspace.pane, stores.queue, clock, me.team_id)
    client.posted = statuses.posted
    estimate = TokenEstimate(models_in_use(settings))
    return _Parts(
        settings, clock, me, token_refused, stores, prices, lease, workspace, access, statuses, estimate, telemetry
    )


def _toolbox(parts: _Parts, tools: Tools | None) -> Tools | None:
    """Returns what models may ask for: Slack's search, other tools, both, or nothing."""
    if not parts.settings.slack_search:
        return tools
    return Toolbox({SLACK: parts.workspace.search}, tools) if tools is not None else parts.workspace.search


def _prompt_builder(parts: _Parts, transcription: Transcription) -> PromptBuilder:
    settings, stores, workspace = parts.settings, parts.stores, parts.workspace
    return PromptBuilder(
        recorded=stores.recorded_answers,
        questions=stores.queue,
        channel_settings=stores.channel_settings,
        pane_context=stores.pane_context,
        group_threads=stores.participants,
        history=workspace.history,
        users=workspace.users,
        files=workspace.files,
        canvases=workspace.canvases,
        clock=parts.clock,
        me=parts.me,
        settings=PromptSettings(
            system_prompt_in_use(settings),
            settings.history_tokens,
            web_search_of(settings),
            pdf_texts=not all_take_pdfs(model_setup(settings)),
        ),
        estimate=parts.estimate,
        transcription=transcription,
    )


def _answering(parts: _Parts, models: Models, tools: Tools | None, transcriber: "Transcriber | None") -> Answering:
    settings, stores, workspace = parts.settings, parts.stores, parts.workspace
    quota = quota_of(settings, parts.prices, stores, workspace.ephemeral, parts.clock)
    return Answering(
        jobs=stores.worker_queue,
        replies=workspace.scheduler,
        prompt_builder=_prompt_builder(parts, Transcription(transcriber, stores.transcripts, quota, parts.clock)),
        models=models,
        clock=parts.clock,
        me=parts.me,
        estimate=parts.estimate,
        metrics=partial(metrics.report, parts.telemetry),
        access_control=parts.access,
        participants=stores.participants,
        token_refused=parts.token_refused,
        tool_calls=ToolCalls(
            tools, stores.recorded_calls, workspace.users, parts.clock, parts.telemetry, settings.choices
        ),
        max_steps=settings.max_steps,
        offers_canvases=workspace.canvases.may_write,
        results_tokens=room_for_results(settings.history_tokens),
        admins=settings.admins,
        done_ping_s=settings.done_ping_s,
        quota=quota,
        prices=parts.prices,
        pane=AssistantPane(
            stores.notices, stores.pane_context, workspace.pane, parts.me, settings.suggested_prompts, parts.statuses
        ),
    )


def _worker(parts: _Parts, answering: Answering) -> Worker:
    return Worker(
        queue=parts.stores.worker_queue,
        questions=parts.stores.queue,
        replies=parts.workspace.scheduler,
        lease=parts.lease,
        clock=parts.clock,
        capacity=Capacity(parts.settings.max_concurrent, parts.settings.drain_s),
        answer=answering.answer,
        allows=parts.access.allows,
        queued=answering.pane.queued,
        token_refused=parts.token_refused,
        telemetry=parts.telemetry,
    )


def _listen(bolt: AsyncApp, parts: _Parts, answering: Answering, worker: Worker, gate: Gate | None) -> MessageShortcut:
    """Registers all listeners. Returns the message shortcut, which has a loop and an end of its own."""
    stores, surfaces, me = parts.stores, parts.workspace.surfaces, parts.me
    actions = _reply_actions(parts, worker)
    private_notices = PrivateNotices(parts.workspace.ephemeral, stores.notices)
    quiet_threads = QuietThreads(stores.participants, private_notices, surfaces, parts.settings.admins, me)
    intake = _intake(parts, actions, quiet_threads, worker, gate)
    history, users = parts.workspace.history, parts.workspace.users
    shortcut = MessageShortcut(
        stores.message_questions, surfaces, intake, history, users, parts.access, parts.clock, me
    )
    choices = ChoicePresses(actions, shortcut, parts.access)
    reply_actions.register(bolt, actions, choices, quiet_threads, me.team_id)
    cap_settings = _cap_settings(parts)
    slash_commands.register(bolt, _slash_commands(parts, answering.quota, cap_settings), shortcut)
    home = _app_home(parts, answering.quota, cap_settings)
    app_home_and_pane.register(bolt, home, answering.pane)
    caps.register(bolt, cap_settings, home, me.team_id)
    reactions = Reactions(stores.channel_settings, users, parts.access, private_notices, shortcut, parts.clock, me)
    messages.register(bolt, intake, MessageEdits(stores.queue, worker, intake, me), shortcut, reactions)
    return shortcut


def _reply_actions(parts: _Parts, worker: Worker) -> ReplyActions:
    return ReplyActions(
        jobs=parts.stores.queue,
        answers=parts.stores.recorded_answers,
        worker=worker,
        access_control=parts.access,
        admins=parts.settings.admins,
        surfaces=parts.workspace.surfaces,
        approvals=parts.stores.approvals,
        users=parts.workspace.users,
        clock=parts.clock,
        canvases=parts.stores.answer_canvases,
        may_write_canvases=parts.workspace.canvases.may_write,
    )


def _intake(
    parts: _Parts, actions: ReplyActions, quiet_threads: QuietThreads, worker: Worker, gate: Gate | None
) -> Intake:
    settings, stores = parts.settings, parts.stores
    rules = TriageRules(Engagement(settings.engagement), bots=parts.access.may_allow_bots)
    tokens = SharedTokens(parts.workspace.search, stores.process_messages) if settings.slack_search else None
    return Intake(
        stores.queue,
        stores.participants,
        stores.channel_settings,
        worker,
        parts.access,
        actions,
        quiet_threads,
        parts.me,
        rules,
        tokens,
        gate,
    )


def _cap_settings(parts: _Parts) -> CapSettings:
    settings, stores = parts.settings, parts.stores
    unpriced = unpriced_models(settings)
    surfaces, admins = parts.workspace.surfaces, settings.admins
    return CapSettings(stores.caps, stores.usage, surfaces, parts.me, settings.caps, unpriced, admins)


def _slash_commands(parts: _Parts, quota: Quota, cap_settings: CapSettings) -> SlashCommands:
    surfaces = parts.workspace.surfaces
    return SlashCommands(
        channel_settings=parts.stores.channel_settings,
        approvals=parts.stores.approvals,
        surfaces=surfaces,
        access_control=parts.access,
        quota=quota,
        caps=cap_settings,
        me=parts.me,
        defaults=default_settings_of(parts.settings, parts.workspace),
        admins=parts.settings.admins,
    )


def _app_home(parts: _Parts, quota: Quota, cap_settings: CapSettings) -> AppHome:
    settings = parts.settings
    return AppHome(
        usage=parts.stores.usage,
        tab=parts.workspace.surfaces,
        quota=quota,
        caps=cap_settings,
        access_control=parts.access,
        clock=parts.clock,
        me=parts.me,
        defaults=default_settings_of(settings, parts.workspace),
        admins=settings.admins,
        settings=shown_to_admins(settings),
    )


def _outbox(parts: _Parts) -> Outbox:
    stores, workspace, admins = parts.stores, parts.workspace, parts.settings.admins
    notices = CapNotices(stores.notices, stores.usage, workspace.outbox_sender, parts.clock, admins)
    canvases = CanvasWriter(
        stores.recorded_answers,
        stores.answer_canvases,
        workspace.canvases,
        workspace.outbox_sender,
        workspace.ephemeral,
    )
    sender, replies, users = workspace.outbox_sender, workspace.scheduler, workspace.users
    return Outbox(stores.outbox, sender, replies, parts.clock, admins, notices, users, canvases)


def _loops(parts: _Parts, worker: Worker, shortcut: MessageShortcut, client: SlackClient) -> tuple[Loop, ...]:
    clock, stores, workspace = parts.clock, parts.stores, parts.workspace
    return (
        workspace.scheduler.run,
        workspace.budget.watch,
        worker.stay_alive,
        _outbox(parts).run,
        shortcut.run,
        partial(expire_old, _kept(parts), clock, client.time_s),
        partial(expire_approvals, stores.approvals, clock),
        partial(seal_entries, stores.audit, clock),
    )


def _kept(parts: _Parts) -> tuple[Kept, ...]:
    stores, settings = parts.stores, parts.settings
    return (
        Kept("texts", stores.erasure.expire, settings.retention_days),
        Kept("audit entries", stores.audit.expire, settings.audit_days),
    )


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


def default_settings_of(settings: Settings, workspace: Workspace) -> DefaultSettings:
    """Returns the settings that apply where a channel has none of its own."""
    return DefaultSettings(
        models_in_use(settings),
        system_prompt_in_use(settings),
        Engagement(settings.engagement),
        web_search_of(settings) is not None,
        decider_settings(model_setup(settings)) is not None,
        settings.mcp.names,
        workspace.has_reactions,
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


def quota_of(
    settings: Settings, prices: ModelPrices, stores: Stores, ephemeral: EphemeralMessages, clock: Clock
) -> Quota:
    """Builds the quota from the settings' caps."""
    models = models_in_use(settings)
    max_tokens = max_output_tokens(model_setup(settings))
    ledger = stores.usage
    return Quota(settings.caps, models, max_tokens, prices, ledger, stores.caps, stores.notices, ephemeral, clock)
