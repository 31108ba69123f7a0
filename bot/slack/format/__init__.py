"""Between our types and what Slack reads and writes: mrkdwn, rich text, Block Kit."""
