"""Prepares a model's Markdown for Slack's `markdown` block."""
