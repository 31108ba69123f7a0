"""Block Kit: its elements, people's choices in them, how Slack stores blocks, and its rules and limits for them."""
