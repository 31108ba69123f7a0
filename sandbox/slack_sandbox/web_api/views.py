"""views.open, views.push, views.update and views.publish."""

from slack_sandbox.views import View
from slack_sandbox.web_api.method import App, Method, required
from slack_sandbox.workspace import Json, SlackError


def open_view(app: App, args: Json) -> Json:
    trigger_id, view = required(args, "trigger_id"), _view(args)
    return _response(app, app.views.open(app.triggers.redeem(trigger_id).user_id, view))


def push(app: App, args: Json) -> Json:
    trigger_id, view = required(args, "trigger_id"), _view(args)
    trigger = app.triggers.redeem(trigger_id)
    if trigger.view_id is None:
        raise SlackError("invalid_trigger_id")
    return _response(app, app.views.push(trigger.user_id, view))


def update(app: App, args: Json) -> Json:
    if not args.get("view_id") and not args.get("external_id"):
        required(args, "view_id")
    previous = (
        app.views.get(args["view_id"]) if args.get("view_id") else app.views.find_by_external_id(args["external_id"])
    )
    if args.get("hash") and args["hash"] != previous.hash:
        raise SlackError("hash_conflict")
    return _response(app, app.views.update(previous.id, _view(args)))


def publish(app: App, args: Json) -> Json:
    user_id = required(args, "user_id")
    if user_id not in app.workspace.users:
        raise SlackError("user_not_found")
    if not app.config.home_tab:
        raise SlackError("not_enabled")
    return _response(app, app.views.publish(user_id, _view(args), args.get("hash")))


def _view(args: Json) -> Json:
    required(args, "view")
    view: Json = args["view"]
    return view


def _response(app: App, view: View) -> Json:
    return {"view": app.views.view_json(view)}


METHODS = {
    "views.open": Method(open_view),
    "views.push": Method(push),
    "views.update": Method(update),
    "views.publish": Method(publish),
}
