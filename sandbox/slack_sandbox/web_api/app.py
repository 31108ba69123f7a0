"""api.test, auth.test, bots.info, apps.connections.open and apps.manifest.export: identity, socket and manifest."""

import copy

from slack_sandbox.web_api.method import App, Method, required
from slack_sandbox.wire import bot_json
from slack_sandbox.workspace import APP_ID, TEAM_ID, Json, SlackError


def api_test(app: App, args: Json) -> Json:
    del app
    fields: Json = {"args": args} if args else {}
    if error := args.get("error"):
        raise SlackError(str(error), **fields)
    return fields


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


def bots_info(app: App, args: Json) -> Json:
    bot_id = required(args, "bot")
    for user in app.workspace.users.values():
        if user.bot_id == bot_id:
            return {"bot": bot_json(app.workspace, user)}
    raise SlackError("bot_not_found")


def export_manifest(app: App, args: Json) -> Json:
    if required(args, "app_id") != APP_ID:
        raise SlackError("app_not_found")
    if app.manifest is None:
        raise SlackError("failed_export")
    manifest = copy.deepcopy(app.manifest)
    manifest.pop("_metadata", None)
    # Slack adds settings that nobody made.
    manifest.setdefault("settings", {}).setdefault("is_mcp_enabled", False)
    return {"manifest": manifest}


METHODS = {
    "api.test": Method(api_test, (), None),
    "auth.test": Method(auth_test),
    "bots.info": Method(bots_info, ("users:read",)),
    "apps.connections.open": Method(open_connection, ("connections:write",), "app"),
    "apps.manifest.export": Method(export_manifest, (), "config"),
}
