"""Every line of `typist check`, which operators read in the terminal and in the log.

The name of a remedy ends in `_FIX` or `_fix`. As in `bot/core/texts/`, a sentence with values is a function. One
that returns two says what is wrong, and the remedy.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

from bot.core.access import UserKind
from bot.models.lookups import Lookup, LookupOutcome
from bot.models.prompt import ToolRule
from bot.models.registry import VendorEntry
from bot.network import Way, remedy

# The app in Slack

YOUR_APP = "api.slack.com/apps → your app"
TRY_LATER_FIX = "Try again in a few minutes. Slack's status: slack-status.com."
TOKEN_FIX = (
    f"Copy it again: {YOUR_APP} → OAuth & Permissions → Bot User OAuth Token (xoxb-…). "
    "If the workspace limits IP addresses, allow this machine's."
)
REINSTALL_FIX = f"Install the app again and copy the new token: {YOUR_APP} → Install App."
EXPIRED_FIX = (
    "Typist doesn't renew rotating tokens. Create the app again from `typist manifest`, without token rotation."
)
KIND_FIX = "SLACK_BOT_TOKEN needs a bot token (xoxb-…), SLACK_APP_TOKEN an app-level token (xapp-…)."
POLICY_FIX = "A policy of the workspace or organization forbids this call. Ask a Slack admin to allow the app."
APP_ACCEPTED = "SLACK_APP_TOKEN is accepted, with the scope connections:write."
APP_TOKEN_FIX = (
    f"Generate an app-level token with the scope connections:write: {YOUR_APP} → Basic Information → App-Level Tokens."
)
SOCKET_MODE_FIX = f"Turn Socket Mode on: {YOUR_APP} → Socket Mode."
SOCKET_MODE_OFF = "Socket Mode is off, so Slack sends no events."
SOCKET_MODE = (
    "Socket Mode is on: a connection opened, and Slack said hello.\n"
    "Slack doesn't say whether Delayed Events is on. Without it, Slack drops events after 6 minutes of an outage.\n"
    f"Turn it on: {YOUR_APP} → Event Subscriptions."
)
GROUPS_FIX = "Check BOT_ALLOW_USERS and the scope usergroups:read: until then, such a group gives nobody access."
CONNECTIONS_UNKNOWN = "Whether another process takes events is not checked, because the database doesn't say who runs."
OTHER_PROCESS_FIX = (
    "Stop the other process, or give it this DATABASE_URL: each gets a part of all questions. "
    "If a process has just ended, check again in some minutes. If Typist runs elsewhere, run this command there."
)
ORGANIZATION = (
    "SLACK_BOT_TOKEN belongs to an organization (Enterprise Grid). With it, each member would count as an outsider."
)
ORGANIZATION_FIX = (
    f"Install the app in one workspace, and copy that workspace's token: {YOUR_APP} → Install App. "
    "Turn off its deployment to the organization."
)
TOO_MANY_SOCKETS = "The app has ten Socket Mode connections already, and Slack accepts no more."
TOO_MANY_SOCKETS_FIX = "Stop other processes of this app. Each process of Typist opens two connections."
SOCKET_FIX = f"Check that a firewall or proxy lets WebSockets (wss) through. {TRY_LATER_FIX}"
SAME_APP = "Both tokens belong to the same app."
TWO_APPS_FIX = f"Copy both tokens from the same app: {YOUR_APP} → OAuth & Permissions, and → Basic Information."
APP_UNKNOWN = "Slack did not say which app a token belongs to."
SCOPES_UNKNOWN = "Slack's response did not list the token's scopes."
MANIFEST_FIX = (
    f"Paste the output of `typist manifest` at {YOUR_APP} → App Manifest. Then install the app again: → Install App."
)
CLOCK_UNKNOWN = "Slack's response had no usable Date header."
CLOCK_FIX = "Set this machine's clock, for example by NTP. Costs, quotas and retention depend on it."
MANIFEST = "The app's manifest has everything that Typist needs."
MANIFEST_NOT_COMPARED = "Events, tabs and interactivity are not compared, because SLACK_CONFIG_TOKEN is not set."
CONFIG_FIX = (
    "Generate a new configuration token: api.slack.com/apps → Your App Configuration Tokens. It lasts 12 hours."
)
CREATE_FIX = "Create it at Slack's page instead, unless api.slack.com/apps shows it already."
PROBE = "I'm checking that events arrive. I'll delete this message in a moment."
PROBE_EVENT = "Slack delivered the event of the probe's message."
PROBE_EVENT_FIX = (
    "Subscribe to the message events of `typist manifest`: "
    f"{YOUR_APP} → Event Subscriptions. Then install the app again."
)
PROBE_ELSEWHERE_FIX = "Stop the other process, and check again."
PROBE_DELETED = "The probe's message is deleted."
PROBE_DELETE_FIX = "Delete the message by hand."

SCOPE_LOSSES: Mapping[str, str] = {
    "app_mentions:read": "mentions are not answered",
    "canvases:read": "shared and linked canvases are not read",
    "canvases:write": "answers are not saved as canvases",
    "channels:history": "Typist can't read threads in public channels, or answer follow-ups without a mention there",
    "channels:read": "Typist doesn't know public channels' names and doesn't welcome them, Home lists no "
    "channels, and only Typist admins can change their settings",
    "chat:write": "Typist can't answer",
    "commands": "the slash command and the message shortcut don't work",
    "files:read": "shared files are not read",
    "files:write": "long answers and long code are not attached as files",
    "groups:history": "Typist can't read threads in private channels, or answer follow-ups without a mention there",
    "groups:read": "Typist doesn't know private channels' names and doesn't welcome them, Home lists no "
    "channels, and only Typist admins can change their settings",
    "im:history": "direct messages are not answered",
    "im:read": "after an outage, Typist finds no direct message of people who never wrote to it before",
    "mpim:history": "Typist can't read threads in group messages, or answer follow-ups without a mention there",
    "mpim:read": "Typist can't look up group messages",
    "reactions:read": "a channel's question emoji asks nothing",
    "reactions:write": "thanks get no reaction",
    "search:read.public": "models can't search Slack",
    "usergroups:read": "nobody has access by a user group of BOT_ALLOW_USERS",
    "users:read.email": "nobody has access by a domain of BOT_ALLOW_USERS",
    "users:read": "Typist can't tell members from guests, and denies access to everyone",
}
"""What does not work without a scope."""

_TOKEN_FIXES: Mapping[str, str] = {
    **dict.fromkeys(("account_inactive", "app_uninstalled", "bot_removed", "token_revoked"), REINSTALL_FIX),
    "token_expired": EXPIRED_FIX,
    "not_allowed_token_type": KIND_FIX,
    **dict.fromkeys(
        (
            "access_denied",
            "accesslimited",
            "ekm_access_denied",
            "enterprise_is_restricted",
            "org_login_required",
            "team_access_not_granted",
        ),
        POLICY_FIX,
    ),
    "team_added_to_org": TRY_LATER_FIX,
}
_PROBE_FIXES: Mapping[str, str] = {
    "not_in_channel": "Invite the app into the channel: /invite, then its name.",
    "channel_not_found": "Check the channel's ID. If the channel is private, invite the app first.",
    "is_archived": "Choose a channel that is not archived.",
    "messages_tab_disabled": f"Turn the Messages tab on: {YOUR_APP} → App Home.",
    "missing_scope": MANIFEST_FIX,
}


def bot(name: str, team: str) -> str:
    """Says that the bot token works; `name` is the bot's."""
    return f"SLACK_BOT_TOKEN is accepted: @{name} in {team}."


