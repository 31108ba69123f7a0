"""Slack's two tokens: tells a bad token from a Slack that can't be reached for a while.

A token is bad only if Slack answers with an error from a closed list. Everything else may pass: rate limits, server
errors, a proxy's HTML page, a network that isn't up yet. Typist retries these forever and logs each try.

While the bot token counts as refused, the worker claims nothing and questions stay queued (services/worker.py). Any
call can find this out (`call_refused`), and only auth.test ends it (`watch`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from bot.clock import Clock
from bot.errors import RateLimited, Refused, SlackSetupError
from bot.slack.retry_policy import CONNECTION
from bot.slack.retrying import Retrying

BOT_ADVICE = "Copy it again from api.slack.com/apps → your app → OAuth & Permissions, or reinstall the app there."
APP_ADVICE = (
    "It must be an app-level token with the scope connections:write, from api.slack.com/apps → your app → "
    "Basic Information, and Socket Mode must be on."
)

REFUSED = frozenset(
    {
        "access_denied",
        "account_inactive",
        "app_uninstalled",
        "bot_removed",
        "ekm_access_denied",
        "enterprise_is_restricted",
        "forbidden_team",
        "invalid_auth",
        "missing_scope",
        "no_permission",
        "not_allowed_token_type",
        "not_authed",
        "org_login_required",
        "socket_mode_not_enabled",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
        "two_factor_setup_required",
        "user_removed_from_team",
    }
)
"""Errors of auth.test and apps.connections.open that only an admin can end, by the lists on docs.slack.dev."""
LOOK_S = 60.0
"""How often a running process checks whether its bot token is still valid."""
CONFIRM_S = 5.0
"""How soon it checks after a call was refused for the token. One wrong error must not delay questions for long."""

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass
class Credential:
    """One token, and whether Slack accepts it."""

    variable: str
    advice: str
    """The sentence that says what to do about a refused token."""
    clock: Clock
    problem: str = field(default="", init=False)
    """Why Slack doesn't accept the token now, as a sentence; "" if it does."""
    refused: bool = field(default=False, init=False)
    """Whether Slack called the token bad and hasn't accepted it since."""
    _doubted: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def used(self, call: Callable[[], Awaitable[T]]) -> T:
        """Returns the call's result. Raises SlackSetupError for a bad token, or else the call's own exception."""
        try:
            result = await call()
        except Refused as error:
            # missing_scope is followed by the scope.
            if error.error.partition(" ")[0] in REFUSED:
                self._refuse(error)
                raise SlackSetupError(self.problem) from error
            self.problem = f"Slack can't be reached: {error}"
            raise
        except RateLimited as error:
            self.problem = str(error)
            raise
        self.problem = ""
        self.refused = False
        return result

    def call_refused(self, error: Refused) -> None:
        """Counts the token as refused because any call was refused for it; `watch` soon confirms or clears that."""
        if not self.refused:
            self._refuse(error)
            log.error("%s", self.problem)
        self._doubted.set()

    async def insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """Retries a call until Slack accepts the token, and returns its result. Raises only SlackSetupError."""
        return await Retrying(CONNECTION, self.clock, "not connected yet").call(lambda: self.used(call))

    async def watch(self, call: Callable[[], Awaitable[object]]) -> None:
        """Checks the token every minute until canceled, so that the log and /readyz report a revoked token.

        After `call_refused`, it checks within CONFIRM_S.
        """
        while True:
            await self._next_look()
            before = self.problem
            try:
                await self.used(call)
            except SlackSetupError as error:
                if self.problem != before:
                    log.error("%s", error)
            except (RateLimited, Refused) as error:
                log.warning("%s not verified, retrying: %s", self.variable, error)
            else:
                if before:
                    log.info("%s is accepted by Slack again", self.variable)

    async def _next_look(self) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                await self._doubted.wait()
        except TimeoutError:
            return
        await self.clock.sleep(CONFIRM_S)
        self._doubted.clear()

    def _refuse(self, error: Refused) -> None:
        self.refused = True
        self.problem = f"Slack does not accept {self.variable} ({error.error}). {self.advice}"


def bot_credential(clock: Clock) -> Credential:
    """Returns the credential of the bot token, for all calls but the one that opens a socket."""
    return Credential("SLACK_BOT_TOKEN", BOT_ADVICE, clock)


def app_credential(clock: Clock) -> Credential:
    """Returns the credential of the app-level token, which opens sockets."""
    return Credential("SLACK_APP_TOKEN", APP_ADVICE, clock)
