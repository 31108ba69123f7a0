"""A local Slack for testing any bot: Web API, Socket Mode, a page for people, and Slack's limits."""

__version__ = "0.1.0"
