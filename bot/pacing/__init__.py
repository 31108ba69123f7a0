"""When a call to Slack may go, and when a call that Slack declined is tried again.

Live replies share a workspace's budget of about 50 edits a minute, and each method has its own. A call passes these:

1. The pacer of its method (pacer.py) says when it may go, by its urgency and by what other live replies will need.
2. If it posts, its channel must take another post, too (posts.py).
3. The ledger grants it. It counts the calls of all processes before they leave (ledger.py), and they are counted once
   more here, as long as Slack may count them (rates.py).
4. After a 429, all calls of the method wait, or all posts in the channel, and later ones get rarer: what Slack takes is
   learned. It is a value (`Learned`), so that other processes and later ones can go by it. The newest one counts.
5. The declined call itself is tried again by its caller's policy (retry.py).

`RateBudget` (budget.py) brings 1 to 4 together for a workspace. The edit scheduler (bot/reply/scheduler.py) asks it
about live replies, and `PacedClient` (bot/slack/client.py) takes a `turn` of it for any other call. carriers.py says
whether edits or a native stream carry a reply: they have budgets of their own.

Replies are opaque keys here, and the ledger is a protocol: this package knows no question, no model and no database.
Callers pass in the time, and get times, except in budget.py and retry.py, which wait.

docs/contributors/decisions.md has the simulations behind the rules; `python -m benchmarks.pacing` runs this code.
"""
