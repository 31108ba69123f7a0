"""Posts pages and edits them.

An update whose answer was lost is sent again with newer text: twice does no harm. A post would stand in the thread
twice. So before a page is posted again, its earlier post is looked for, by the metadata that each page carries.
"""

from bot.core.reply.edits import Post, Update
from bot.slack.client import SlackClient
from bot.slack.format import reply_blocks
from bot.slack.replies.posted import metadata_of


async def post(client: SlackClient, call: Post) -> str:
    """Posts a page; returns the message's ts."""
    thread = call.question.thread
    _, ts = await client.post(
        channel=thread.channel_id,
        thread_ts=thread.thread_ts,
        metadata=metadata_of(call.question, call.page, call.view),
        **reply_blocks.message(call.view),
    )
    return ts


async def update(client: SlackClient, call: Update) -> None:
    """Edits a page's message."""
    await client.call(
        "chat.update",
        channel=call.question.thread.channel_id,
        ts=call.ts,
        metadata=metadata_of(call.question, call.page, call.view),
        **reply_blocks.message(call.view),
    )
