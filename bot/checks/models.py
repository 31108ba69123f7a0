"""The checks of `typist check` that concern models, MCP servers and the database.

Each MCP server is started or reached, and lists its tools. The database stays as it is: what is written is removed.
"""

import asyncio
import io
import logging
import os
import re
import sqlite3
import time
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import asdict, replace
from datetime import date
from functools import partial
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.checks import check_texts
from bot.checks.report import ANSWER_WITHIN_S, Check, CheckStatus, PlannedCheck, fail, ok, run_checks, skipped, warn
from bot.clock import Clock
from bot.core.calls import MAX_DEFINITIONS_CHARS, MAX_TOOLS, ServerTools, tools_together
from bot.errors import EndReason, ProviderError
from bot.mcp.config import HttpTransport, McpSetup, ServerConfig, StdioTransport
from bot.models.events import Completion, ToolCall
from bot.models.failures import LookupOutcome
from bot.models.prompt import Prompt, Sound, ToolDefinition, Turn
from bot.models.registry import VENDORS, open_models, resolved
from bot.models.setup import ModelSetup
from bot.store.database import (
    ENCODING_FIX,
    READS,
    UNSYNCED,
    answered_within,
    create_engine,
    database_file,
    encoding_problem,
    reason_of,
    remedy_for,
    try_row,
)
from bot.store.listening import Report, read_reports
from bot.store.migrate import UNFIT_FIX, is_known, misfits, read_revision, unfit
from bot.store.schema import REVISION
from bot.store.threads import read_chosen_servers
from bot.store.workers import living
from files_to_markdown.isolation import others_may_read

TRANSCRIPTION = "transcription"

T = TypeVar("T")

log = logging.getLogger(__name__)


def model_check_id(model: str) -> str:
    """Returns the id of a model's check."""
    return f"model.{model}"


_PING = ToolDefinition("ping", "Answers pong.", {"type": "object", "properties": {}})
_PROBE = Prompt("You test a connection.", (Turn("user", "Call the tool ping once, now."),), tools=(_PING,))


_THOUGHT_END = re.compile(r"</(?:\w+:)?think\w*>|\[/THINK\]", re.IGNORECASE)
"""The probe has none, so a model that writes one thinks in its text."""


def probe_id(model: str) -> str:
    """Returns the id of the check that has a model call a tool."""
    return f"model.{model}.tools"


PROBE_WITHIN_S = 60.0
"""How long a model may take for the probe: its server may load it first."""
PROBE_LATE_S = 10.0
"""From here on, the report says how long it took."""


