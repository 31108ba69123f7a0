"""Parses the WWW-Authenticate headers in a response with which a server refuses a request (RFC 9110, 11.6.1). Pure."""

import re
from collections.abc import Mapping

_PARAMETER = re.compile(
    r"""(?<![\w-])([\w-]++)\s*+=\s*+(?:"((?:[^"\\]|\\.)*)"|'([^']*+)'|([^\s,;"']++))""", re.ASCII | re.DOTALL
)
"""Matches a parameter's name and its value, which is bare or quoted (some servers use nonstandard quotes)."""
_MAX_CHARS = 8_000


def challenge_values(headers: Mapping[str, str], name: str) -> list[str]:
    """Returns the values of a parameter, such as "scope", from the challenges in a response."""
    found = _PARAMETER.finditer(headers.get("www-authenticate", "")[:_MAX_CHARS])
    values = (re.sub(r"\\(.)", r"\1", one[2] or one[3] or one[4] or "") for one in found if one[1].lower() == name)
    return [value for value in values if value]
