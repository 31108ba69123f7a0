"""`typist init`: asks for what Typist needs to connect to Slack, checks each answer, and writes it to `.env`.

What is set already is neither asked for nor changed. Each token and key is checked when it is pasted, and written as
soon as it is accepted: whoever stops midway loses nothing, and the next run asks for the rest. Nothing that is pasted
is printed or logged.

`typist manifest` prints the manifest from which Slack makes the app.
"""

import argparse
import asyncio
import json
import select
import signal
import socket
import sys
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from bot import logs, settings
from bot.checks import check_texts
from bot.checks.report import Check, CheckStatus, fail
from bot.cli import EXIT_FAILED, Subcommand, check
from bot.core import texts
from bot.errors import RateLimited, Refused, SettingsError
from bot.models.registry import VENDORS
from bot.models.setup import VendorSettings
from bot.settings import TOKEN_KINDS, WHERE, Settings
from bot.slack.manifest import DEFAULT_COMMAND, DEFAULT_NAME, app_manifest

BOT_TOKEN, APP_TOKEN, ADMINS = "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "BOT_ADMINS"
PREFIXES = {"xoxb-": BOT_TOKEN, "xapp-": APP_TOKEN, "sk-ant-": "ANTHROPIC_API_KEY"}
KEYS = {entry.api_key_variable: name for name, entry in VENDORS.items() if entry.api_key_variable}
"""The vendors that take a key, by its variable."""
ANY_KEY = ""
"""Stands for the key of whichever vendor."""
KEYLESS = "not-set"
"""Stands for a key that is still missing. It is sent to nobody."""

CREATE_APP = "https://api.slack.com/apps?new_app=1&manifest_json="
CREATE = "Create the app: open this link, choose your workspace, and click Next and Create.\n\n{link}"
ASK: Mapping[str, str] = {
    BOT_TOKEN: "In your app's settings (api.slack.com/apps), click Install App → Install to your workspace → Allow.\n"
    "If it says Request to Install, an admin must approve the app first. Copy the Bot User OAuth Token (xoxb-…).",
    APP_TOKEN: "In your app's settings (api.slack.com/apps), under Basic Information → App-Level Tokens, click\n"
    "Generate Token and Scopes. Enter a name, add the scope connections:write, click Generate, and copy the token\n"
    "(xapp-…).",
    ANY_KEY: f"Copy a key from OpenAI or Anthropic: {' or '.join(WHERE[variable] for variable in KEYS)}. For a model\n"
    "server of your own, press Ctrl-C, and set OPENAI_BASE_URL and BOT_MODELS in .env (docs/admins/setup.md).",
    **{variable: f"Copy the value of {variable}: {WHERE[variable]}." for variable in KEYS},
}
PASTE = "Paste it here (it stays hidden): "
PASTE_AGAIN = "Paste another one, or press Enter to check the same one again: "
CHECKING = "Checking…"
OTHER = "This is the value of {variable}."
NOT_A_KEY = "This is {kind}, not a model's key."
IS_SET = "{variable} has a value in .env or in the environment, which stays as it is."
WRITTEN = "{variable} is now in .env."
WHO = (
    "Who administers Typist? Typist admins see who uses it, and set quotas.\n"
    "Your name in Slack, your email address or your member ID (Enter: nobody for now): "
)
NOBODY = "No member of the workspace has this name, email address or ID. Guests and bots can't be admins."
SEVERAL = "Several members have this name: {people}. Enter the ID of one of them."
NO_EMAILS = (
    "The app can't look up email addresses: that needs the scope users:read.email, which Typist doesn't ask for. "
    "Enter a name as Slack shows it, or a member ID (in Slack: profile > Copy member ID)."
)
NOT_LOOKED_UP = "Slack didn't look this person up. {error} Try again, or press Enter to go on."
NO_ADMINS = "BOT_ADMINS is not set. Typist admins see usage and set quotas. It takes member IDs, separated by commas."
NO_TERMINAL = "typist init asks questions, so it needs a terminal. Without one, fill in .env, and run typist check."
FIX = "Fix what ✘ names, then run this command again. .env has what you entered."
SENT = "I sent you a message in Slack ({person})."
START = "Now start Typist: make run (or typist run)."
STOPPED = "\nStopped. .env has what was accepted so far. Run this command again to go on."


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Asks, checks and writes, and returns the exit code. Raises SettingsError."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        problems = [NO_TERMINAL]
        try:
            settings.read(env, needs_slack=True, needs_model=True)
        except SettingsError as error:
            problems += error.problems
        raise SettingsError(problems + ([] if env.get(ADMINS, "").strip() else [NO_ADMINS]))
    # Elsewhere Ctrl-C ends the process at once. Here the terminal would stay without echo.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    check.print_any_mark()
    try:
        return _Init(dict(env)).run(options)
    except (KeyboardInterrupt, EOFError):
        print(STOPPED)
        return check.EXIT_INTERRUPTED


