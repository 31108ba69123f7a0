"""Uses a Slack export, the ZIP that Slack admins download, as the sandbox's workspace, without unpacking it.

`archive.py` reads the ZIP within limits, `entries.py` interprets its entries, `index.py` indexes each message's
position and words, and `opened.py` builds the workspace. Nothing is written to disk, and no URL is fetched.
"""
