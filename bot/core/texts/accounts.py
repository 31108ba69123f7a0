"""User-facing text about accounts at MCP servers: signing in, and errors."""

from bot.core.texts.words import CardWords, count

SIGN_IN = "Sign in"
NOT_NOW = "Not now"
SIGN_IN_TITLE = "Sign in"
CARDS = {
    "sign_in": CardWords(
        "I continued without a sign-in", "shall I continue above with your sign-in or without it?", "a sign-in"
    )
}
TERMS = "I'll use your account only for you. In a channel, I'll ask before each call."
"""Small print below the question whether to sign in."""


def wants_sign_in(server: str) -> str:
    return f"To use {server} for you, I need you to sign in."


def wants_scope(server: str, scope: str) -> str:
    return f"{server} wants more rights for that: {scope}. Please sign in again to grant them."


def open_page(server: str, host: str) -> str:
    """The text of the link to the sign-in page. `host`: the page's host, which can differ from the server's."""
    return f"Sign in to {server} at {host}"


def confirm_page(host: str) -> str:
    return f"confirm a code at {host}"


ON_A_PHONE = "On a phone, there is less to do: "
"""Shown before the link to a page where people confirm a code."""


THEN_COPY = (
    "Sign in there and agree. Your browser then shows a page that can't be opened: that's expected. "
    "Copy that page's address and paste it here, within ten minutes."
)
THEN_TYPE = "Sign in there and agree. The last page shows a code. Type it here, within ten minutes."
NEVER_ELSEWHERE = "Never paste this address into a message, and never give it to anybody."
ADDRESS = "Address of the page that didn't open"
CODE = "Code on the last page"
KEEP_CODE = "Never give this code to anybody."
CODE_IS_WRONG = "That's not the code, or it's too old or used. Check it, or close this, and press Sign in again."
TYPE_CODE = "Almost done. Go back to Slack and type this code where you pressed Sign in:"
NOT_YOURS = "You didn't press Sign in in Slack yourself? Then close this page, and give the code to nobody."
LINK_IS_OLD = "This link is from another sign-in, too old, or used already. Go back to Slack and press Sign in again."
NOT_GRANTED = "Access was not granted. Go back to Slack and press Sign in again, or Not now."
TRY_AGAIN = "I can't take your sign-in right now. Please reload this page in a minute."
"""Shown by the page that a browser returns to (bot/accounts/page.py)."""
PASTED_IN_MESSAGE = (
    "That's the address of a sign-in, and I don't use it here. Please delete it, and ask again. Then press Sign in, "
    "and follow the steps there."
)
ADDRESS_REMOVED = "[sign-in address removed]"
"""Replaces a sign-in URL in everything that Typist reads, records and sends to a model."""
CONFIRM_FIRST = "Then press Done."
DONE = "Done"
CONFIRM_AGAIN = "I don't know yet that you agreed. Please press Sign in again, and use the new code, or press Not now."
STILL_ASKING = (
    "I'm still asking the server whether you agreed. If nothing happens for two minutes, press Sign in again."
)


def confirm_then(code: str) -> str:
    """Shown after the link of ON_A_PHONE."""
    return (
        f". Make sure that the page shows or gets this code, agree, and press Sign in here without an address: {code}"
    )


def enter_there(code: str) -> str:
    return f"Sign in there, make sure that the page shows or gets this code, and agree: {code}"


NOTHING_WAITS = "Nothing waits for this sign-in anymore, so I didn't use it. If you still need it, ask me again."
NOT_SET_UP = "sign-ins to it aren't set up anymore"
NOT_THE_ADDRESS = (
    "That's not the address of the page that didn't open. That one begins with http://127.0.0.1: If you see an error "
    "of the server in its place, ask your Typist admin."
)
ADDRESS_IS_OLD = "This address is from another sign-in, too old, or used already. Close this, and press Sign in again."
DENIED_THERE = "The page says that access was not granted. Close this, and press Sign in again, or Not now."
FAILED_THERE = (
    "The server couldn't sign you in. Please press Sign in below my message again. If that doesn't help, ask your "
    "Typist admin."
)
"""The browser reports an error other than a denial."""


def sign_in_failed(server: str, why: str) -> str:
    return f"I couldn't sign you in to {server}: {why}. Please press Sign in again, or Not now."


def signed_in(server: str) -> str:
    return f"You're signed in to {server}. /typist accounts signs you out."


def sign_in_ended(server: str) -> str:
    return f"Your sign-in to {server} has ended, because {server} didn't renew it. I'll ask you again when I need it."


ACCOUNTS_TITLE = "Accounts"
YOUR_ACCOUNTS = "Your accounts"
WHERE_TO_SIGN_OUT = "To sign out, write /typist accounts."
"""The list of accounts in App Home, and the line below it."""
SIGNED_IN_TO = "You're signed in to"
SIGN_OUT_HINT = "Uncheck a server to sign out: I forget your account there."
NO_ACCOUNTS = "You aren't signed in to any server."
EVERYBODY = "Everybody"
EVERYBODY_HINT = "You see this as a Typist admin. Uncheck a server to sign everybody out of it."


def people_signed_in(server: str, people: int) -> str:
    return f"{server}: {count(people, 'person', 'people')}"[:75]


def everybody_signed_out(server: str, people: int, remaining: int) -> str:
    """Reports a sign-out to the admin. `remaining`: the number of people who are still signed in."""
    remain = f" {count(remaining, 'person is', 'people are')} still signed in: please try again." if remaining else ""
    return f"I signed {count(people, 'person', 'people') or 'nobody'} out of {server}.{remain}"


SIGN_OUT_FAILED = "I couldn't sign you out. Please try again in a minute."


def account(server: str, since: str, scope: str) -> str:
    """One account in a list. `since`: a day."""
    return f"{server}, since {since}{f' ({scope})' if scope else ''}"[:75]


def cannot_sign_in(server: str, why: str) -> str:
    return f"Nobody can sign in to {server} right now: {why}. Try again in a minute, or show this to your Typist admin."
