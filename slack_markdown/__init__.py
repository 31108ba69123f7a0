"""Prepares the Markdown that models write for Slack's `markdown` block."""
