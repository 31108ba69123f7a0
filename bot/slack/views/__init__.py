"""Builds Slack views: App Home, and the modals, each in its own module."""