UNREACHABLE, UNAVAILABLE, SILENT = (
    "Slack can't be reached",
    "Slack can't take calls right now",
    "Slack does not answer in time",
)


def app_created(app_id: str) -> str:
    return f"The app {app_id} is created."


def app_not_created(error: str) -> tuple[str, str]:
    """Says that Slack refuses to create an app; `error` is Slack's name for the reason, or ours."""
    is_token = error in _TOKEN_FIXES or error == "invalid_auth"
    return f"Slack did not create the app ({error}).", CONFIG_FIX if is_token else CREATE_FIX


def unreachable(reason: str) -> tuple[str, str]:
    fix = remedy(reason, "BOT_SLACK_API_URL") or "Check the network, DNS, a proxy, and BOT_SLACK_API_URL."
    return f"{UNREACHABLE} ({reason}).", f"{fix} Slack's status: slack-status.com."


def unavailable(error: str) -> str:
    """Says that Slack answered a call with an error that passes; `error` is Slack's name for it."""
    return f"{UNAVAILABLE} ({error})."


def refused(variable: str, error: str) -> str:
    """Says that Slack refuses a token; `error` is Slack's name for the reason."""
    return f"Slack does not accept {variable} ({error})."


def bot_token_fix(error: str) -> str:
    return _TOKEN_FIXES.get(error, TOKEN_FIX)


def app_token_fix(error: str) -> str:
    if error in ("invalid_auth", "not_allowed_token_type"):
        # Slack doesn't document what it answers while Socket Mode is off: both were seen.
        return f"{APP_TOKEN_FIX} {SOCKET_MODE_FIX}"
    if error in ("missing_scope", "token_revoked", "token_expired"):
        # Installing the app again renews the bot token only.
        return APP_TOKEN_FIX
    return _TOKEN_FIXES.get(error, APP_TOKEN_FIX)


