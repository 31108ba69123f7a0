"""One sample bot in three dialects: slack_bolt, slack_bolt with asyncio, and @slack/bolt for JavaScript.

None of them knows the sandbox: they are written as Slack's documentation shows it, and get its base URL.
"""