async def probe_model(setup: ModelSetup, model: str) -> Check:
    """Asks a model to call a tool, and says if that took long, or more than PROBE_WITHIN_S. Costs a short answer."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        async with asyncio.timeout(PROBE_WITHIN_S):
            check = await _probe(replace(setup, stall_timeout_s=max(setup.stall_timeout_s, PROBE_WITHIN_S)), model)
    except TimeoutError:
        return fail(probe_id(model), *check_texts.model_late(model, PROBE_WITHIN_S))
    took_s = loop.time() - begun
    is_late = check.passed and took_s >= PROBE_LATE_S
    return replace(check, message=f"{check.message} {check_texts.model_slow(took_s)}") if is_late else check


async def _probe(setup: ModelSetup, model: str) -> Check:
    """Asks a model to call a tool, which no look-up can tell: servers refuse tools, or leave them out, in silence."""
    line = probe_id(model)
    called = refused = wrote_call = False
    text = refusal = ""
    taken_tokens: int | None = None
    try:
        async with (
            open_models(replace(setup, models=(model,)), patience_s=0.0) as provider,
            aclosing(provider.stream(_PROBE)) as events,
        ):
            async for event in events:
                called = called or isinstance(event, ToolCall)
                text += event if isinstance(event, str) else ""
                if isinstance(event, Completion):
                    refused, wrote_call = "tools" in event.refused, event.wrote_call
                    taken_tokens, refusal = event.max_output_tokens, event.refusal
    except ProviderError as error:
        if error.reason is not EndReason.EMPTY:
            reason = f"{error.reason}: {error.detail}" if error.detail else str(error.reason)
            if error.reason is EndReason.UNREADABLE:
                variable = VENDORS[model.partition("/")[0]].base_url_variable
                return fail(line, *check_texts.model_unreadable(model, reason, variable))
            return fail(line, *check_texts.model_silent(model, reason))
    if taken_tokens is not None:
        return warn(line, *check_texts.model_takes_less(model, taken_tokens, setup.options.max_output_tokens))
    if _THOUGHT_END.search(text):
        return warn(line, check_texts.model_leaves_thoughts(model), check_texts.REASONING_FIX)
    message = check_texts.model_tools(model, called=called, refused=refused, wrote_call=wrote_call, refusal=refusal)
    return ok(line, message) if called else warn(line, message, check_texts.TOOLS_FIX)


async def check_model(setup: ModelSetup, model: str, today: date) -> Check:
    """Looks a model up at its vendor, and says what to do about what it finds."""
    vendor, _, name = model.partition("/")
    entry = VENDORS[vendor]
    settings = resolved(vendor, setup)
    lookup = await entry.look_up(settings, name, today)
    line = model_check_id(model)
    retires = lookup.retires.isoformat() if lookup.retires else ""
    if lookup.outcome is LookupOutcome.NO_LIST:
        return warn(line, *check_texts.model_unlisted(model))
    if lookup.outcome is not LookupOutcome.MODEL:
        return fail(line, *check_texts.model_problem(model, lookup, entry, has_key=bool(settings.api_key)))
    if entry.cloud:
        return ok(line, check_texts.model_in_cloud(model))
    if retires:
        return warn(line, check_texts.model(model, retires), check_texts.model_fix(model, entry.api_key_variable))
    return ok(line, check_texts.model(model) if entry.needs_key(settings) else check_texts.model_served(model))


async def log_models(setup: ModelSetup, today: date) -> None:
    """Logs what is wrong with the models in use, as `typist check` would say it. No answer waits for that."""
    checks = [PlannedCheck(model_check_id(model), partial(check_model, setup, model, today)) for model in setup.models]
    for check in (await run_checks(checks)).for_people:
        if check.status in (CheckStatus.WARN, CheckStatus.FAIL):
            log.warning("setup of the models: %s %s", check.message, check.fix)


async def check_transcription(setup: ModelSetup, model: str) -> Check:
    """Has the model that transcribes listen to a second of silence, which costs next to nothing."""
    # Only now: it imports OpenAI's SDK.
    from bot.models.transcription import Transcriber

    vendor = model.partition("/")[0]
    try:
        async with aclosing(Transcriber(resolved(vendor, setup), model)) as transcriber:
            await transcriber.transcribe(_silence())
    except ProviderError as error:
        reason = f"{error.reason}: {error.detail}" if error.detail else str(error.reason)
        entry = VENDORS[vendor]
        variables = (entry.api_key_variable, entry.base_url_variable)
        return warn(TRANSCRIPTION, *check_texts.transcription_failed(model, reason, *variables))
    return ok(TRANSCRIPTION, check_texts.transcribes(model))


def _silence() -> Sound:
    rate, written = 16_000, io.BytesIO()
    with wave.open(written, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(bytes(2 * rate))
    return Sound("clip.wav", "audio/wav", written.getvalue())


MCP_WITHIN_S = 11.0
"""Longer than a server takes that ignores the newest protocol, and shorter than the bound of any check."""


def server_check_id(server: str) -> str:
    """Returns the id of a server's check."""
    return f"mcp.{server}"


MCP_PLACES = "mcp"


