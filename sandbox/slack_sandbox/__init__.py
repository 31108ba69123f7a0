"""A Slack on one's own machine, for the tests of any bot: Web API, Socket Mode, a page for people, Slack's limits."""

__version__ = "0.1.0"
