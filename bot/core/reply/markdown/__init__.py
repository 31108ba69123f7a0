"""The Markdown of models, as Slack's markdown block takes it."""
