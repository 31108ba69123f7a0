"""What Slack sent to apps, as recorded and published, and what its reference shows: JSON by folder."""
