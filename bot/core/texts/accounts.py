"""User-facing text about accounts at MCP servers: signing in, and errors."""

from bot.core.texts.words import CardWords, count

SIGN_IN = "Sign in"
NOT_NOW = "Not now"
SIGN_IN_TITLE = "Sign in"
CARDS = {
    "sign_in": CardWords(
        "Signing you in…",
        "I continued without a sign-in",
        "should I continue the answer above with your sign-in or without it?",
        "a sign-in",
        "You wrote instead, so I'm not waiting for your sign-in anymore.",
    )
}
TERMS = "I'll use your account only for you. In a channel, I'll ask before each call."


def wants_sign_in(server: str, scope: str = "") -> str:
    if scope:
        return f"{server} needs more permissions for that: {scope}. Please sign in again to grant them."
    return f"To use {server} for you, I need you to sign in."


def open_page(server: str, host: str) -> str:
    """Returns the link text for the sign-in page. `host`: the page's host, which can differ from the server's."""
    return f"Sign in to {server} at {host}"


def confirm_page(host: str) -> str:
    return f"confirm a code at {host}"


ON_A_PHONE = "On a phone, there's a shorter way: "
"""Precedes a link to a page where people confirm a code."""


THEN_COPY = (
    "Sign in there and agree. Your browser will then fail to open a page: that's expected. Copy that page's URL and "
    "paste it here within ten minutes."
)
THEN_TYPE = "Sign in there and agree. The last page will show a code. Type it here within ten minutes."
NEVER_ELSEWHERE = "Never paste this URL into a message, and don't share it with anyone."
ADDRESS = "URL of the page that didn't open"
CODE = "Code on the last page"
KEEP_CODE = "Don't share this code with anyone."
CODE_IS_WRONG = "That code is wrong, expired or already used. Check it, or close this and press Sign in again."
TYPE_CODE = "Almost done. Go back to Slack and type this code where you pressed Sign in:"
NOT_YOURS = "If you didn't press Sign in in Slack yourself, close this page and don't share the code."
LINK_IS_OLD = "This link is from another sign-in, expired, or already used. Go back to Slack and press Sign in again."
NOT_GRANTED = "Access wasn't granted. Go back to Slack and press Sign in again, or Not now."
TRY_AGAIN = "I can't complete your sign-in right now. Please reload this page in a minute."
PASTED_IN_MESSAGE = (
    "That's a sign-in URL, and I can't use it here. Please delete your message and ask again. Then press Sign in and "
    "follow the steps there."
)
SIGN_IN_URL_REMOVED = "[sign-in URL removed]"
"""Replaces sign-in URLs in all text that Typist reads, records or sends to a model."""
CONFIRM_FIRST = "Then press Done."
DONE = "Done"
CONFIRM_AGAIN = (
    "The server hasn't confirmed yet that you agreed. Please press Sign in again and use the new code, or press Not "
    "now."
)
STILL_ASKING = (
    "I'm still asking the server whether you agreed. If nothing happens for two minutes, press Sign in again."
)


def confirm_then(code: str) -> str:
    return (
        f". Check that the page shows this code or enter it there, agree, and press Sign in here without a URL: {code}"
    )


def device_code_instructions(code: str) -> str:
    return f"Sign in there, check that the page shows this code or enter it, and agree: {code}"


NOTHING_WAITS = "Nothing is waiting for this sign-in anymore, so I didn't use it. If you still need it, ask me again."
NOT_SET_UP = "sign-ins to it aren't set up anymore"
NOT_THE_ADDRESS = (
    "That's not the URL of the page that didn't open: it must begin with http://127.0.0.1. If you see an error from "
    "the server instead, ask your Typist admin."
)
ADDRESS_IS_OLD = "This URL is from another sign-in, expired, or already used. Close this and press Sign in again."
DENIED_THERE = "The page says that access wasn't granted. Close this, and press Sign in again or Not now."


FROM_ANOTHER_SERVER = "the URL is from another server"


def browser_error_text(meaning: str) -> str:
    """Returns the sentence for an error that the browser showed, other than a denial. `meaning`: the end of the
    sentence."""
    why = f": {meaning}" if meaning else ""
    return (
        f"The server couldn't sign you in{why}. Please press Sign in below my message again. If it still doesn't work, "
        "ask your Typist admin."
    )


def sign_in_failed(server: str, why: str) -> str:
    return f"I couldn't sign you in to {server}: {why}. Please press Sign in again, or Not now."


def signed_in_message(server: str) -> str:
    return f"You're signed in to {server}. {WHERE_TO_SIGN_OUT}"


def sign_in_ended(server: str) -> str:
    return (
        f"Your sign-in to {server} has ended because {server} didn't renew it. I'll ask you to sign in again when I "
        "need it."
    )


ACCOUNTS_TITLE = "Accounts"
YOUR_ACCOUNTS = "Your accounts"
WHERE_TO_SIGN_OUT = "To sign out, use /typist accounts."
SIGNED_IN_TO = "Your sign-ins"
SIGN_OUT_HINT = "Uncheck a server to sign out. I'll forget your account there."
NO_ACCOUNTS = "You aren't signed in to any server."
EVERYBODY = "Everybody"
EVERYBODY_HINT = "You can see this because you're a Typist admin. Uncheck a server to sign everybody out of it."


def people_signed_in(server: str, people: int) -> str:
    return f"{server}: {count(people, 'person', 'people')}"[:75]


def everybody_signed_out(server: str, people: int, remaining: int) -> str:
    remain = f" {count(remaining, 'person is', 'people are')} still signed in: please try again." if remaining else ""
    return f"I signed {count(people, 'person', 'people') or 'nobody'} out of {server}.{remain}"


def signed_out_message(server: str) -> str:
    return f"You're signed out of {server}, and I've forgotten your account there."


SIGN_OUT_FAILED = "I couldn't sign you out. Please try again in a minute."


def account(server: str, since: str, scope: str) -> str:
    return f"{server}, since {since}{f' ({scope})' if scope else ''}"[:75]


def cannot_sign_in(server: str, why: str) -> str:
    return (
        f"Nobody can sign in to {server} right now: {why}. Please try again in a minute, or show this to your Typist "
        "admin."
    )
