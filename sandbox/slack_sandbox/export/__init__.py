"""A Slack export as the sandbox's workspace: the ZIP that Slack's admins download, read in place.

`archive.py` reads the ZIP within bounds, `entries.py` what stands in it, `index.py` where each message is and which
words it has, and `opened.py` makes the workspace of all that. Nothing is written to disk, and no address is fetched.
"""
