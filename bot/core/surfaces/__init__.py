"""What Slack shows beside conversations: Home, modals, commands, the assistant's pane."""
