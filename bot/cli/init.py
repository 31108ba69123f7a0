"""`typist init`: asks for the settings that connect Typist to Slack, checks each answer, and writes it to `.env`.

Existing settings are neither asked for nor changed. A pasted token or key is checked immediately and written as soon as
it is accepted. A person who stops midway therefore loses nothing, and the next run asks only for what is missing.
Pasted values are never printed or logged.

`typist manifest` prints the manifest from which Slack creates the app.
"""

import argparse
import asyncio
import json
import math
import os
import signal
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from bot import logs, settings
from bot.checks.report import CheckStatus, Finding, fail
from bot.cli import EXIT_FAILED, Subcommand, check
from bot.cli.connections import open_slack
from bot.cli.names import in_one_line, names_of
from bot.cli.new_app import NewApp, manifest_file
from bot.cli.terminal import has_terminal, hidden_answer, set_echo, visible_answer
from bot.core import texts
from bot.core.access import UserKind
from bot.core.caps import parse_caps
from bot.errors import RateLimited, Refused, SettingsError
from bot.models.events import Usage
from bot.models.registry import KEY_COMPANIES, VENDORS, vendor_of_key, vendors_of_key
from bot.models.setup import VendorSettings
from bot.settings import SOURCES, Settings
from bot.slack.manifest import DEFAULT_COMMAND, DEFAULT_NAME, app_manifest

BOT_TOKEN, APP_TOKEN, CONFIG_TOKEN, ADMINS = "SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_CONFIG_TOKEN", "BOT_ADMINS"
CAPS, COST_ALERT = "BOT_CAPS", "BOT_COST_ALERT"
QUESTION, QUESTIONS_A_MONTH = Usage(3_000, 400), 5 * 21
"""A typical question's tokens, and a person's questions per month (five per workday, as in the README)."""
PREFIXES = {"xoxb-": BOT_TOKEN, "xapp-": APP_TOKEN}
KEYS = {entry.api_key_variable: name for name, entry in VENDORS.items() if entry.api_key_variable}
ANY_KEY = ""
PLACEHOLDER_KEY = "not-set"
ASK: Mapping[str, str] = {
    BOT_TOKEN: "Copy the bot token (xoxb-…). Once you have installed the app, 'Your app credentials' has both tokens.\n"
    "Otherwise: your app's settings (api.slack.com/apps) → Install App → Install to your workspace → Allow.\n"
    "If it says Request to Install, an admin must approve the app first.",
    APP_TOKEN: "Copy the app token (xapp-…) from 'Your app credentials'. If there is none: your app's settings\n"
    "(api.slack.com/apps) → Basic Information → App-Level Tokens → Generate Token and Scopes. Enter a name, add the\n"
    "scope connections:write, and click Generate.",
    ANY_KEY: (
        f"Copy a key from {KEY_COMPANIES}: {' or '.join(SOURCES[variable] for variable in KEYS)}. For your own\n"
        "model server, press Ctrl-C and set OPENAI_BASE_URL and BOT_MODELS in .env (see setup.md in Typist's docs)."
    ),
    **{variable: f"Copy the value of {variable}: {SOURCES[variable]}." for variable in KEYS},
}
PASTE = "Paste it here (it stays hidden): "
PASTE_OR_ENTER = "{enter_prompt}, or paste a token here (it stays hidden): "
PASTE_AGAIN = "Paste another one, or press Enter to check the same one again: "
CHECKING = "Checking…"
WHICH_VENDOR = "Which vendor is this key from? Enter {vendors}: "
OTHER_VARIABLE = "This is the value of {variable}."
NOT_ACCESS = "This is the refresh token. Copy the access token beside it (xoxe.xoxp-…)."
NOT_IN_USE = "No model in BOT_MODELS uses this key."
ALREADY_SET = "{variable} is already set in .env or in the environment, and won't be changed."
WRITTEN = "{variable} is now in .env."
WHICH_ADMIN = (
    "Who administers Typist? Typist admins can see who uses it and set quotas.\n"
    "Your name as shown in Slack, or your member ID (press Enter to skip this): "
)
NO_SUCH_MEMBER = "No member of the workspace has this name or ID. Guests and bots can't be admins."
SEVERAL_MEMBERS = "Several members have this name: {people}. Enter one member's ID."
NO_EMAILS = (
    "The app can't look up email addresses. Enter a name as shown in Slack, or a member ID (in Slack: profile > Copy "
    "member ID)."
)
NOT_LOOKED_UP = "Slack couldn't look up this person. {error} Try again, or press Enter to continue."
NO_ADMINS = (
    "BOT_ADMINS isn't set. Typist admins can see usage and set quotas. To add them later, set it to member IDs, "
    "separated by commas."
)
CAP = (
    "How much can answers cost in a month? If each of the {people} members asks five questions a workday, {model}\n"
    "costs about {usd}. Enter dollars or none (press Enter for {proposed}): "
)
NOT_COUNTED = "Slack couldn't list the members, so no cap is proposed. {error} `typist settings` explains BOT_CAPS."
NO_CAP = "Enter an amount in dollars, such as 50, or none."
NO_TERMINAL = "typist init asks questions, so it needs a terminal. Without one, fill in .env and run typist check."
FIX = "Fix the problems marked ✘, then run this command again. Your input is saved in .env."
PLAIN_APP = (
    "This app doesn't have Slack's Agents feature: --agent doesn't change an existing app. `typist manifest --agent` "
    "prints the manifest of an app that has the feature."
)
SENT = "I sent {person} a message in Slack."
START = "Now start Typist: {command} run"
STOPPED = "\nStopped. Everything accepted so far is in .env. Run this command again to continue."


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    if not (has_terminal() and sys.stdout is not None and sys.stdout.isatty()):
        problems = [NO_TERMINAL]
        try:
            settings.read(env, needs_slack=True, needs_model=True)
        except SettingsError as error:
            problems += error.problems
        raise SettingsError(problems + ([] if env.get(ADMINS, "").strip() else [NO_ADMINS]))
    # Elsewhere, Ctrl-C ends the process immediately. Here that would leave the terminal without echo.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    check.replace_unencodable_output()
    try:
        # Echo is always off, not only during questions, because people paste the next token while one is being checked.
        with set_echo(is_on=False):
            return _Init(dict(env)).run(options)
    except (KeyboardInterrupt, EOFError):
        print(STOPPED)
        return check.EXIT_INTERRUPTED