def scopes(count: int, declined: Sequence[str], *, agent: bool) -> str:
    """Says that none of `count` scopes is missing, but for optional ones that an admin declined."""
    agents = f"the Agents feature is {'on' if agent else 'off'}"
    if not declined:
        return f"The bot token has all {count} scopes, and {agents}."
    return f"The bot token has all required scopes, and {agents}. Without optional scopes: {_losses(declined)}."


def groups(sizes: Mapping[str, int]) -> str:
    return "People of user groups: " + ", ".join(f"{group} {size}" for group, size in sizes.items()) + "."


NAMED_FIX = "Correct the setting, and restart Typist. A Typist admin must be a member of the workspace."
_KINDS = {
    UserKind.DEACTIVATED: "a deactivated account",
    UserKind.GUEST: "a guest",
    UserKind.BOT: "a bot",
    UserKind.EXTERNAL: "not of this workspace",
    None: "unknown to Slack",
}


def named(count: int) -> str:
    """Says that Slack knows who and what BOT_ADMINS, BOT_ALLOW_USERS and BOT_ALLOW_CHANNELS name."""
    return f"Slack knows the people and channels in the settings: {count}."


def misnamed_person(variable: str, user_id: str, kind: UserKind | None) -> str:
    return f"{variable} names {user_id}, who is {_KINDS[kind]}."


def misnamed_channel(channel_id: str) -> str:
    return f"BOT_ALLOW_CHANNELS names {channel_id}, which isn't there, is archived, or is private without this app."


def not_looked_up(error: str) -> str:
    return f"Slack didn't say who and what the settings name ({error})."


def no_groups(what: str) -> str:
    return f"Slack has no such user group, or doesn't list any ({what})."


def scopes_missing(scopes: Sequence[str]) -> str:
    return f"Missing scopes: {_losses(scopes)}."


def _losses(scopes: Sequence[str]) -> str:
    return "; ".join(f"{scope} ({SCOPE_LOSSES[scope]})" for scope in scopes)


def no_hello(came: str) -> str:
    """Says that a socket opened without Slack's hello; `came` is what Slack sent instead."""
    return f"A Socket Mode connection opened, but Slack sent {came} instead of hello."


def no_socket(reason: str) -> str:
    return f"No Socket Mode connection opened ({reason})."


def connections(others: int, processes: int) -> str:
    """Compares the app's connections besides this one with the processes of the database."""
    return f"{_are_open(others)}. Processes of Typist with this database: {processes}."


def _are_open(others: int) -> str:
    return "1 other connection is open" if others == 1 else f"{others} other connections are open"


def two_apps(bot_app: str, socket_app: str) -> str:
    return (
        f"The tokens belong to two apps: SLACK_BOT_TOKEN to {bot_app}, SLACK_APP_TOKEN to {socket_app}. "
        "No events for the bot arrive."
    )


def clock(skew_s: float) -> str:
    """Says how far this machine's clock is off; positive: ahead of Slack's."""
    if abs(skew_s) < 2:
        return "This machine's clock agrees with Slack's."
    # Slack tells its time in whole seconds, and the answer took a moment.
    about_s = f"{abs(skew_s):.0f}" if abs(skew_s) < 10 else f"about {round(abs(skew_s), -1):.0f}"
    return f"This machine's clock is {about_s} s {'ahead of' if skew_s > 0 else 'behind'} Slack's."


def manifest_differs(differences: Sequence[str]) -> str:
    """Lists where the app's manifest differs."""
    return "The app's manifest differs: " + "; ".join(differences) + "."


def probe_posted(channel: str) -> str:
    return f"The probe's message is posted in {channel}."


def probe_refused(channel: str, error: str) -> str:
    return f"Slack refuses a message in {channel} ({error})."


def greeting_refused(person: str, error: str) -> str:
    return f"Slack refuses a message to {person} ({error})."


def probe_fix(error: str) -> str:
    if error.startswith("restricted_action"):
        return POLICY_FIX
    return _PROBE_FIXES.get(error, _TOKEN_FIXES.get(error, TRY_LATER_FIX))


def probe_no_event(others: int) -> str:
    """Says that the probe's event did not arrive; `others` are connections besides this one."""
    if others:
        return f"The probe's event did not arrive, but {_are_open(others)} and may have received it."
    return "The probe's event did not arrive."


def probe_not_deleted(error: str) -> str:
    return f"Slack refuses to delete the probe's message ({error})."


# Models

TOOLS_FIX = (
    "Choose a model that calls tools, or turn them on at its server: --enable-auto-tool-choice and --tool-call-parser "
    "for vLLM, --jinja for llama.cpp."
)


def model(model: str) -> str:
    return f"{model}: the key is accepted, and the model exists."


