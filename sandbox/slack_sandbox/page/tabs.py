"""A channel's tabs on the page: the canvases that were added to it, and its pinned messages."""

from slack_sandbox.files import Files
from slack_sandbox.workspace import Channel, Json, SlackError, Workspace


def tabs_json(workspace: Workspace, files: Files) -> list[Json]:
    """Returns the canvases and pins of each channel that has any, newest pin first."""
    pins: dict[str, list[Json]] = {}
    for (channel_id, ts), (_, user_id) in workspace.pins.items():
        pins.setdefault(channel_id, []).insert(0, {"ts": ts, "user_id": user_id})
    return [
        {"channel": channel.id, "canvases": _canvases_json(channel, files), "pins": pins.get(channel.id, [])}
        for channel in workspace.channels.values()
        if channel.tabs or channel.id in pins
    ]


def _canvases_json(channel: Channel, files: Files) -> list[Json]:
    return [{"id": canvas_id, "title": _title(canvas_id, files)} for canvas_id in channel.tabs]


def _title(canvas_id: str, files: Files) -> str:
    try:
        return files.get(canvas_id).title
    except SlackError:
        return "Deleted canvas"
