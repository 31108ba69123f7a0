from slack_sandbox.testing.browser import browser, visit

__all__ = ["browser", "visit"]
