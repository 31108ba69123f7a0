"""Paces a Slack workspace's calls so that many live messages share Slack's limits fairly.

Each method has a budget for each workspace, such as about 50 edits a minute. A call goes through these steps:

1. The pacer of its method (pacer.py) decides when it can be sent, based on its urgency and on other live replies'
   needs.
2. If the call posts a message, its channel must have room for another post (posts.py).
3. The ledger, which counts the calls of all processes, must grant it (ledger.py). This process also counts its own
   calls for as long as Slack might count them (rates.py).
4. After a 429, all calls of the method, or all posts in the channel, have to wait, and calls become less frequent. The
   learned limit is stored (`LearnedLimit`) for other processes and later ones. The newest value counts.

`RateBudget` (budget.py) combines these steps: `paced_call` waits for a call's turn. `LiveMessage` (live.py) keeps one
message up to date with it. carriers.py decides whether a reply is shown with edits or as a native stream. The other
modules are pure. Callers pass in the current time and get times back.
"""