class ServerChecks:
    """Checks the MCP servers: each alone, and what models are offered where several are used together."""

    def __init__(self, setup: McpSetup, clock: Clock, *, has_keys: bool) -> None:
        self._setup = setup
        self._has_keys = has_keys
        self._clock = clock
        self._tools: dict[str, ServerTools] = {}
        """Of the servers that have listed theirs."""

    async def server(self, config: ServerConfig) -> Check:
        """Lists a server's tools with their rules. Rules and tools that have no effect are a warning."""
        # Only now: they need the extra mcp.
        from bot.mcp.definitions import DOWN_NO_ANSWER, DOWN_SIGN_IN, offered_names
        from bot.mcp.server import ServerDown, open_servers
        from bot.mcp.tools import tools_of

        line = server_check_id(config.name)
        async with open_servers([config], self._clock) as servers:
            try:
                async with asyncio.timeout(MCP_WITHIN_S):
                    named = offered_names(config.name, await servers.by_name[config.name].tools())
            except (ServerDown, TimeoutError) as error:
                is_process = isinstance(config.transport, StdioTransport)
                fix = check_texts.MCP_PROCESS_FIX if is_process else check_texts.MCP_HTTP_FIX
                if str(error) == DOWN_SIGN_IN and isinstance(config.transport, HttpTransport):
                    return await self._sign_in(config.name, config.transport)
                return warn(line, check_texts.mcp_down(config.name, str(error) or DOWN_NO_ANSWER), fix)
        rules = self._setup.rules
        tools = tools_of(((name, tool, False) for name, tool in named.items()), rules, config.timeout_s)
        self._tools[config.name] = tools
        problems = []
        if missing := sorted(rules.named_tools(config.name) - named.keys()):
            problems.append(check_texts.mcp_no_tool(config.name, missing, sorted(named)))
        broken = sorted(name for name in tools.left_out if named[name].is_broken)
        if broken:
            problems.append((check_texts.mcp_broken(config.name, broken), check_texts.MCP_BROKEN_FIX))
        if too_large := sorted(set(tools.left_out) - set(broken)):
            problems.append((check_texts.mcp_large(config.name, too_large), check_texts.MCP_LARGE_FIX))
        if cut := sorted(tool.name for tool in tools.definitions if named[tool.name].is_cut):
            problems.append((check_texts.mcp_cut(config.name, cut), check_texts.MCP_CUT_FIX))
        if problems:
            messages, fixes = zip(*problems, strict=True)
            return warn(line, "\n".join(messages), " ".join(fixes))
        return ok(line, check_texts.mcp(config.name, {name: rules.rule_for(name) for name in named}))

    async def _sign_in(self, server: str, transport: HttpTransport) -> Check:
        """Says whether people can sign in to a server, and what is missing. Nothing is registered."""
        from bot.accounts.oauth import SignInFailed, discovered, known_by

        line = server_check_id(server)
        try:
            at = await discovered(transport.url, transport.sign_in.scopes)
        except SignInFailed as error:
            return warn(line, check_texts.mcp_no_sign_in(server, str(error)), check_texts.MCP_SIGN_IN_FIX)
        client_id = known_by(at, transport.sign_in)
        if not (at.registration_endpoint or client_id):
            fix = check_texts.mcp_register(at.issuer, transport.sign_in.redirect_uri)
            return warn(line, check_texts.mcp_registers_nobody(server, at.issuer), fix)
        if not self._has_keys:
            return warn(line, check_texts.mcp_needs_key(server, at.issuer), check_texts.BOT_KEYS_FIX)
        redirect_uri = "" if at.device_authorization_endpoint else transport.sign_in.redirect_uri
        with_code = bool(transport.sign_in.public_url)
        return ok(line, check_texts.mcp_sign_in(server, at.issuer, client_id, redirect_uri, with_code=with_code))

    async def places(self, chosen: Callable[[], Awaitable[Mapping[str, Collection[str]]]]) -> Check:
        """Counts the tools that a model is offered in direct messages and in channels, of all servers there.

        `chosen` returns the servers of the channels that use some. Before the first one does, all servers count.
        """
        channels = {check_texts.channel(channel_id): names for channel_id, names in (await chosen()).items()}
        places: dict[str, Collection[str]] = {check_texts.DIRECT_MESSAGES: self._setup.in_direct_messages}
        places |= channels or {check_texts.ALL_SERVERS: self._setup.names}
        alike: dict[tuple[str, ...], list[str]] = {}
        for place, chosen_names in places.items():
            servers = tuple(name for name in self._setup.names if name in chosen_names and name in self._tools)
            alike.setdefault(servers, []).append(place)
        most, problems = 0, []
        for servers, named in alike.items():
            together = tools_together(self._tools[name] for name in servers)
            most = max(most, len(together.offered))
            # A server's own line names those that are left out by themselves.
            alone = {tool for name in servers for tool in self._tools[name].left_out}
            if too_many := [tool for tool in together.left_out if tool not in alone]:
                problems.append(check_texts.mcp_too_many(named, together.counts, too_many))
        if problems:
            return warn(MCP_PLACES, "\n".join(problems), check_texts.mcp_too_many_fix(MAX_TOOLS, MAX_DEFINITIONS_CHARS))
        return ok(MCP_PLACES, check_texts.mcp_places(most, MAX_TOOLS))


CONNECTION, WRITE, SCHEMA = "database.connection", "database.write", "database.schema"
CATCH_UP = "database.catch_up"


