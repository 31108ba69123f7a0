"""Slack's forms of text: Markdown, mrkdwn, emoji, and what people type."""
