"""api.test, auth.test, bots.info, apps.connections.open and apps.manifest.*: identity, socket and manifest."""

import copy
import json
import secrets
from urllib.parse import urlencode

from slack_sandbox.manifest import read_manifest
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
        "is_enterprise_install": app.setup.is_organization,
        **({"enterprise_id": "E0SANDBOX"} if app.setup.is_organization else {}),
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


def create_app(app: App, args: Json) -> Json:
    try:
        manifest = json.loads(required(args, "manifest"))
    except (ValueError, RecursionError):
        raise SlackError("invalid_manifest", errors=[{"message": "must be JSON", "pointer": "/"}]) from None
    config = read_manifest(manifest)
    app_id = f"A0NEW{len(app.created) + 1}"
    app.created[app_id] = manifest
    client_id = f"{secrets.randbelow(10**12)}.{secrets.randbelow(10**13)}"
    issued = {name: secrets.token_hex(16) for name in ("client_secret", "verification_token", "signing_secret")}
    asked = urlencode({"client_id": client_id, "scope": ",".join(sorted(config.scopes))})
    return {
        "app_id": app_id,
        "credentials": {"client_id": client_id, **issued},
        "oauth_authorize_url": f"https://slack.com/oauth/v2/authorize?{asked}",
        "team_id": TEAM_ID,
        "team_domain": "sandbox",
    }


def export_manifest(app: App, args: Json) -> Json:
    app_id = required(args, "app_id")
    if app_id != APP_ID and app_id not in app.created:
        raise SlackError("app_not_found")
    made_from = app.manifest if app_id == APP_ID else app.created[app_id]
    if made_from is None:
        raise SlackError("failed_export")
    manifest = copy.deepcopy(made_from)
    manifest.pop("_metadata", None)
    # Slack adds settings that nobody requested.
    manifest.setdefault("settings", {}).setdefault("is_mcp_enabled", False)
    return {"manifest": manifest}


METHODS = {
    "api.test": Method(api_test, (), None),
    "auth.test": Method(auth_test),
    "bots.info": Method(bots_info, ("users:read",)),
    "apps.connections.open": Method(open_connection, ("connections:write",), "app"),
    "apps.manifest.create": Method(create_app, (), "config"),
    "apps.manifest.export": Method(export_manifest, (), "config"),
}
