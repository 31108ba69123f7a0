"""Hosts as DNS and browsers know them: IDNA, numeric addresses, public suffixes."""

import ipaddress
from functools import lru_cache

import idna
from publicsuffixlist import PublicSuffixList

MAX_HOST_CHARS = 253
"""How long a host can be in DNS."""
MAX_LABEL_CHARS = 63
"""How long each part of a host can be in DNS."""

_LOCAL = "alt corp example home internal intranet invalid lan local localdomain localhost onion private test"
_LOCAL_TLDS = frozenset(_LOCAL.split())
"""Top-level domains that are reserved, or that networks use for hosts of their own."""
_SUFFIXES = PublicSuffixList(accept_unknown=False, accept_encoded_idn=False)


@lru_cache(maxsize=1_024)
def is_tld(name: str) -> bool:
    """Whether a name is a top-level domain of the Internet or of local networks, in any script."""
    tld = _in_its_script(name.lower())
    return tld in _LOCAL_TLDS or _SUFFIXES.publicsuffix(f"a.{tld}") is not None


@lru_cache(maxsize=1_024)
def is_public_suffix(host: str) -> bool:
    """Whether strangers can have a name below a host (in ASCII), as below `co.uk` and `github.io`."""
    written = ".".join(map(_in_its_script, host.split(".")))
    return _SUFFIXES.publicsuffix(written) == written


def ascii_host(host: str) -> str:
    """Returns a host as it is looked up: letters of other scripts as `xn--…`, an IPv4 address as four numbers.

    What can't be a host is returned in lower case.
    """
    host = host.lower().removesuffix(".")
    if len(host) > MAX_HOST_CHARS:
        return host
    if not host.isascii():
        host = _idna(host)
    return ipv4(host) or ipv6(host) or host


def ipv4(host: str) -> str:
    """Returns the IPv4 address that browsers read in a host, as four decimal numbers; "" if it is none.

    Each number may be octal (`017`) or hexadecimal (`0x0f`), and the last may stand for several:
    https://url.spec.whatwg.org/#concept-ipv4-parser
    """
    if len(host) > MAX_HOST_CHARS or not host.isascii():
        return ""
    parts = host.split(".")
    try:
        *upper, last = [_number(part) for part in parts]
    except ValueError:
        return ""
    if len(parts) > 4 or any(number > 255 for number in upper) or last >= 256 ** (5 - len(parts)):
        return ""
    value = last + sum(number << 8 * (3 - at) for at, number in enumerate(upper))
    return str(ipaddress.IPv4Address(value))


def ipv6(host: str) -> str:
    """Returns an IPv6 address in its shortest form, with or without brackets; "" if a host is none."""
    try:
        return str(ipaddress.IPv6Address(host.strip("[]"))) if ":" in host else ""
    except ValueError:
        return ""


def _number(part: str) -> int:
    if not part.isalnum():
        raise ValueError
    if part[:2].lower() == "0x":
        return int(part[2:] or "0", 16)
    return int(part, 8 if part[0] == "0" else 10)


def _idna(host: str) -> str:
    """Returns a host in ASCII, as browsers look it up (UTS 46, not transitional)."""
    try:
        return idna.encode(host, uts46=True).decode()
    except UnicodeError:
        # Browsers look up names that are not registered by the rules, too, such as emoji.
        return ".".join(
            label if label.isascii() else "xn--" + label.encode("punycode").decode() for label in host.split(".")
        )


def _in_its_script(label: str) -> str:
    """Returns a host's label without Punycode, as the list of public suffixes has it."""
    try:
        return label[4:].encode().decode("punycode") if label.startswith("xn--") else label
    except UnicodeError:
        return label