class DatabaseChecks:
    """Checks one database. Each method is one check; the others build on `connection`."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._engine: AsyncEngine | None = None

    async def close(self) -> None:
        """Disconnects."""
        if self._engine is not None:
            await self._engine.dispose()

    async def connection(self) -> Check:
        """Connects, and asks for the server's version. Raises StoreError for a URL that can't be used."""
        engine = create_engine(self._database_url)
        file = database_file(engine.url)
        if file is not None and not file.exists():
            # The first start will create it.
            folder = file.absolute().parent
            if folder.is_dir() and os.access(folder, os.W_OK | os.X_OK):
                return ok(CONNECTION, check_texts.database_new_file(file.name))
            return fail(CONNECTION, check_texts.database_no_folder(file.name), check_texts.DATABASE_FILE_FIX)
        self._engine = engine
        try:
            async with self._begin(READS) as connection:
                is_sqlite = connection.dialect.name == "sqlite"
                version = (
                    sqlite3.sqlite_version if is_sqlite else await connection.scalar(sa.text("SHOW server_version"))
                )
                problem = await encoding_problem(connection)
        except (SQLAlchemyError, OSError) as error:
            return fail(CONNECTION, check_texts.database_unusable(reason_of(error)), remedy_for(error))
        if problem:
            return fail(CONNECTION, problem, ENCODING_FIX)
        if file is not None and others_may_read(file):
            return warn(CONNECTION, *check_texts.others_may_read(file.name, f"{file.name}*"))
        return ok(CONNECTION, check_texts.database(f"{'SQLite' if is_sqlite else 'PostgreSQL'} {version}"))

    async def write(self) -> Check:
        """Writes a row and removes it, as /readyz does, or a table where there is none yet.

        Tables that aren't this version's are another check's.
        """
        if self._engine is None:
            return skipped(WRITE, check_texts.DATABASE_NOT_WRITTEN)
        try:
            async with self._begin(UNSYNCED, commits=True) as connection:
                if await connection.run_sync(read_revision) is None:
                    await connection.execute(sa.text("CREATE TABLE typist_check (id INTEGER)"))
                    await connection.execute(sa.text("DROP TABLE typist_check"))
                else:
                    await try_row(connection)
        except (SQLAlchemyError, OSError) as error:
            return fail(WRITE, check_texts.write_refused(reason_of(error)), remedy_for(error))
        return ok(WRITE, check_texts.DATABASE_WRITE)

    async def schema(self) -> Check:
        """Compares the schema's revision with this version's."""
        revision, wrong = None, []
        if self._engine is not None:
            try:
                async with self._begin(READS) as connection:
                    revision = await connection.run_sync(read_revision)
                    if revision is not None and (revision == REVISION or not is_known(revision)):
                        wrong = await connection.run_sync(misfits)
            except (SQLAlchemyError, OSError) as error:
                return fail(SCHEMA, check_texts.database_unusable(reason_of(error)), remedy_for(error))
        if revision is None:
            return ok(SCHEMA, check_texts.SCHEMA_MISSING)
        if wrong:
            return fail(SCHEMA, unfit(revision, wrong), UNFIT_FIX)
        if revision == REVISION:
            return ok(SCHEMA, check_texts.schema(revision))
        if is_known(revision):
            return ok(SCHEMA, check_texts.schema_older(revision, REVISION))
        return warn(SCHEMA, check_texts.schema_newer(revision), check_texts.SCHEMA_FIX)

    async def chosen_servers(self) -> Mapping[str, Collection[str]]:
        """Returns the MCP servers of each channel that uses some; none if the database doesn't say."""
        with suppress(SQLAlchemyError, OSError):
            return await self._read(read_chosen_servers, {})
        return {}

    async def living(self) -> int | None:
        """Returns how many processes run with the database; None if it doesn't say."""
        with suppress(SQLAlchemyError, OSError):
            file = database_file(self._engine.url) if self._engine else None
            return len(await self._read(partial(living, file=file, now=time.time()), []))
        return None

    async def catch_up(self) -> Check:
        """Says what was done about the last time without Slack, if there was one."""
        try:
            reports: list[Report] = await self._read(read_reports, [])
        except (SQLAlchemyError, OSError) as error:
            return fail(CATCH_UP, check_texts.database_unusable(reason_of(error)), remedy_for(error))
        if not reports:
            return ok(CATCH_UP, check_texts.NOTHING_CAUGHT_UP)
        last = max(reports, key=lambda report: report.ends_at)
        sentence = check_texts.caught_up(last.begins_at, last.ends_at, **asdict(last.tally))
        return warn(CATCH_UP, sentence, check_texts.CATCH_UP_FIX) if last.tally.unread else ok(CATCH_UP, sentence)

    async def _read(self, read: Callable[[AsyncConnection], Awaitable[T]], nothing: T) -> T:
        """Returns what `read` finds, `nothing` if there are no tables yet. Raises SQLAlchemyError and OSError."""
        if self._engine is None:
            return nothing
        async with self._begin(READS) as connection:
            return nothing if await connection.run_sync(read_revision) is None else await read(connection)

    @asynccontextmanager
    async def _begin(self, option: str, *, commits: bool = False) -> AsyncIterator[AsyncConnection]:
        """Yields a transaction with an option, within the time of a check. It is rolled back unless it `commits`."""
        assert self._engine is not None
        engine = self._engine.execution_options(**{option: True})
        async with answered_within(ANSWER_WITHIN_S), engine.connect() as connection, connection.begin() as transaction:
            yield connection
            if not commits:
                await transaction.rollback()
