"""Builds views in Slack: App Home, and one module per modal."""
