"""Streams an answer into Slack.

`Answer` collects the text. `Reply` computes the difference between the messages that Slack should show and the messages
that it currently shows. Both are pure. The scheduler sends the difference through delivery.py, at the pace that Slack
allows.
"""
