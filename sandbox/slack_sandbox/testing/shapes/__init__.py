"""The shapes of what Slack sends: keys, types and nesting, and which keys may be missing.

They were declared from recordings of the real Slack; where there is none, from docs.slack.dev, and the shape says so.
What the sandbox emits and the recorded payloads beside this package are compared with them.
"""
