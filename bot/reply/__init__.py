"""An answer, from the model's text to what Slack shows.

`Answer` (answer.py) holds the text. `Reply` (reply.py) knows which messages Slack should show and which it does show;
both are pure. The scheduler (scheduler.py) sends the difference at the pace that Slack allows, by way of delivery.py.
"""