def model_retires(retires: date, replacement: str) -> str:
    """Says when a model retires, and which one its vendor names in its place, if it names one."""
    return f"It retires on {retires}." + (f" Its vendor names {replacement} in its place." if replacement else "")


def model_fix(model: str, variable: str) -> str:
    return f"Choose another model in BOT_MODELS in place of {model}, or check what {variable} has access to."


def model_problem(model: str, lookup: Lookup, entry: VendorEntry, *, has_key: bool) -> tuple[str, str]:
    """Returns the message and the remedy for what a look-up found, and what must be fixed.

    What concerns all models of a vendor names the vendor, so that it is one problem of the report.
    """
    vendor, reason, key, base_url = model.partition("/")[0], lookup.detail, entry.api_key_variable, entry.base_url
    choose = model_fix(model, key)
    retired = f"was retired on {lookup.retires.isoformat()}" if lookup.retires else "has been retired"
    address = entry.base_url_variable
    path = " Most servers also need the path /v1 at the end." if base_url.endswith("/v1") else ""
    if cloud := entry.cloud:
        address = cloud.region_variable or address
    problems = {
        LookupOutcome.RETIRED: (f"{model} {retired}.", choose),
        LookupOutcome.NO_MODEL: (f"{model} does not exist, or the key has no access to it.", choose),
        LookupOutcome.KEY_REFUSED: (
            f"{vendor}: the server does not accept the key ({reason}).",
            f"Check {key}. Get a key at {entry.api_key_page}. For another server's key, set {address}.",
        ),
        LookupOutcome.NOT_THE_API: (
            f"{vendor}: the base URL returns {reason}, so it is not the address of this API.",
            f"Check {address}. The vendor's own address is {base_url}.{path}",
        ),
        LookupOutcome.UNREACHABLE: (
            f"{vendor}: the server can't be reached ({reason}).",
            remedy(reason, address) or f"Check that the server runs, the network and DNS, and {address}.",
        ),
        LookupOutcome.REFUSED: (
            f"{model}: the server refuses to be asked about the model ({reason}).",
            f"Do what it says. A gateway may want a header of its own: set {vendor.upper()}_CUSTOM_HEADERS.",
        ),
        LookupOutcome.FAILED: (
            f"{model}: the model can't be checked right now ({reason}).",
            "Try again in a few minutes.",
        ),
    }
    if not has_key:
        problems[LookupOutcome.KEY_REFUSED] = f"{vendor}: the server wants a key, and {key} is not set.", f"Set {key}."
    if cloud:
        problems |= {
            LookupOutcome.NO_MODEL: (
                f"{model} does not exist in this region or resource ({reason}).",
                f"Enable {model} in the cloud's console, choose another one in BOT_MODELS, or check {address}.",
            ),
            LookupOutcome.KEY_REFUSED: (
                f"{model}: the cloud gives this identity no access ({reason}).",
                f"Grant {cloud.access} to the identity that Typist runs as.",
            ),
            LookupOutcome.NO_IDENTITY: (
                f"{vendor}: this process has no credentials for the cloud ({reason}).",
                f"Run Typist with {cloud.identity}, which .env can't set. The identity needs {cloud.access}.",
            ),
        }
    return problems[lookup.outcome]


NO_SEARCH_FIX = "Name a model that OpenAI or Anthropic serve, or turn BOT_WEB_SEARCH off."
TRACES = "The collector at BOT_TRACES_URL answers."


def traces_lost(reason: str) -> tuple[str, str]:
    fix = remedy(reason, "BOT_TRACES_URL") or "Check the address and its path: /v1/traces."
    return f"No collector takes traces at BOT_TRACES_URL ({reason}).", fix


def model_unlisted(model: str) -> tuple[str, str]:
    return (
        f"{model}: the server answers, but it doesn't say which models it has.",
        f"Test it: typist ask --model {model} hello",
    )


def model_served(model: str) -> str:
    return f"{model}: the server has this model."


def model_in_cloud(model: str) -> str:
    return f"{model}: the cloud gives this identity access to the model."


def model_tools(model: str, *, called: bool, refused: bool, wrote_call: bool = False, refusal: str = "") -> str:
    """Says whether the model called a tool that it was asked to call. `refusal`: its server's words."""
    if called:
        return f"{model} calls tools."
    if refused:
        said = f" Its server says: {refusal}" if refusal else ""
        return f"{model} refuses tools, so Typist asks it without them.{said}"
    if wrote_call:
        return f"{model} calls tools, but its server passes the calls on as text: its tool parser is off."
    return f"{model} did not call the tool that it was asked to call."


REASONING_FIX = "Turn on the server's parser: --reasoning-parser for vLLM and SGLang, --reasoning-format for llama.cpp."