class _Init:
    def __init__(self, env: dict[str, str]) -> None:
        self.env = env
        self._new_app: NewApp | None = None

    def run(self, options: argparse.Namespace) -> int:
        ours = self._settings()
        logs.set_up_quietly(ours.log_level, ours.log_format)
        if not self._has(BOT_TOKEN) and not self._has(APP_TOKEN):
            manifest = read_manifest(options, extra=settings.extra_scopes(ours))
            with manifest_file(manifest) as file:
                self._new_app = NewApp(manifest, file, self.env, ours.slack_config_token)
                self._new_app.introduce()
                while not self._has(BOT_TOKEN) and not self._has(APP_TOKEN):
                    self._ask(BOT_TOKEN)
                self._new_app = None
        for variable in (BOT_TOKEN, APP_TOKEN, *self._missing_keys()):
            while not self._has(variable):
                self._ask(variable)
        if not settings.models_in_use(self._settings()):
            self._ask(ANY_KEY)
        if not self._has(ADMINS):
            self._ask_for_admin()
        return asyncio.run(self._finish(wants_agent=options.agent))

    def _has(self, variable: str) -> bool:
        return bool(self.env.get(variable, "").strip())

    def _missing_keys(self) -> list[str]:
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
        """Returns the settings so far, plus pasted values. Raises SettingsError, except for missing keys."""
        missing = dict.fromkeys(self._missing_keys(), PLACEHOLDER_KEY)
        return settings.read({**self.env, **missing, **pasted})

    def _ask(self, wanted: str) -> None:
        print(f"\n{ASK[wanted]}")
        pasted = ""
        while True:
            pasted = hidden_answer(PASTE_AGAIN if pasted else self._prompt()).strip() or pasted
            variables = _possible_variables(pasted, wanted)
            variable = variables[0] if len(variables) == 1 else _choose_vendor(variables)
            if self._new_app and (not pasted or pasted.startswith("xoxe")):
                self._continue_with(self._new_app, pasted)
            elif self._has(variable):
                print(ALREADY_SET.format(variable=variable))
            elif pasted and variable:
                if variable != wanted != ANY_KEY:
                    print(OTHER_VARIABLE.format(variable=variable))
                if self._accepts(variable, pasted):
                    self._write(variable, pasted)
                    return
                continue
            pasted = ""

    def _prompt(self) -> str:
        return PASTE_OR_ENTER.format(enter_prompt=self._new_app.enter_prompt) if self._new_app else PASTE

    def _continue_with(self, new_app: NewApp, token: str) -> None:
        """Creates the app with a configuration token, which expires after 12 hours and isn't stored. Without a token,
        does what the prompt offers for Enter."""
        if not token:
            new_app.on_enter(self._settings())
            return
        if token.startswith("xoxe-"):
            print(NOT_ACCESS)
            return
        try:
            ours = self._settings(**{CONFIG_TOKEN: token})
        except SettingsError as error:
            print(*error.problems, sep="\n")
            return
        print(CHECKING)
        if new_app.create(ours):
            self.env[CONFIG_TOKEN] = token

    def _accepts(self, variable: str, pasted: str) -> bool:
        try:
            ours = self._settings(**{variable: pasted})
        except SettingsError as error:
            print(*error.problems, sep="\n")
            return False
        # Imported here because it loads Slack's and the vendors' libraries.
        from bot.checks.registry import run_all

        print(CHECKING)
        in_use, ours = ours, _add_model_of(KEYS.get(variable, ""), ours)
        own = self._checks_for(variable, ours)
        others = {id_ for name in (BOT_TOKEN, APP_TOKEN) if self._has(name) for id_ in self._checks_for(name, ours)}
        report = asyncio.run(run_all(ours, only=own | others if variable not in KEYS else own))
        for found in report.for_people:
            if found.status is CheckStatus.FAIL or (found.id in own and found.passed):
                print(*found.lines(), sep="\n")
        if ours is not in_use:
            print(NOT_IN_USE)
        return not any(found.status is CheckStatus.FAIL for found in report.checks if found.id in own)

    def _checks_for(self, variable: str, ours: Settings) -> set[str]:
        # Imported here because they load Slack's and the vendors' libraries.
        from bot.checks import registry

        both = {registry.SAME_APP} if ours.slack_bot_token and ours.slack_app_token else set()
        if variable == BOT_TOKEN:
            return {registry.BOT_TOKEN, registry.SCOPES, *both}
        if variable == APP_TOKEN:
            return {registry.APP_TOKEN, registry.SOCKET_MODE, *both}
        models = settings.models_in_use(ours)
        return {registry.MODEL.format(model) for model in models if model.partition("/")[0] == KEYS[variable]}

    def _write(self, variable: str, value: str) -> None:
        settings.add_to_env_file(variable, value)
        self.env[variable] = value
        print(WRITTEN.format(variable=variable))

    def _ask_for_admin(self) -> None:
        print()
        while words := visible_answer(WHICH_ADMIN):
            if "@" in words[1:]:
                print(NO_EMAILS)
                continue
            try:
                found = asyncio.run(self._find_member(words))
            except (RateLimited, Refused) as error:
                print(NOT_LOOKED_UP.format(error=error))
                continue
            people = [f"{in_one_line(name)} ({id_})" for id_, name in found.items()]
            if len(found) == 1:
                print(people[0])
                self._write(ADMINS, *found)
                self._ask_for_cap()
                return
            print(SEVERAL_MEMBERS.format(people=", ".join(people)) if found else NO_SUCH_MEMBER)

    def _ask_for_cap(self) -> None:
        """Asks for the workspace's monthly cap if the first model has a price, and turns the cost alert on."""
        ours = self._settings()
        model = settings.models_in_use(ours)[0]
        usd = settings.model_prices(ours).cost_usd(model, QUESTION, time.time())
        if usd is None or self._has(CAPS):
            return
        try:
            people = asyncio.run(self._count_members())
        except (RateLimited, Refused) as error:
            print(NOT_COUNTED.format(error=error))
            return
        usd *= people * QUESTIONS_A_MONTH
        proposed = f"{max(5, 5 * math.ceil(3 * usd / 5))}"
        shown = CAP.format(people=people, model=model, usd=texts.quotas.dollars(round(usd, 2)), proposed=f"${proposed}")
        while True:
            amount = visible_answer(shown).lower().removeprefix("$") or proposed
            cap = "" if amount == "none" else f"workspace/month={amount}usd"
            try:
                parse_caps(cap)
            except ValueError:
                print(NO_CAP)
                continue
            if cap:
                self._write(CAPS, cap)
            if not self._has(COST_ALERT):
                self._write(COST_ALERT, "on")
            return

    async def _count_members(self) -> int:
        from bot.slack.users import kind_of, pages_of_people

        async with open_slack(self._settings()) as slack:
            team_id, members = (await slack.identity()).team_id, 0
            async for page in pages_of_people(slack):
                members += sum(kind_of(person, team_id) is UserKind.MEMBER for person in page)
        return members

    async def _find_member(self, words: str) -> Mapping[str, str]:
        from bot.slack.users import find_members

        async with open_slack(self._settings()) as slack:
            return await find_members(slack, words)

    async def _finish(self, *, wants_agent: bool) -> int:
        from bot.checks.registry import run_all

        ours = settings.read(self.env, needs_slack=True, needs_model=True)
        print(f"\n{CHECKING}")
        report = await run_all(ours)
        print(report.text())
        if not report.is_ok:
            print(f"\n{FIX}")
            return EXIT_FAILED
        if wants_agent and not await _has_pane(ours):
            print(f"\n{PLAIN_APP}")
        if len(ours.admins) == 1:
            (admin,) = ours.admins
            person = (await names_of(ours, [admin])).get(admin, admin)
            if refused := await _greet(ours, admin, person):
                print("", *refused.lines(), FIX, sep="\n")
                return EXIT_FAILED
            print(f"\n{SENT.format(person=person)}")
        print(START.format(command=_own_command()))
        return 0