class _Init:
    """One run. `env` is what the environment and `.env` have so far."""

    def __init__(self, env: dict[str, str]) -> None:
        self.env = env

    def run(self, options: argparse.Namespace) -> int:
        ours = self._settings()
        logs.set_up_quietly(ours.log_level, ours.log_format)
        if not self._has(BOT_TOKEN) and not self._has(APP_TOKEN):
            app = json.dumps(chosen_manifest(options, search=ours.slack_search), separators=(",", ":"))
            print(CREATE.format(link=CREATE_APP + quote(app)))
        for variable in (BOT_TOKEN, APP_TOKEN, *self._missing_keys()):
            while not self._has(variable):
                self._ask(variable)
        if not settings.models_in_use(self._settings()):
            self._ask(ANY_KEY)
        if not self._has(ADMINS):
            self._ask_for_admin()
        return asyncio.run(self._finish())

    def _has(self, variable: str) -> bool:
        return bool(self.env.get(variable, "").strip())

    def _missing_keys(self) -> list[str]:
        """Returns the variables of the keys that BOT_MODELS and BOT_TRANSCRIBE need, and that are not set."""
        models = f"{self.env.get('BOT_MODELS', '')},{self.env.get('BOT_TRANSCRIBE', '')}".split(",")
        named = {model.strip().partition("/")[0] for model in models}
        entries = [VENDORS[vendor] for vendor in KEYS.values() if vendor in named]
        return [
            entry.api_key_variable
            for entry in entries
            if entry.needs_key(VendorSettings(base_url=self.env.get(entry.base_url_variable, "").strip()))
            and not self._has(entry.api_key_variable)
        ]

    def _settings(self, **pasted: str) -> Settings:
        """Returns the settings so far, with one that was pasted. Raises SettingsError, but not for missing keys."""
        missing = dict.fromkeys(self._missing_keys(), KEYLESS)
        return settings.read({**self.env, **missing, **pasted})

    def _ask(self, wanted: str) -> None:
        """Asks until something is accepted: what is wanted, or another one of the tokens and keys."""
        print(f"\n{ASK[wanted]}")
        pasted = ""
        while True:
            pasted = _typed(PASTE_AGAIN if pasted else PASTE, is_secret=True).strip() or pasted
            kind = next((kind for prefix, kind in TOKEN_KINDS.items() if pasted.startswith(prefix)), "")
            variable = next((name for prefix, name in PREFIXES.items() if pasted.startswith(prefix)), wanted)
            variable = variable or "OPENAI_API_KEY"
            if kind and variable in KEYS:
                print(NOT_A_KEY.format(kind=kind))
            elif self._has(variable):
                print(IS_SET.format(variable=variable))
            elif pasted:
                if variable != wanted != ANY_KEY:
                    print(OTHER.format(variable=variable))
                if self._accepts(variable, pasted):
                    self._write(variable, pasted)
                    return
                continue
            pasted = ""

    def _accepts(self, variable: str, pasted: str) -> bool:
        """Checks a token or a key, and prints what was found."""
        try:
            ours = self._settings(**{variable: pasted})
        except SettingsError as error:
            print(*error.problems, sep="\n")
            return False
        print(CHECKING)
        own = self._checks_of(variable, ours)
        others = {id_ for name in (BOT_TOKEN, APP_TOKEN) if self._has(name) for id_ in self._checks_of(name, ours)}
        report = asyncio.run(check.checked(ours, only=own | others if variable not in KEYS else own))
        for found in report.checks:
            if found.status is CheckStatus.FAIL or (found.id in own and found.passed):
                print(*found.lines(), sep="\n")
        return not any(found.status is CheckStatus.FAIL for found in report.checks if found.id in own)

    def _checks_of(self, variable: str, ours: Settings) -> set[str]:
        """Returns the ids of the checks that a token or a key has to pass."""
        # Only now: they import Slack's and the vendors' libraries.
        from bot.checks import slack as slack
        from bot.checks.models import model_check_id

        both = {slack.SAME_APP} if ours.slack_bot_token and ours.slack_app_token else set()
        if variable == BOT_TOKEN:
            return {slack.BOT_TOKEN, slack.SCOPES_ID, *both}
        if variable == APP_TOKEN:
            return {slack.APP_TOKEN, slack.SOCKET_MODE, *both}
        models = settings.models_in_use(ours)
        return {model_check_id(model) for model in models if model.partition("/")[0] == KEYS[variable]}

    def _write(self, variable: str, value: str) -> None:
        settings.complete_env_file(variable, value)
        self.env[variable] = value
        print(WRITTEN.format(variable=variable))

    def _ask_for_admin(self) -> None:
        """Asks who is the admin until one member is found, or nobody is named."""
        print()
        while words := _typed(WHO).strip():
            try:
                found = asyncio.run(self._find(words))
            except (RateLimited, Refused) as error:
                is_scope = isinstance(error, Refused) and "users:read.email" in error.error
                print(NO_EMAILS if is_scope else NOT_LOOKED_UP.format(error=error))
                continue
            people = [f"{name} ({id_})" for id_, name in found.items()]
            if len(found) == 1:
                print(people[0])
                self._write(ADMINS, *found)
                return
            print(SEVERAL.format(people=", ".join(people)) if found else NOBODY)

    async def _find(self, words: str) -> Mapping[str, str]:
        from bot.slack.client import SlackClient, new_session
        from bot.slack.users import find_members

        ours = self._settings()
        async with new_session() as session:
            return await find_members(SlackClient(ours.slack_bot_token, ours.slack_api_url, session), words)

    async def _finish(self) -> int:
        """Runs `typist check`, sends the only admin a first message, and returns the exit code."""
        ours = settings.read(self.env, needs_slack=True, needs_model=True)
        print(f"\n{CHECKING}")
        report = await check.checked(ours)
        print(report.text())
        if not report.is_ok:
            print(f"\n{FIX}")
            return EXIT_FAILED
        if len(ours.admins) == 1:
            (admin,) = ours.admins
            if refused := await _greet(ours, admin):
                print("", *refused.lines(), FIX, sep="\n")
                return EXIT_FAILED
            print(f"\n{SENT.format(person=admin)}")
        print(START)
        return 0


