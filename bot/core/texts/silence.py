"""Text about rules in words: which answers are posted, and how often nothing was posted."""

from bot.core.texts.words import count

LABEL = "Post only if"
PLACEHOLDER = "something changed, or somebody is waiting"
HINT = "I'll do the task each time, and post the result only if this applies. Failures are always posted."
SILENT_RUNS = "Runs without a post"


def rule_text(rule: str) -> str:
    return f"only if: {rule}"


def posts_only_if(rule: str) -> str:
    """Describes a proposed rule for posting, or returns "" if there is none."""
    return f"I'll post the result only if: {rule}" if rule else ""


def runs_and_posts(runs: int, posts: int) -> str:
    return f"{count(runs, 'run', 'runs')}, {posts:,} with a post"


def rule_too_long(chars: int) -> str:
    return f"Please describe when to post in up to {chars:,} characters."
