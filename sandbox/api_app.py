"""auth.test and apps.connections.open: the app's identity and its socket address."""

from sandbox.api import App, Method
from sandbox.workspace import TEAM_ID, Json


def auth_test(app: App, args: Json) -> Json:
    del args
    bot = app.workspace.bot
    return {
        "url": "https://sandbox.slack.com/",
        "team": app.workspace.name,
        "user": bot.name,
        "team_id": TEAM_ID,
        "user_id": bot.id,
        "bot_id": bot.bot_id,
        "is_enterprise_install": False,
    }


def open_connection(app: App, args: Json) -> Json:
    del args
    return {"url": app.open_socket()}


METHODS = {
    "auth.test": Method(auth_test),
    "apps.connections.open": Method(open_connection, ("connections:write",), app_level=True),
}
