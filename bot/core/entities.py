"""The three characters that Slack's markup, and the text of our messages, write as entities."""


def escape(text: str) -> str:
    """Returns text that says the same and in which nothing is markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """Returns text with its entities replaced by the characters that they stand for, once."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
