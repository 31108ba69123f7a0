"""How an app's installation can be wrong in ways that its manifest does not say."""

from dataclasses import dataclass

from slack_sandbox.workspace import APP_ID


@dataclass(frozen=True, slots=True)
class Setup:
    """What an admin did in Slack. The defaults are an app that is set up well."""

    bot_token_error: str = ""
    """Every call with the bot token is refused with this error: token_revoked, account_inactive, token_expired."""
    is_organization: bool = False
    """The bot token is an organization's (Enterprise Grid), and no workspace's."""
    app_token_error: str = ""
    """Every call with the app-level token is refused with this error."""
    config_token_error: str = ""
    """Every call with the configuration token is refused with this error."""
    app_token_scopes: frozenset[str] = frozenset({"connections:write"})
    app_token_app_id: str = APP_ID
    """The app that the app-level token belongs to. Sockets of another app get no events of this one."""
    socket_mode: bool = True
    """Off: a socket gets the disconnect message link_disabled."""
    sends_hello: bool = True
    """Off: a socket opens, and nothing comes."""
    lists_scopes: bool = True
    """Off: answers have no X-OAuth-Scopes, as if a proxy had removed it."""
    post_error: str = ""
    """The workspace's policy refuses every post with this error: restricted_action and others."""
    has_ai_search: bool = False
    """assistant.search.info says that the workspace has Slack's AI search."""
    clock_ahead_s: float = 0.0
    """How far Slack's clock, in the header Date, is ahead of this machine's."""


WELL_SET_UP = Setup()
