"""Text about MCP servers for users and models, such as why a server is down or how a call ended."""

DOWN_CLOSED = "the connection is closed"
DOWN_NO_ANSWER = "no answer in time"
DOWN_STARTING = "it is starting"
DOWN_LATE = "it has not listed its tools yet"
LATE = (DOWN_STARTING, DOWN_LATE)
"""Reasons that only mean that a server is slow. A later question might get its tools."""
DOWN_SIGN_IN = "people must sign in there"
DOWN_NO_SIGN_IN = "people must sign in there, and nobody can: `typist check` says why"
DOWN_HEADER_REFUSED = "HTTP 401: it refuses the Authorization header in BOT_MCP_CONFIG"
DOWN_HEADERS_REFUSED = "HTTP 401: it refuses the headers in BOT_MCP_CONFIG"
DOWN_WITHOUT_HEADERS = "HTTP 401: it requires credentials"
DOWN_FORBIDDEN = "HTTP 403: it forbids access"
REFUSALS = (DOWN_HEADER_REFUSED, DOWN_HEADERS_REFUSED, DOWN_WITHOUT_HEADERS, DOWN_FORBIDDEN)
"""Reasons that last until an admin changes BOT_MCP_CONFIG or the server's permissions."""
DOWN_NOT_FOUND = "HTTP 404: it has nothing at this URL"
DATABASE_UNAVAILABLE = "the database is away"
DOWN_NO_POST = "HTTP 405: it doesn't accept POST requests"
DOWN_REDIRECTS = "HTTP {status}: it redirects to another URL"
DOWN_NOT_MCP = "HTTP {status}: the response isn't from an MCP server"
DOWN_UNREADABLE = "its answer can't be read"
DOWN_NO_HTTP = "it ends the connection, or gives an answer that isn't HTTP"
DOWN_VERSION = "it takes no version of MCP that Typist offers"
DOWN_TOO_LONG = "it sent more than 8 MB at once"
CALL_DENIED = "This tool may not be used here. Do without it."
CALL_LOST = "The connection to the tool was lost before it answered."
CALL_LATE = "The tool did not answer within {limit_s:g} s, which is the limit for its calls."
DEFINITION_CHANGED = "This tool has changed since it was offered, so the call was not made."
RESULT_UNREADABLE = "The tool ran, but its result can't be read. Don't repeat the call."
RESULT_TOO_LONG = (
    "The call was made, but its result is too long to be read: more than 8 MB. Don't repeat it as it is. "
    "If the tool can return less, ask for less."
)
ANOTHER_TOO_LONG = "The tool's server sent more than 8 MB at once, so its connection was closed."
NO_REASON = "The tool failed with error {code}, and gave no reason."
REFUSED_BY_STATUS = "The tool's server refused the call with HTTP {status}."
SCOPE_LACKING = (
    "It wants a scope that was not granted: {scope}. Where people sign in, Typist's admin can add it to oauth.scopes "
    "in BOT_MCP_CONFIG. Then they have to sign out with /typist accounts, and sign in again."
)
TOOLS_MISSING = "Tools of {servers} can't be reached now, so you don't have them. If they are needed, say so."
TOOLS_LATE = (
    "Tools of {servers} aren't listed yet: their servers are late, not down. You don't have these tools in this "
    "answer. If they are needed, say so, and ask the person to try again in a minute."
)
TOOLS_CLOSED = (
    "Tools of {servers} need the person's own sign-in, which isn't possible here now, so you don't have them. Their "
    "servers do answer. If they are needed, say so, and that Typist's admin finds the reason by `typist check`."
)
TOOLS_LEFT_OUT = (
    "These tools were left out, because they are too many, too large or described wrongly: {tools}. "
    "If they are needed, say so."
)
SERVER_BUSY = "The tool's server has too many calls at once, so this call was not made."
SERVER_DOWN = "The tool's server can't be reached, so the call was not made. Do without it."
NOTHING = "(The tool returned nothing.)"
FAILED_SILENTLY = "(The tool failed, and gave no reason.)"
