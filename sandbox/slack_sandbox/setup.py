"""Problems with an app's installation that its manifest doesn't show."""

from dataclasses import dataclass

from slack_sandbox.workspace import APP_ID


@dataclass(frozen=True, slots=True)
class Setup:
    """The installation's state in Slack. The defaults describe a correct installation."""

    bot_token_error: str = ""
    """If set, every call with the bot token fails with this error: token_revoked, account_inactive or token_expired."""
    is_organization: bool = False
    """Whether the bot token belongs to an organization (Enterprise Grid) instead of a workspace."""
    app_token_error: str = ""
    config_token_error: str = ""
    app_token_scopes: frozenset[str] = frozenset({"connections:write"})
    app_token_app_id: str = APP_ID
    """The app that the app-level token belongs to. Sockets of another app don't get this app's events."""
    socket_mode: bool = True
    """If False, a socket gets the disconnect message link_disabled."""
    sends_hello: bool = True
    """If False, a socket opens but doesn't send anything."""
    lists_scopes: bool = True
    """If False, responses lack X-OAuth-Scopes, as if a proxy had removed it."""
    post_error: str = ""
    """If set, every post fails with this error, such as restricted_action, because of the workspace's policy."""
    has_ai_search: bool = False
    clock_ahead_s: float = 0.0
    """The seconds by which Slack's clock (in the Date header) is ahead of this machine's clock."""


DEFAULT_SETUP = Setup()