def model_leaves_thoughts(model: str) -> str:
    """Says that the model's reasoning comes as text, without a mark where it begins."""
    return f"{model} thinks in its answer's text, which readers would see: its server's reasoning parser is off."


def model_takes_less(model: str, taken_tokens: int, wanted_tokens: int) -> tuple[str, str]:
    """Says that the model's server refuses the output limit of the settings."""
    return (
        f"{model} takes at most {taken_tokens:,} output tokens: BOT_MAX_OUTPUT_TOKENS={wanted_tokens} is too large.",
        f"Set BOT_MAX_OUTPUT_TOKENS to {taken_tokens} or less. Until then, Typist asks for less.",
    )


def model_slow(took_s: float) -> str:
    """Says that the model answered the probe late."""
    return f"It took {took_s:.0f} s to answer. If its server was loading the model, later answers begin sooner."


def model_late(model: str, within_s: float) -> tuple[str, str]:
    """Says that the model did not answer the probe in time."""
    return (
        f"{model} didn't answer within {within_s:.0f} s.",
        "If its server is loading the model, check again once it has. Otherwise, read the server's log.",
    )


def model_silent(model: str, reason: str) -> tuple[str, str]:
    """Says that the model did not answer the probe; `reason` is a failure with the vendor's words."""
    return (
        f"{model} did not answer ({reason}).",
        f"The server gave this reason. Try again: typist ask --model {model} hello",
    )


def model_unreadable(model: str, reason: str, base_url_variable: str) -> tuple[str, str]:
    """Says that what came in place of an answer is none; `reason` tells what came."""
    return f"{model} sent a response that can't be read ({reason}).", f"Check {base_url_variable}."


def transcribes(model: str) -> str:
    return f"{model} transcribes recordings."


def transcription_failed(model: str, reason: str, key_variable: str, base_url_variable: str) -> tuple[str, str]:
    """Says that the model did not transcribe; `reason` is a failure with the vendor's words."""
    return (
        f"{model} does not transcribe, so clips without Slack's transcript stay unread ({reason}).",
        f"Check BOT_TRANSCRIBE, {key_variable} and {base_url_variable}, or leave BOT_TRANSCRIBE empty.",
    )


# `typist smoke`

SMOKE_FIX = "What to do: docs/admins/operate.md, A nightly look at the models."
SMOKE_WORDS = "Answered."
SMOKE_WORDS_WRONG = "The answer to 17 plus 25 isn't 42, or it didn't end."
SMOKE_THREAD_WRONG = "The answer doesn't have what stands in the thread."
SMOKE_THREAD_UNCOUNTED = "Answered two questions of a thread. Its server reports no tokens."
SMOKE_TOOL = "Called the tool, and went on with its result after an approval, in another process."
SMOKE_RESULT_WRONG = "The answer doesn't have the tool's result, or the model called the tool again."
SMOKE_FILES = "Saw the picture and read the PDF."
SMOKE_FILES_WRONG = "The answer doesn't have what the picture and the PDF show."
SMOKE_TOO_SHORT = "The answer was too short to be cut off."


def smoke_without_price(model: str) -> str:
    return (
        f"Not asked: {model} has no price, so no limit can be kept. BOT_PRICES takes one; your own server's may be 0."
    )


def smoke_beyond_limit(usd: float, left_usd: float) -> str:
    return f"Not asked: it may cost ${usd:.4f}, and the limit leaves ${max(0.0, left_usd):.4f}. Raise --limit."


def smoke_thread(share: float) -> str:
    return f"Answered two questions of a thread, and read {share:.0%} of the first one's prompt from the cache."


def smoke_thread_dear(share: float) -> str:
    return (
        f"The second and the third question of a thread read {share:.0%} of the first one's prompt from the cache, so "
        "threads cost more than they should."
    )


def smoke_tool_wrong(refusal: str) -> str:
    said = f" Its server refused the request: {refusal}" if refusal else ""
    return f"The model didn't call the tool that it was asked to call, once and with its text.{said}"


def smoke_steps_refused(refusal: str) -> str:
    return f"After an approval, in another process, the vendor refused what the model had sent before: {refusal}"


def smoke_files_refused(notice: str, refusal: str) -> str:
    return notice + (f" The vendor said: {refusal}" if refusal else "")


def smoke_cut(lines: int, kept: int) -> str:
    return f"Went on with an answer that was cut off: {kept} of {lines} lines were kept, and the others followed."


def smoke_cut_wrong(lines: int, found: int, different: int) -> str:
    return f"An answer that was cut off and went on has {found} of {lines} lines, {different} of them different."


def smoke_late(within_s: float) -> str:
    return f"No answer within {within_s / 60:.0f} minutes."


