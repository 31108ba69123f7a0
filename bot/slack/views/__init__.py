"""What people open in Slack: a module a modal, and App Home."""
