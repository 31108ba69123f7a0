"""Payloads that Slack sent to apps, recorded or published, and examples from its reference, as JSON by folder."""
