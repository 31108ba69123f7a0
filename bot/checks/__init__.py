"""Checks of settings, Slack, models, MCP servers and the database, for `typist check` and at startup."""
