"""Block Kit: its elements, what people choose in them, how Slack stores blocks, and its rules and limits for them."""
