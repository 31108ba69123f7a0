"""The shapes of all payloads that Slack sends: keys, types and nesting, and which keys can be missing.

They are based on recordings of the real Slack or, where a comment says so, on docs.slack.dev. The sandbox's output and
the recorded payloads in this package are compared with them.
"""
