"""Text of thread statuses. Slack shows the app's name before a status."""

from bot.core.texts.words import one_line_excerpt, web_query_text

STATUS_QUEUED = "has queued your question…"
STATUS_THINKING = "is thinking…"
STATUS_LISTENING = "is listening…"
STATUS_WRITING = "is writing… Reply “stop” to stop me"
STATUS_TRYING_AGAIN = "is trying again…"
STATUS_LOADING = "is waiting for the model to load…"
STATUS_TAKES_LONG = "is still waiting for the model's first word…"


def status_searching(query: str) -> str:
    return f"is searching {web_query_text(query)}"


def status_progress(note: str) -> str:
    return f"is working: {one_line_excerpt(note).rstrip('.…')}…"


def status_running(activity: str) -> str:
    return f"is {activity[:1].lower()}{activity[1:]}"
