"""One sample bot in three dialects: slack_bolt, slack_bolt with asyncio, and @slack/bolt for JavaScript.

None of them knows the sandbox: they are written as Slack's documentation shows it, and get its base URL.

Beside it are a bot on vercel/chat (chat_sdk.js), and the calls of bots whose sources no registry has: Slack's samples
and ChatGPT-in-Slack were run or read once, and player.py and player.js make their calls with Slack's SDKs.
"""