async def _has_pane(ours: Settings) -> bool:
    """Returns whether the app has Slack's Agents feature, or True if Slack can't be asked."""
    async with open_slack(ours) as slack:
        with suppress(RateLimited, Refused):
            return (await slack.identity()).has_pane
    return True


def _own_command() -> str:
    """Returns the command that started this process, because `typist` often isn't on the PATH."""
    program = Path(sys.argv[0])
    return f"{os.path.relpath(sys.executable)} -m bot" if program.name == "__main__.py" else str(program)


def _possible_variables(pasted: str, wanted: str) -> list[str]:
    """Returns the variable that a token or key is for, `wanted` if its format is unknown, or all possible variables."""
    named = next((name for prefix, name in PREFIXES.items() if pasted.startswith(prefix)), "")
    if named or (wanted and not vendor_of_key(pasted)):
        return [named or wanted]
    found = [VENDORS[vendor].api_key_variable for vendor in vendors_of_key(pasted)]
    # Other Slack tokens aren't keys, even if they match a vendor's format.
    return found[:1] if not pasted or pasted.startswith(tuple(settings.TOKEN_KINDS)) else found


def _choose_vendor(variables: Sequence[str]) -> str:
    vendors = {KEYS[variable]: variable for variable in variables}
    return vendors.get(visible_answer(WHICH_VENDOR.format(vendors=" or ".join(vendors))).lower(), "")


