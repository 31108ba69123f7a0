"""Fixtures for tests of the showcase in a real browser."""

from slack_sandbox.testing.browser import browser, visit

__all__ = ["browser", "visit"]
