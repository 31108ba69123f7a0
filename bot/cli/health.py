"""`typist health`: asks the bot that runs on this machine whether it is healthy."""

import argparse
from collections.abc import Mapping

from bot import settings
from bot.errors import SettingsError

HELP = "check the running bot; exits with 1 if it is unhealthy"
DESCRIPTION = "Prints what GET /health on BOT_HEALTH_PORT returns. Exits with 1 if the bot is unhealthy or not running."
EXIT_UNHEALTHY = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds nothing: the port is BOT_HEALTH_PORT."""


def run(env: Mapping[str, str], options: argparse.Namespace) -> int:
    """Prints the health and returns the exit code. Raises TypistError if no process answers."""
    ours = settings.read(env)
    from bot.services import health

    if ours.health_port is None:
        raise SettingsError(["BOT_HEALTH_PORT is not set. Set it to the same port for the bot and for this command."])
    is_healthy, body = health.ask(ours.health_port)
    print(body)
    return 0 if is_healthy else EXIT_UNHEALTHY
