"""Checks of the settings, of this machine, and of network routes to the servers."""

import math
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout

from bot import network, settings
from bot.checks.report import ANSWER_WITHIN_S, Finding, fail, ok, warn
from bot.core import texts
from bot.errors import SettingsError
from bot.mcp.config import HttpTransport
from bot.models.prices import price_of_tools
from bot.models.registry import vendor_settings
from bot.network import Route
from bot.settings import Settings, model_prices, model_setup, models_in_use
from bot.store.database import create_engine, database_file
from files_to_markdown import isolation

ISOLATION_FIX = (
    "Run Typist on Linux 6.2 or newer. If system calls are filtered, allow landlock_create_ruleset and "
    "landlock_restrict_self."
)


async def check_settings(ours: Settings, env_file: Path | None, now: float) -> Finding:
    shown = {"models in use": ", then ".join(models_in_use(ours)), **settings.changed_settings(ours)}
    prompt_tokens, usd = price_of_tools((), models_in_use(ours), model_prices(ours), now, ours.system_prompt)
    if prompt_tokens:
        shown["BOT_SYSTEM_PROMPT"] += f": {texts.settings.tools_price(prompt_tokens, usd)}"
    header = "The settings are valid. These differ from the defaults:"
    lines = [f"{name}: {value}" for name, value in shown.items()]
    problems = [
        (f"{name} is set, but Typist reads {variable} instead.", f"Set {variable} to this value, or unset {name}.")
        for name, variable in ours.misnamed_variables.items()
    ]
    if env_file is not None and isolation.others_can_read(env_file):
        problems.append(exposure_of(str(env_file), str(env_file)))
    replaced = settings.override_warnings(env_file) if env_file is not None else []
    problems += [(sentence, "Keep one line for each setting in .env.") for sentence in replaced]
    no_search_fix = "Use a model that OpenAI or Anthropic serves, or turn BOT_WEB_SEARCH off."
    problems += [(sentence, no_search_fix) for sentence in settings.ineffective_settings(ours)]
    notes_fix = "Remove the entries without effect from the BOT_MCP_CONFIG file. See tools.md in Typist's docs."
    problems += [(note, notes_fix) for note in ours.mcp.notes]
    fix = "Shorten BOT_SYSTEM_PROMPT: all of it is sent with each question."
    windows = {model: model_prices(ours).window_tokens(model) or math.inf for model in models_in_use(ours)}
    problems += [
        (f"BOT_SYSTEM_PROMPT fills more than half of the {window:,} tokens that {model} can read.", fix)
        for model, window in windows.items()
        if 2 * prompt_tokens > window
    ]
    if not problems:
        return ok(header, *lines)
    fixes = dict.fromkeys(fix for _, fix in problems)
    return warn("\n".join(problem for problem, _ in problems), " ".join(fixes), header, *lines)


def exposure_of(file: str, files: str) -> tuple[str, str]:
    return f"Every user on this machine can read {file}.", f"chmod 600 {files}"


async def check_files(env_file: Path | None, database_url: str) -> Finding:
    database = database_file(create_engine(database_url).url)
    found = [exposure_of(str(env_file), str(env_file))] if env_file and isolation.others_can_read(env_file) else []
    if database is not None and isolation.others_can_read(database):
        found.append(exposure_of(database.name, f"{database.name}*"))
    if not found:
        return ok("Other users on this machine can't read .env or the database.")
    return warn("\n".join(problem for problem, _ in found), "; ".join(fix for _, fix in found))


async def check_isolation() -> Finding:
    if not isolation.ON_LINUX:
        message = (
            "This system isn't Linux: other programs running as Typist's user can read its tokens, and the process "
            "that reads documents can change files."
        )
    elif (abi := isolation.landlock_abi()) >= isolation.TRUNCATE_ABI:
        return ok(f"Documents are read in a process that can't open, create, empty or remove files (Landlock {abi}).")
    elif abi:
        message = (
            "The kernel's Landlock is older than Linux 6.2: hostile code in the process that reads documents could "
            "empty files that belong to Typist's user."
        )
    else:
        message = (
            "The kernel doesn't support Landlock or forbids it: hostile code in the process that reads documents could "
            "change files that belong to Typist's user and read the memory of its MCP servers."
        )
    return warn(message, ISOLATION_FIX)


async def check_network(ours: Settings) -> Finding:
    """Reports the network route to each server, and the trusted certificates. Sends nothing."""
    vendors = sorted({model.partition("/")[0] for model in models_in_use(ours)})
    urls = [ours.slack_api_url, *(vendor_settings(vendor, model_setup(ours)).base_url for vendor in vendors)]
    urls += [server.transport.url for server in ours.mcp.servers if isinstance(server.transport, HttpTransport)]
    urls.append(ours.traces_url)
    try:
        routes = {urlsplit(url).hostname or "": network.route_to(url) for url in urls if url}
    except SettingsError as error:
        fix = "Typist supports http and https proxies. Exempt hosts with NO_PROXY. See company.md in Typist's docs."
        return fail(str(error), fix)
    certificates = network.certificates()
    trusted = f"Using the certificates in {certificates}." if certificates else "Using the system's certificates."
    if not any(route.variable for route in routes.values()):
        return ok(f"No proxy is set: servers are reached directly. {trusted}")
    return ok(
        f"Network routes to the servers: {trusted}",
        *(f"{host}: {_route_text(one)}" for host, one in routes.items()),
    )


def _route_text(route: Route) -> str:
    if route.proxy:
        return f"through the proxy {route.displayed_proxy} ({route.variable})"
    return f"directly ({route.variable})" if route.variable else "directly"


async def check_traces(url: str, session: ClientSession) -> Finding:
    headers = {"Content-Type": "application/x-protobuf"}
    try:
        async with session.post(url, data=b"", headers=headers, timeout=ClientTimeout(ANSWER_WITHIN_S)) as response:
            reason = "" if response.status < HTTPStatus.BAD_REQUEST else f"HTTP {response.status}"
    except (ClientError, OSError, TimeoutError) as error:
        reason = network.reason_of(error, url) or type(error).__name__
    if not reason:
        return ok("The collector at BOT_TRACES_URL is accepting traces.")
    fix = network.remedy(reason, "BOT_TRACES_URL") or "Check the URL and its path: /v1/traces."
    return warn(f"BOT_TRACES_URL isn't accepting traces ({reason}).", fix)
