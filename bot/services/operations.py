"""Serves health reports and metrics, and removes data after its retention period.

/healthz responds while the event loop runs; restart a process that doesn't respond. /readyz reports whether new
questions are answered. Use /readyz for alerts and deployments but not for restarts, which fix neither Slack nor the
database. A reachable database might reject questions because it is full, is read-only or has lost its tables, so both
/readyz and /metrics test a write and count failing writes. /metrics is for Prometheus and requires the extra
`telemetry`. `ask_readiness` asks another process on this machine whether it is ready.

Requests are only served for IP addresses and for names that no stranger can register, so a web page can't read these
pages through a hostname that points here (DNS rebinding).

Retention removes text older than BOT_RETENTION_DAYS, and audit entries older than AUDIT_DAYS.
"""

import asyncio
import http.client
import ipaddress
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bot import __version__
from bot.clock import Clock
from bot.core.caps import DAY_S, HOUR_S
from bot.errors import SettingsError, TypistError, trace_of
from bot.mcp.config import CALLBACK_PATH, DOCUMENT_PATH, SignInConfig

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler

    from bot.telemetry import Gauges, Telemetry

log = logging.getLogger(__name__)

AUDIT_DAYS = 400
"""A year, plus time for admins who need entries for longer to export them."""
_PRIVATE_DOMAINS = ("localhost", "local", "internal", "svc")
"""Top-level names of private networks. Kubernetes services are typist.namespace.svc.cluster.local."""
LOOPBACK_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - only what BOT_HEALTH_PORT may say
"""Loopback addresses, by the wildcard address that is configured."""
SHUTTING_DOWN = "Typist is shutting down."
DATABASE_TIMEOUT_S = 3.0
SCRAPE_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_RESPONSE_BYTES = 10_000


async def _raise_not_open() -> Any:
    raise TypistError("Typist is starting: the database is not open yet.")


@dataclass(slots=True)
class Probes:
    """The app sets these sources of the values in /readyz and /metrics. The defaults report that Typist is starting."""

    database: Callable[[], Awaitable[None]] = _raise_not_open
    """Checks that the database can be written to and that no write is failing. Raises TypistError."""
    connections: Callable[[], Awaitable[int]] = lambda: asyncio.sleep(0, 0)
    queued: Callable[[], Awaitable[int]] = _raise_not_open
    """The number of questions waiting for a worker. Raises TypistError if the database doesn't respond."""
    live: Callable[[], int] = lambda: 0
    servers: Callable[[], Mapping[str, bool]] = dict
    """Whether each MCP server that this process has used works."""
    problem: Callable[[], str] = lambda: ""
    token_refused: Callable[[], bool] = lambda: False
    """Whether Slack rejects our bot token. Connections might be up, but no call succeeds."""
    on_redirect: Callable[[str, str], Awaitable[tuple[str, str]]] = lambda *_: _raise_not_open()
    """Processes the query of a sign-in's redirect. Returns the page to show (bot/accounts/page.py)."""
    is_stopping: Callable[[], bool] = lambda: False
    """Whether Typist is shutting down. No new questions are answered, although connections might be up."""


@dataclass(frozen=True, slots=True)
class Health:
    ok: bool
    """Whether the database accepts questions, a connection is up, Slack accepts our token, and Typist isn't shutting
    down."""
    database: str
    """"ok", or a sentence about the problem."""
    slack: int
    """The number of stable connections."""
    live: int
    problem: str
    """A sentence about why Typist receives no questions from Slack, or "", which the response omits."""
    version: str = __version__


async def check_health(probes: Probes) -> Health:
    database = await _database_problem(probes) or "ok"
    slack = await probes.connections()
    stopping = probes.is_stopping()
    ok = database == "ok" and slack > 0 and not probes.token_refused() and not stopping
    problem = SHUTTING_DOWN if stopping else probes.problem()
    return Health(ok=ok, database=database, slack=slack, live=probes.live(), problem=problem)


async def _database_problem(probes: Probes) -> str:
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_S):
            await probes.database()
    except TimeoutError:
        return f"The database did not answer within {DATABASE_TIMEOUT_S:.0f} s."
    except TypistError as error:
        return str(error)
    return ""


async def _gauges(probes: Probes) -> "Gauges":
    from bot.telemetry import Gauges

    queued = None
    with suppress(TimeoutError, TypistError):
        async with asyncio.timeout(DATABASE_TIMEOUT_S):
            queued = await probes.queued()
    is_writable = not await _database_problem(probes)
    return Gauges(probes.live(), queued, await probes.connections(), int(is_writable), probes.servers())


