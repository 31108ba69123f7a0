"""`typist manifest`: prints the manifest from which Slack makes the app."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from bot import settings
from bot.errors import SettingsError
from bot.slack.manifest import DEFAULT_COMMAND, DEFAULT_NAME, app_manifest

HELP = "print the manifest to create the Slack app from"
DESCRIPTION = (
    "Prints the app's manifest as JSON. Paste it at api.slack.com/apps > Create New App > From a manifest. "
    "The Slack CLI asks for it by .slack/hooks.json. With BOT_SLACK_SEARCH=on it has the scope search:read.public."
)


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


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Prints the manifest and returns the exit code. Raises SettingsError."""
    print(json.dumps(chosen(options, search=settings.read(env).slack_search), indent=2))
    return 0


def chosen(options: argparse.Namespace, *, search: bool) -> dict[str, Any]:
    """Returns the manifest that the arguments choose. Raises SettingsError."""
    try:
        return app_manifest(agent=options.agent, search=search, name=options.name, command=options.slash_command)
    except ValueError as problem:
        raise SettingsError([str(problem)]) from problem
