"""Streams an answer into Slack.

`Answer` collects the text. `Reply` compares the messages that Slack should show with the messages that Slack shows.
Both are pure. The scheduler sends the difference through delivery.py, at the pace that Slack allows.
"""
