"""Paces calls to Slack, and decides when to retry calls that Slack declined.

Each method has a budget per workspace, such as about 50 edits a minute. A call passes these steps:

1. Its method's pacer (pacer.py) decides when it can be sent, based on its urgency and other live replies' needs.
2. If the call posts, its channel must have room for another post (posts.py).
3. The ledger, which counts the calls of all processes, grants it (ledger.py). This process also counts its own calls
   for as long as Slack might count them (rates.py).
4. After a 429, all calls of the method, or all posts in the channel, wait, and later calls become less frequent. The
   learned limit is stored (`Learned`) for other and later processes; the newest value counts.
5. The declined call itself is retried according to its caller's policy (retry.py).

`RateBudget` (budget.py) combines steps 1 to 4. The edit scheduler (bot/reply/scheduler.py) asks it about live replies,
and `PacedClient` (bot/slack/client.py) takes a `turn` for any other call. carriers.py decides whether a reply is shown
with edits or as a native stream. Callers pass in the time and receive times; only budget.py and retry.py wait.

docs/contributors/decisions.md describes the simulations behind the rules; `python -m benchmarks.pacing` runs this code.
"""
