"""users.lookupByEmail, users.profile.get, usergroups.list and team.info."""

from slack_sandbox.web_api.method import App, Method, flag, required
from slack_sandbox.wire import profile_json, user_json
from slack_sandbox.workspace import TEAM_ID, Json, SlackError

_ICON = "https://a.slack-edge.com/80588/img/avatars-teams"
_ICON_SIZES = (34, 44, 68, 88, 102, 132, 230)


def lookup_by_email(app: App, args: Json) -> Json:
    email = required(args, "email").lower()
    for user in app.workspace.users.values():
        # Slack doesn't find deactivated and external users by their email address.
        if user.email == email and user.team_id == TEAM_ID and not user.deleted:
            return {"user": user_json(app.workspace, user, with_email=True)}
    raise SlackError("users_not_found")


def get_profile(app: App, args: Json) -> Json:
    user = app.workspace.users.get(str(args.get("user") or app.workspace.bot.id))
    if user is None:
        raise SlackError("user_not_found")
    return {"profile": profile_json(app.workspace, user, with_email="users:read.email" in app.scopes)}


def list_user_groups(app: App, args: Json) -> Json:
    shown = []
    for number, (handle, people) in enumerate(app.workspace.user_groups.items(), 1):
        if people or flag(args, "include_disabled"):
            group: Json = {
                "id": f"S0GROUP{number}",
                "team_id": TEAM_ID,
                "is_usergroup": True,
                "name": handle.title(),
                "handle": handle,
                "date_delete": 0 if people else 1_700_000_000,
            }
            shown.append(group | ({"users": people} if flag(args, "include_users") else {}))
    return {"usergroups": shown}


def team_info(app: App, args: Json) -> Json:
    if args.get("team") not in (None, "", TEAM_ID):
        raise SlackError("team_not_found")
    icon: Json = {f"image_{size}": f"{_ICON}/ava_0001-{size}.png" for size in _ICON_SIZES}
    return {
        "team": {
            "id": TEAM_ID,
            "name": app.workspace.name,
            "url": "https://sandbox.slack.com/",
            "domain": "sandbox",
            "email_domain": "sandbox.example",
            "icon": icon | {"image_default": True},
            "avatar_base_url": "https://ca.slack-edge.com/",
            "is_verified": False,
        }
    }


METHODS = {
    "users.lookupByEmail": Method(lookup_by_email, ("users:read.email",)),
    "users.profile.get": Method(get_profile, ("users.profile:read",)),
    "usergroups.list": Method(list_user_groups, ("usergroups:read",)),
    "team.info": Method(team_info, ("team:read",)),
}
