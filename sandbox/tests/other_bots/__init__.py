"""One sample bot in three versions: slack_bolt, slack_bolt with asyncio, and @slack/bolt for JavaScript.

They are written as in Slack's documentation and don't depend on the sandbox, except that they get its base URL.

There are also a bot on vercel/chat (chat_sdk.js), and the calls of bots whose source isn't in any registry: Slack's
samples and ChatGPT-in-Slack were run or read once, and player.py and player.js make their calls with Slack's SDKs.
"""
