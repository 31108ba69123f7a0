"""What a model reads about a call of a tool that has no result."""

CALL_DENIED = "This tool may not be used here. Do without it."
CALL_LOST = (
    "Nobody knows whether this call happened: the connection to the tool was lost, or its time was up. "
    "Don't repeat the call. Say that it may or may not have happened."
)
CALL_LOST_READ_ONLY = "The tool did not answer: the connection was lost, or its time was up."
DEFINITION_CHANGED = "This tool has changed since it was offered, so the call was not made."
RESULT_UNREADABLE = "The tool ran, but its result can't be read. Don't repeat the call."
RESULT_TOO_LONG = (
    "The tool's server sent more than Typist reads at once (8 MB), so there is no result. The call may have happened: "
    "don't repeat it. If the tool can return less, say so."
)
SERVER_BUSY = "The tool's server has too many calls at once, so this call was not made."
SERVER_DOWN = "The tool's server can't be reached, so the call was not made. Do without it."
