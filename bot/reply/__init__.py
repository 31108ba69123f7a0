"""Streams an answer into Slack.

`Answer` holds the text. `Reply` compares the messages that Slack should show with those that it shows; both are pure.
The scheduler sends the difference at the pace that Slack allows, through delivery.py.
"""