@asynccontextmanager
async def serving(
    host: str, port: int, probes: Probes, telemetry: "Telemetry | None" = None, public_url: str = ""
) -> AsyncIterator[int]:
    """Serves the endpoints within the context, and yields the port. Raises SettingsError if the port isn't available.
    /metrics is served if `telemetry` has data. At the hostname in `public_url`, only the sign-in callback page and the
    metadata for authorization servers are served."""
    # Imported here, because neither a bot without the port nor `typist health` needs aiohttp's server.
    from aiohttp import web

    async def alive(_: web.Request) -> web.Response:
        return web.json_response({"ok": True, "version": __version__})

    async def ready(_: web.Request) -> web.Response:
        health = await check_health(probes)
        body = {name: value for name, value in asdict(health).items() if name != "problem" or value}
        return web.json_response(body, status=200 if health.ok else 503)

    async def metrics(_: web.Request) -> web.Response:
        assert telemetry is not None
        assert telemetry.scrape is not None
        telemetry.gauges = await _gauges(probes)
        return web.Response(body=telemetry.scrape(), headers={"Content-Type": SCRAPE_TYPE})

    @web.middleware
    async def refuse_public_names(request: web.Request, handler: "Handler") -> web.StreamResponse:
        is_sign_in = _SIGN_IN_PATH.fullmatch(request.path) and _name_in(request.host) == _name_in(public_url)
        if not is_sign_in and not _is_private(request.host):
            raise web.HTTPMisdirectedRequest(text="Typist answers here only by an address or a private name.")
        return await handler(request)

    app = web.Application(middlewares=[refuse_public_names])
    app.router.add_get("/healthz", alive)
    app.router.add_get("/readyz", ready)
    if telemetry is not None and telemetry.scrape is not None:
        app.router.add_get("/metrics", metrics)
    if public_url:
        from bot.accounts.page import SignInPage

        page = SignInPage(SignInConfig(public_url=public_url), lambda *brought: probes.on_redirect(*brought))
        server = f"{{server:{_SERVER}}}"
        for callback, document in (("", ""), (f"-{server}", f"/{server}")):
            app.router.add_get(f"{CALLBACK_PATH}{callback}", page.on_callback_request, allow_head=False)
            app.router.add_get(f"{DOCUMENT_PATH}{document}.json", page.on_document_request, allow_head=False)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise SettingsError(
                [f"Can't listen on port {port} of {host}: {reason}. Change BOT_HEALTH_PORT."]
            ) from error
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


_SERVER = "[A-Za-z0-9_-]+"
_SIGN_IN_PATH = re.compile(rf"{CALLBACK_PATH}(?:-{_SERVER})?|{DOCUMENT_PATH}(?:/{_SERVER})?\.json")


def _is_private(host: str) -> bool:
    """Returns whether a Host header contains an IP address or a name that no stranger can register."""
    name = _name_in(host)
    if name is None:
        return False
    _, dot, last = name.rpartition(".")
    if not dot or last in _PRIVATE_DOMAINS:
        return True
    with suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return False


def _name_in(host: str) -> str | None:
    try:
        return (urlsplit(host if "://" in host else f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return None


def ask_readiness(host: str, port: int) -> tuple[bool, str]:
    """Returns whether the process at this host and port is ready, and its response. Raises TypistError if there is no
    process. Containers call this often, so it imports as little as possible."""
    host = LOOPBACK_HOSTS.get(host, host)
    connection = http.client.HTTPConnection(host, port, timeout=DATABASE_TIMEOUT_S + 2)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        is_ready = response.status == http.HTTPStatus.OK
        body = response.read(MAX_RESPONSE_BYTES).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        said = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise TypistError(f"Nothing answers on {host}:{port} ({said}). Is Typist running?") from error
    finally:
        connection.close()
    if '"ok"' not in body:
        raise TypistError(f"Something other than Typist answers on {host}:{port}. Check BOT_HEALTH_PORT.")
    return is_ready, body


SlackTime = Callable[[], Awaitable[float | None]]


@dataclass(frozen=True)
class RetentionRule:
    name: str
    expire: Callable[[float], Awaitable[int]]
    """Removes data from before a given time, in seconds since 1970. Returns the number of removed items."""
    days: int


START_DELAY_S = 60.0


async def expire_hourly(kept: Sequence[RetentionRule], clock: Clock, slack_time: SlackTime) -> None:
    # Questions have priority right after the start.
    await clock.sleep(START_DELAY_S)
    while True:
        await _expire_old(kept, clock, slack_time)
        await clock.sleep(HOUR_S)


async def _expire_old(kept: Sequence[RetentionRule], clock: Clock, slack_time: SlackTime) -> None:
    """Removes expired data, or nothing while Slack's time is unknown. Several processes can remove expired data at
    once."""
    try:
        if await _is_clock_right(clock, slack_time):
            for each in kept:
                if count := await each.expire(clock.now() - each.days * DAY_S):
                    log.info("retention: removed: what=%s count=%d older_than_days=%d", each.name, count, each.days)
    except Exception as error:
        reason = error if isinstance(error, TypistError) else trace_of(error)
        log.error("retention: too old, not removed, retrying in an hour: %s", reason)


async def _is_clock_right(clock: Clock, slack_time: SlackTime) -> bool:
    slack_s = await slack_time()
    if slack_s is not None and abs(clock.now() - slack_s) <= HOUR_S:
        return True
    log.error(
        "retention: nothing removed, retrying in an hour: this clock and Slack's differ: by_hours=%s. "
        "Set the clock of the machine, or of the PostgreSQL server, and restart Typist.",
        "unknown" if slack_s is None else f"{(clock.now() - slack_s) / HOUR_S:.1f}",
    )
    return False
