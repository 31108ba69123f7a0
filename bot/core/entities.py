"""Entities: how mrkdwn and the text of our messages write `&`, `<` and `>`."""


def escape(text: str) -> str:
    """Returns a text with `&`, `<` and `>` as entities, so that none of it is markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """Returns a text with its entities decoded, once: `&amp;lt;` becomes `&lt;`."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
