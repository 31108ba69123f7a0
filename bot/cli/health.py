"""`typist health`: asks the bot that runs on this machine whether it is ready."""

import argparse
from collections.abc import Mapping

from bot import settings
from bot.errors import SettingsError

HELP = "check the running bot; exits with 1 if it isn't ready"
DESCRIPTION = "Prints what GET /readyz on BOT_HEALTH_PORT returns. Exits with 1 if the bot isn't ready or not running."
EXIT_NOT_READY = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds nothing: BOT_HEALTH_HOST and BOT_HEALTH_PORT say where."""


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Prints the response and returns the exit code. Raises TypistError if no process answers."""
    ours = settings.read(env)
    from bot.services import health

    if ours.health_port is None:
        raise SettingsError(["BOT_HEALTH_PORT is not set. Set it to the same port for the bot and for this command."])
    is_ready, body = health.ask(ours.health_host, ours.health_port)
    print(body)
    return 0 if is_ready else EXIT_NOT_READY
