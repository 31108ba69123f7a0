"""Checks on a real Slack what the sandbox and the bot assume about it. `typist probe-slack` runs them.

Each check yields observations (checks.py), which the report compares with expectations (expectations.py).
"""