def smoke_failed(reason: str, detail: str) -> str:
    return f"Failed: {reason}" + (f" ({detail})" if detail else "")


# MCP servers

MCP_PROCESS_FIX = (
    "Run the command of this server by hand, with the environment in BOT_MCP_CONFIG, and see what it says. "
    'If it ignores the newest protocol, add "protocol": "legacy". '
    "Until it works, answers don't use its tools."
)
MCP_HTTP_FIX = (
    "Check url and headers in BOT_MCP_CONFIG, the network, and that the server runs. "
    "Until it works, answers don't use its tools."
)
MCP_SIGN_IN_FIX = (
    "Do what is said above, or set an Authorization header for the server in BOT_MCP_CONFIG, with a token that its "
    "vendor issues for programs. docs/admins/tools.md has recipes. Until it works, answers don't use its tools."
)
BOT_KEYS_FIX = (
    "Set BOT_SECRET_KEYS to what `openssl rand -base64 32 | tr '+/' '-_'` prints, and keep it: without it, everybody "
    "has to sign in again. Or set an Authorization header for all askers."
)
NO_SIGN_INS = "Nobody is signed in to an MCP server."
SIGN_INS_FIX = (
    "Add the former key to BOT_SECRET_KEYS, behind the newest one and a comma. If it is lost, these people have to "
    "sign in again. Typist asks them when they need it."
)


def sign_ins(count: int, older: int) -> str:
    """Says that BOT_SECRET_KEYS opens all sign-ins. `older`: how many of them by another key than the first."""
    still = f" An older key is still needed for {older}, until they are used again." if older else ""
    return f"BOT_SECRET_KEYS opens all sign-ins to MCP servers: {count}.{still}"


def sign_ins_lost(lost: int, count: int) -> str:
    return f"BOT_SECRET_KEYS doesn't open {lost} of {count} sign-ins to MCP servers."


MCP_NOTES_FIX = "Remove from the file of BOT_MCP_CONFIG what has no effect. See docs/admins/tools.md."
MCP_LARGE_FIX = "Ask the maintainers of the server for shorter schemas, or deny these tools."
MCP_BROKEN_FIX = "Ask the maintainers of the server to correct these tools' names and inputSchema, or deny them."
MCP_CUT_FIX = "Ask the maintainers of the server for shorter descriptions, or deny these tools."


def mcp(server: str, tools: Mapping[str, ToolRule], price: str) -> str:
    """Lists the tools of an MCP server, with their rules, and what their definitions cost."""
    rules = [f"{name}: {rule.permission}{', read-only' if rule.read_only else ''}" for name, rule in tools.items()]
    count = f"{len(tools)} {'tool' if len(tools) == 1 else 'tools'}"
    priced = f", {price}" if price else ""
    return "\n".join([f"{server}: the MCP server lists {count}{priced}.", *rules])


def mcp_down(server: str, reason: str, *, is_process: bool) -> tuple[str, str]:
    """Says that an MCP server can't be used; `reason` is that of the log."""
    fix = MCP_PROCESS_FIX if is_process else MCP_HTTP_FIX
    if found := remedy(reason, "BOT_MCP_CONFIG"):
        fix = f"{found} Until it works, answers don't use its tools."
    return f"{server}: the MCP server is down ({reason}).", fix


def mcp_no_sign_in(server: str, reason: str) -> str:
    return f"{server}: people must sign in to the MCP server, and nobody can: {reason}."


def mcp_registers_nobody(server: str, issuer: str) -> str:
    return f"{server}: people must sign in to the MCP server, at {issuer}, which doesn't let Typist register itself."


def mcp_register(issuer: str, redirect_uri: str) -> str:
    return (
        f"Register Typist at {issuer} with the redirect address {redirect_uri}, and set oauth.clientId (and "
        "clientSecret, if there is one) for the server in BOT_MCP_CONFIG. Or set an Authorization header."
    )


def mcp_needs_key(server: str, issuer: str) -> str:
    return f"{server}: people must sign in to the MCP server, at {issuer}, and BOT_SECRET_KEYS isn't set."


def mcp_sign_in(server: str, issuer: str, client_id: str, redirect_uri: str, *, with_code: bool) -> str:
    """Says where people sign in, who Typist is there, and what people then enter in Slack."""
    known = f"Typist is {client_id} there" if client_id else "Typist registers itself there"
    then = "type the code that is shown there" if with_code else "paste the address of that page, which doesn't open"
    how = f"They end at {redirect_uri}, and {then}." if redirect_uri else "They confirm a code there that Slack shows."
    return f"{server}: people sign in to the MCP server, at {issuer}. {known}. {how}"


