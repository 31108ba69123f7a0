"""Text in Slack: Markdown, mrkdwn, emoji, and typed text."""
