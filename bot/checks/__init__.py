"""What `typist check` and the start look at: settings, Slack, models, MCP servers and the database."""
