"""Paces calls to Slack, and decides when to retry calls that Slack declined.

Live replies share a workspace's budget of about 50 edits a minute, and each method has its own budget. A call passes
these steps:

1. Its method's pacer (pacer.py) decides when it can be sent, based on its urgency and the future needs of other live
   replies.
2. If the call posts, its channel must have room for another post (posts.py).
3. The ledger grants it. The ledger counts the calls of all processes before they are sent (ledger.py), and this process
   also counts its own for as long as Slack might count them (rates.py).
4. After a 429, all calls of the method, or all posts in the channel, wait, and later ones become less frequent. Slack's
   limit is learned and stored as a value (`Learned`) for other and later processes. The newest value counts.
5. The declined call itself is retried according to its caller's policy (retry.py).

`RateBudget` (budget.py) combines steps 1 to 4 for a workspace. The edit scheduler (bot/reply/scheduler.py) asks it
about live replies, and `PacedClient` (bot/slack/client.py) takes a `turn` for any other call. carriers.py decides
whether a reply is shown with edits or as a native stream, which have separate budgets.

Replies are opaque keys here, and the ledger is a protocol: this package doesn't know about questions, models or the
database. Callers pass in the time and receive times; only budget.py and retry.py wait.

docs/contributors/decisions.md describes the simulations behind the rules; `python -m benchmarks.pacing` runs this code.
"""
