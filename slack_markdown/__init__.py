"""The Markdown that models write, as Slack's `markdown` block takes it."""