async def _greet(ours: Settings, admin: str) -> Check | None:
    """Sends the admin a direct message. Returns why Slack refuses it, None if it doesn't."""
    from bot.checks.slack import PROBE_POST
    from bot.slack.client import SlackClient, new_session

    async with new_session() as session:
        slack = SlackClient(ours.slack_bot_token, ours.slack_api_url, session)
        try:
            me = await slack.identity()
            await slack.post(channel=admin, text=texts.im_here(me.name))
        except (RateLimited, Refused) as error:
            name = "ratelimited" if isinstance(error, RateLimited) else error.error.partition(" ")[0]
            return fail(PROBE_POST, check_texts.probe_refused(admin, name), check_texts.probe_fix(name))
    return None


def _typed(prompt: str, *, is_secret: bool = False) -> str:
    """Shows a prompt and returns the line that is typed, which isn't shown if it is a secret.

    `input` and `getpass` miss a Ctrl-C between the prompt and their read: Python has noted the signal by then, but
    handles it only after the read, which waits for a line. Here a signal ends the wait as a line does.

    Raises:
        KeyboardInterrupt: at Ctrl-C.
        EOFError: at Ctrl-D, or when the terminal is gone.
    """
    with _signals() as signals, _echo(not is_secret):
        print(prompt, end="", flush=True)
        ready, _, _ = select.select([sys.stdin, signals], [], [])
        if signals in ready:
            raise KeyboardInterrupt
        line = sys.stdin.readline()
        if is_secret:
            print()
    if not line:
        raise EOFError
    return line


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """Yields a socket that can be read as soon as a signal came."""
    theirs, ours = socket.socketpair()
    with theirs, ours:
        theirs.setblocking(False)
        signal.set_wakeup_fd(theirs.fileno())
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(-1)


@contextmanager
def _echo(is_on: bool) -> Iterator[None]:
    """Lets the terminal show what is typed, or not, and leaves it as it was."""
    before = termios.tcgetattr(sys.stdin)
    meanwhile = termios.tcgetattr(sys.stdin)
    if not is_on:
        # The fourth has the local modes.
        meanwhile[3] &= ~termios.ECHO
    try:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, meanwhile)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the kind of app and its names."""
    parser.add_argument("--agent", action="store_true", help="an app with Slack's Agents feature")
    parser.add_argument("--name", default=DEFAULT_NAME, help=f"the app's name (default: {DEFAULT_NAME})")
    parser.add_argument(
        "--command",
        dest="slash_command",
        metavar="/NAME",
        default=DEFAULT_COMMAND,
        help=f"the slash command (default: {DEFAULT_COMMAND})",
    )


def _print_manifest(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Prints the manifest and returns the exit code. Raises SettingsError."""
    print(json.dumps(chosen_manifest(options, search=settings.read(env).slack_search), indent=2))
    return 0


def chosen_manifest(options: argparse.Namespace, *, search: bool) -> dict[str, Any]:
    """Returns the manifest that the arguments choose. Raises SettingsError."""
    try:
        return app_manifest(agent=options.agent, search=search, name=options.name, command=options.slash_command)
    except ValueError as problem:
        raise SettingsError([str(problem)]) from problem


MANIFEST = Subcommand(
    "print the manifest to create the Slack app from",
    "Prints the app's manifest as JSON. Paste it at api.slack.com/apps > Create New App > From a manifest. "
    "The Slack CLI gets it by .slack/hooks.json. With BOT_SLACK_SEARCH=on, it has the scope search:read.public.",
    _print_manifest,
    add_arguments,
)
INIT = Subcommand(
    "connect to Slack for the first time: create the app, fill in .env, check it",
    "Asks for what is missing in .env: Slack's two tokens, a model's key, and who administers Typist. Checks each "
    "answer, adds it to .env, and sends that person a first message. Settings that have a value stay as they are.",
    run,
    add_arguments,
)