def mcp_no_tool(server: str, missing: Sequence[str], listed: Sequence[str]) -> tuple[str, str]:
    return (
        f"{server}: BOT_MCP_CONFIG has rules for tools that the MCP server doesn't list: {', '.join(missing)}.",
        f"Correct or remove these rules. The server lists: {', '.join(listed) or 'nothing'}.",
    )


DIRECT_MESSAGES = "direct messages"
ALL_SERVERS = "a channel with all MCP servers"


def channel(channel_id: str) -> str:
    return f"channel {channel_id}"


def mcp_places(offered: int, most: int, price: str) -> str:
    """Says how many tools the place with most of them has, and what their definitions cost."""
    priced = f", {price}" if price else ""
    return f"MCP servers: one place has at most {offered} of their tools{priced}. Models are offered up to {most}."


def mcp_too_many(places: Sequence[str], counts: Mapping[str, int], left_out: Sequence[str]) -> str:
    """Says which tools are left out in places that use the same servers; `counts`: the tools of each."""
    servers = ", ".join(f"{server} has {count}" for server, count in counts.items())
    named = ", ".join([*places[:5], *([f"{more} more"] if (more := len(places) - 5) > 0 else [])])
    return f"{named}: more tools than models are offered ({servers}). Left out: {', '.join(left_out)}."


def mcp_too_many_fix(most: int, most_chars: int) -> str:
    return (
        f"The servers of one place share {most} tools and {most_chars:,} characters of definitions. "
        "Deny the tools that nobody needs in the file of BOT_MCP_CONFIG, or choose fewer servers for the channel."
    )


def mcp_large(server: str, tools: Sequence[str]) -> str:
    return f"{server}: the parameters of these tools are too large for models: {', '.join(tools)}."


def mcp_broken(server: str, tools: Sequence[str]) -> str:
    return f"{server}: the server describes these tools wrongly, so they are left out: {', '.join(tools)}."


def mcp_cut(server: str, tools: Sequence[str]) -> str:
    return f"{server}: models read only the beginning of the descriptions of these tools: {', '.join(tools)}."


# This machine

NOT_ON_LINUX = (
    "This system is not Linux: other programs of Typist's user can read its tokens, and documents are read in a "
    "process that can change files."
)
NO_LANDLOCK = (
    "The kernel has no Landlock, or forbids it: hostile code in the process that reads documents could change files of "
    "Typist's user, and read the memory of its MCP servers."
)
OLD_LANDLOCK = (
    "The kernel's Landlock is older than Linux 6.2: hostile code in the process that reads documents could empty files "
    "of Typist's user."
)
ISOLATION_FIX = (
    "Run Typist on Linux 6.2 or newer. A filter of system calls must let landlock_create_ruleset and "
    "landlock_restrict_self through."
)


NETWORK_FIX = (
    "Typist goes through proxies of http and https. Exempt addresses with NO_PROXY. See docs/admins/company.md."
)


def ways(ways: Mapping[str, Way], certificates: str | None) -> str:
    """Says how each host is reached, and which certificates are trusted."""
    trusted = f"Certificates: those in {certificates}." if certificates else "Certificates: the system's."
    if not any(way.variable for way in ways.values()):
        return f"No proxy is set: servers are reached directly. {trusted}"
    return "\n".join([f"The ways to the servers. {trusted}", *(f"{host}: {_way(way)}" for host, way in ways.items())])


def _way(way: Way) -> str:
    if way.proxy:
        return f"through the proxy {way.shown} ({way.variable})"
    return f"directly ({way.variable})" if way.variable else "directly"


def isolated(abi: int) -> str:
    """Says that the kernel protects secrets and files; `abi` is the version of Landlock's interface."""
    return f"Documents are read in a process that can't open, create, empty or remove files (Landlock {abi})."


def misnamed(name: str, variable: str) -> tuple[str, str]:
    """Says that a setting is set under a name that other programs read; `variable` is Typist's."""
    return f"{name} is set, but Typist reads {variable}.", f"Set {variable} to this value, or unset {name}."


def others_may_read(file: str, files: str) -> tuple[str, str]:
    return f"Every user of this machine can read {file}.", f"chmod 600 {files}"


# The database, the settings, and the checks themselves

DATABASE_WRITE = "The database can be written to."
DATABASE_NOT_WRITTEN = "Writing is not checked, because the database doesn't exist yet."
DATABASE_FILE_FIX = "Create the folder, and let Typist's user write to it."
SCHEMA_MISSING = "The database has no tables yet. The first start creates them."
SCHEMA_FIX = "This version runs with it, as migrations only add. Run the newer version again when you can."
SETTINGS = "The settings are valid. These differ from the defaults:"
SETTINGS_FIX = "See .env.example for all settings."
TIMED_OUT_FIX = "Check the network, a proxy or a firewall, and the server. Then check again."
UNFORESEEN_FIX = "This is a bug in Typist's check. The rest of the report is valid."


