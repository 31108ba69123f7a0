"""Posts and deletes a reply's separate messages: mentions and links to canvases (bot/store/side_messages.py)."""

from collections.abc import Callable, Collection

from bot.core.job import MessageRole
from bot.core.outbox import OutboxEntry
from bot.reply.outbox_sender import SideMessage
from bot.reply.workspace import Workspace
from bot.store import Stores


async def update_side_messages(
    stores: Stores,
    workspace: Workspace,
    entry: OutboxEntry,
    wanted: SideMessage | None,
    roles: Collection[MessageRole],
    is_still_ours: Callable[[], bool] = lambda: True,
) -> None:
    """Posts the wanted message unless it already exists. Deletes outdated messages with these roles. Raises RateLimited
    and Refused. If an earlier try's post got no response, looks for it in Slack and deletes it unless it is the wanted
    message. Posts nothing once `is_still_ours()` is False."""
    sender = workspace.outbox_sender
    unrecorded = await sender.unrecorded_messages(entry, roles)
    ts = next((ts for ts, metadata in unrecorded.items() if wanted and metadata == wanted.metadata), None)
    gone = [
        message
        for message in entry.side_messages
        if message.role in roles and (message in entry.outdated_messages or not message.ts)
    ]
    await sender.delete_side_messages(
        entry, {message.ts for message in gone if message.ts} | (unrecorded.keys() - {ts})
    )
    if wanted:
        if ts is None:
            if not await stores.outbox.record_posting(entry, wanted.recorded()):
                return
            ts = await sender.post_side_message(entry, wanted, is_still_ours)
        await stores.outbox.record_posted(entry, wanted.recorded(ts))
    if gone:
        await stores.outbox.record_deleted(entry, gone)
