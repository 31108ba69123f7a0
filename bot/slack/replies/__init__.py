"""Replies in Slack: how they are scheduled, sent and recovered."""