def database(version: str) -> str:
    """Says that the database answers; `version` is for example "PostgreSQL 18.4"."""
    return f"The database answers: {version}."


def database_unusable(reason: str) -> str:
    return f"The database can't be used ({reason})."


def database_new_file(name: str) -> str:
    return f"The database file {name} doesn't exist yet. The first start creates it."


def database_no_folder(name: str) -> str:
    return f"The database file {name} can't be created: its folder is missing or not writable."


def write_refused(reason: str) -> str:
    return f"The database can't be written to ({reason})."


def schema(revision: str) -> str:
    return f"The database schema is at revision {revision}, which this version of Typist needs."


def schema_older(revision: str, needed: str) -> str:
    return f"The database schema is at revision {revision}. The next start migrates it to {needed}."


NOTHING_CAUGHT_UP = "Typist has not been away from Slack for so long that it may have missed questions."
CATCH_UP_FIX = "Ask in these conversations whether a question was missed. The log names them."


def caught_up(begins_at: float, ends_at: float, *, looked_at: int, unread: int, answered: int, offered: int) -> str:
    """Says what was done about the last time without Slack. Times are in seconds since 1970."""
    began = datetime.fromtimestamp(begins_at, UTC)
    away = f"Nothing came from Slack for {(ends_at - begins_at) / 60:,.0f} minutes from {began:%Y-%m-%d %H:%M} UTC on."
    found = f"Of the questions missed then, Typist answered {answered:,} and offered an answer to {offered:,}."
    places = "1 conversation or thread" if looked_at == 1 else f"{looked_at:,} conversations and threads"
    looked = f"It looked at {places}"
    looked += f", and {unread:,} could not be read, or not to their end." if unread else "."
    return f"{away} {found} {looked} It can't see mentions in older threads in which it was never asked anything."


def schema_newer(revision: str) -> str:
    return f"The database schema is at revision {revision}, which is newer than this version of Typist."


_NAMES: Mapping[str, str] = {
    "settings": "the settings",
    "slack.bot_token": "SLACK_BOT_TOKEN",
    "slack.scopes": "the bot token's scopes",
    "slack.clock": "this machine's clock",
    "slack.app_token": "SLACK_APP_TOKEN",
    "slack.socket_mode": "Socket Mode",
    "slack.same_app": "whether both tokens belong to the same app",
    "slack.manifest": "the app's manifest",
    "slack.connections": "whether another process takes events",
    "slack.user_groups": "the user groups of BOT_ALLOW_USERS",
    "slack.probe_post": "the probe's message",
    "slack.probe_event": "the event of the probe's message",
    "slack.probe_delete": "whether the probe's message can be deleted",
    "transcription": "BOT_TRANSCRIBE",
    "traces": "BOT_TRACES_URL",
    "sign_ins": "whether BOT_SECRET_KEYS opens the sign-ins to MCP servers",
    "slack.named": "whether Slack knows who and what the settings name",
    "database.connection": "the database",
    "database.write": "whether the database can be written to",
    "database.schema": "the database schema",
    "database.catch_up": "the last catch-up",
}


def _name(check_id: str) -> str:
    """Returns what a check is about, in the words of its other lines."""
    kind, _, rest = check_id.partition(".")
    if kind == "model":
        return f"whether {rest.removesuffix('.tools')} calls tools" if rest.endswith(".tools") else rest
    return f"the MCP server {rest}" if kind == "mcp" else _NAMES.get(check_id, check_id)


def timed_out(check_id: str) -> tuple[str, str]:
    """Returns the message, and the clause for the checks that need this one."""
    if check_id.startswith("slack."):
        # Whatever was asked: a Slack that answers nothing is one problem.
        return f"{SILENT}.", SILENT
    return f"No answer in time: {_name(check_id)}.", ""


def unforeseen(check_id: str, trace: str) -> str:
    """Says that a check itself failed; `trace` is the error's type and place."""
    return f"A check failed unexpectedly ({trace}): {_name(check_id)}."


def skipped(check_id: str, needed: str, cause: str = "") -> str:
    """Says that a check depends on another one that did not pass; both are ids. `cause`: why, if that is known."""
    return f"Not checked, because {cause or f'{_name(needed)} did not pass'}: {_name(check_id)}."


def summary(failed: int, warned: int, skipped: int) -> str:
    """The report's last line. It explains the mark of skipped checks."""
    found = "Everything is set up."
    if failed or warned:
        problems, warnings = "problem" if failed == 1 else "problems", "warning" if warned == 1 else "warnings"
        found = f"{failed} {problems}, {warned} {warnings}."
    if not skipped:
        return found
    return f"{found} {skipped} {'check was' if skipped == 1 else 'checks were'} not made (–)."