def _add_model_of(vendor: str, ours: Settings) -> Settings:
    """Returns settings that include a model for checking a vendor's key, even if no model in use is from that
    vendor."""
    models = settings.models_in_use(ours)
    if not vendor or any(model.partition("/")[0] == vendor for model in models):
        return ours
    entry = VENDORS[vendor]
    if not entry.is_own_server(ours.vendors.get(vendor, VendorSettings())):
        # Another server has other models.
        return ours
    return replace(ours, models=(*models, entry.default_model))


async def _greet(ours: Settings, admin: str, person: str) -> Finding | None:
    """Sends the admin, whose name is `person`, a direct message. Returns the reason if Slack refuses the message."""
    from bot.checks.slack import post_fix

    async with open_slack(ours) as slack:
        try:
            me = await slack.identity()
            await slack.post(channel=admin, text=texts.welcome.first_message_to_admin(me.name))
        except (RateLimited, Refused) as error:
            name = "ratelimited" if isinstance(error, RateLimited) else error.error.partition(" ")[0]
            return fail(f"Slack rejected the message to {person} ({name}).", post_fix(name))
    return None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--agent", action="store_true", help="use Slack's Agents feature")
    parser.add_argument("--name", default=DEFAULT_NAME, help=f"the app's name (default: {DEFAULT_NAME})")
    parser.add_argument(
        "--command",
        dest="slash_command",
        metavar="/NAME",
        default=DEFAULT_COMMAND,
        help=f"the slash command (default: {DEFAULT_COMMAND})",
    )


def _print_manifest(env: Mapping[str, str], options: argparse.Namespace) -> int:
    print(json.dumps(read_manifest(options, extra=settings.extra_scopes(settings.read(env))), indent=2))
    return 0


def read_manifest(options: argparse.Namespace, *, extra: Collection[str]) -> dict[str, Any]:
    try:
        return app_manifest(agent=options.agent, extra=extra, name=options.name, command=options.slash_command)
    except ValueError as problem:
        raise SettingsError([str(problem)]) from problem


MANIFEST = Subcommand(
    "print the manifest for creating the Slack app",
    "Prints the app's manifest as JSON. Paste it at api.slack.com/apps > Create New App > From a manifest. In a clone, "
    "the Slack CLI reads it. With BOT_SLACK_SEARCH=on, the manifest includes the scope "
    "search:read.public.",
    _print_manifest,
    add_arguments,
)
INIT = Subcommand(
    "connect to Slack for the first time: create the app, fill in .env and check the setup",
    "Asks for missing settings: the two Slack tokens, a model's API key and the Typist admin. Checks each answer, adds "
    "it to .env, and sends the admin a first message. Existing settings aren't changed.",
    run,
    add_arguments,
)
