"""Settings from the environment and `.env`, validated at startup.

No other module reads the environment. A `parse` function raises ValueError with a message that follows the variable's
name: "must be a whole number from 1 to 10".
"""

import difflib
import fnmatch
import importlib.util
import ipaddress
import os
import re
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import Field, dataclass, field, fields, replace
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

from bot import identity
from bot.core.access import OPTIONAL_KINDS, AccessRules, UserKind
from bot.core.calls import PROPOSALS, READ_CHANNEL, SLACK
from bot.core.caps import Cap, parse_caps
from bot.core.prompt import DEFAULT_SYSTEM_PROMPT
from bot.core.texts.models import MODEL_NAME_CHARS, OWN_NAMES, ModelNames
from bot.core.triage import Engagement
from bot.errors import SettingsError
from bot.mcp.config import McpSetup, read_setup
from bot.models.events import Usage
from bot.models.prices import CustomPrice, ModelPrices, is_vendors_server, parse_prices, vendor_of_model
from bot.models.prompt import WebSearch
from bot.models.registry import VENDORS, Cloud, VendorEntry, models_that_search, vendor_of_key, vendor_settings
from bot.models.setup import ModelSetup, RequestOptions, VendorSettings
from bot.slack.manifest import EMAIL_SCOPE, GROUPS_SCOPE, PINS_SCOPE, SEARCH_SCOPE
from slack_pacing.carriers import CarrierName

ENV_FILE = Path(".env")
_MASK = "***"
_URL = re.compile(
    r"(?P<scheme>[\w+]+)://(?P<user>[^@/?#]*@)?(?P<rest>(?:[\w.,-]|:\d+(?=[/,?]|$)|\[[0-9a-fA-F:]+\])*(?:/[^@?#]*)?)(?:\?[^@]*)?"
)

_PLAIN = re.compile(r"[\w.,:/@%+=-]+")
_DIGITS = re.compile(r"[0-9]{1,12}")
_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
_QUOTES = "\"'`“”„‘’«»"
_CLOUD_NAME = re.compile(r"[a-z0-9][a-z0-9.:-]*")
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9-]+")
_PUBLIC_URL = re.compile(
    r"(?:https://(?:[a-z0-9-]+\.)*[a-z0-9-]+|http://(?:127\.0\.0\.1|localhost))(?::[1-9]\d{0,4})?/?"
)
MAX_DOMAINS = 100
"""OpenAI's limit for a web search's domains."""
MAX_MODELS = 99
"""Slack's menus have at most 100 options, and the first option is the default."""

SOURCES = {
    "SLACK_BOT_TOKEN": "api.slack.com/apps → your app → OAuth & Permissions → Bot User OAuth Token (xoxb-…)",
    "SLACK_APP_TOKEN": "api.slack.com/apps → your app → Basic Information → App-Level Tokens, "
    "with the scope connections:write (xapp-…)",
    **{vendor.api_key_variable: vendor.api_key_page for vendor in VENDORS.values() if not vendor.cloud},
}


def _api_key(value: str) -> str:
    if kind := next((kind for start, kind in TOKEN_KINDS.items() if value.startswith(start)), None):
        raise ValueError(f"must be a model's key; this is {kind} of Slack")
    return _secret(value)


def _secret(value: str) -> str:
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError("must be one word of ASCII letters, digits and symbols. Copy it again")
    return value


def _split_list(value: str) -> list[str]:
    """Returns the entries of a comma-separated list, without empty ones."""
    return [entry.strip() for entry in value.split(",") if entry.strip()]


def _secret_keys(value: str) -> tuple[str, ...]:
    keys = tuple(_split_list(value))
    if not all(re.fullmatch("[A-Za-z0-9_-]{43}=", key) for key in keys):
        how = "openssl rand -base64 32 | tr '+/' '-_'"
        raise ValueError(f"must be 44-character keys, newest first. To generate one: {how}")
    return keys


def _url(value: str) -> str:
    if not value.startswith(("http://", "https://")):
        raise ValueError("must start with https:// or http://")
    try:
        parts = urlsplit(value)
        is_url = bool(parts.hostname) and parts.port != 0 and value.isprintable() and " " not in value
    except ValueError:
        is_url = False
    if not is_url:
        raise ValueError("must be a URL such as https://host/path or http://127.0.0.1:8000/v1")
    return value


def _public_url(value: str) -> str:
    """Parses a URL that has only a host and a port. A path would change the URL to which a sign-in redirects."""
    if not _PUBLIC_URL.fullmatch(value.lower()):
        raise ValueError("must be a URL such as https://typist.example.com, with HTTPS and without a path")
    return value.lower().rstrip("/")


def _cloud_name(value: str) -> str:
    if not _CLOUD_NAME.fullmatch(value):
        raise ValueError("must be a name of lowercase letters, digits and hyphens, as the cloud's console shows it")
    return value


def _database_url(value: str) -> str:
    if not value.startswith(("sqlite://", "postgresql://", "postgres://")):
        raise ValueError("must start with sqlite:// or postgresql://")
    return value


TOKEN_KINDS = {
    "xoxb-": "a bot token",
    "xoxp-": "a user token",
    "xapp-": "an app-level token",
    "xoxe.xoxp-": "an app configuration token",
    "xoxe.xoxb-": "a rotating bot token, which Typist doesn't renew",
    "xoxe-": "a refresh token",
}
_JOINER = re.compile("(?<=[\u2600-\u27bf\ufe0f\U0001f000-\U0001faff])\u200d(?=[\u2190-\u2bff\U0001f000-\U0001faff])")
"""Matches the character that joins emoji into one: 🏳️‍🌈."""
_SECRET = re.compile(rf"\b(?:sk-|{'|'.join(map(re.escape, TOKEN_KINDS))})[\w.-]{{7,}}\w|(?<=:/)/?[^\s/@]+@")
"""Matches a possible token, key or password in a sentence about a setting into which somebody put it by mistake."""


def _token(prefix: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not value.startswith(prefix):
            kind = next((kind for start, kind in TOKEN_KINDS.items() if value.startswith(start)), None)
            raise ValueError(f"must start with {prefix}" + (f"; this is {kind}" if kind else ""))
        return _secret(value)

    return parse


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Returns a parser for a whole number in a range. Python refuses to parse thousands of digits."""

    def parse(value: str) -> int:
        if not _DIGITS.fullmatch(value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low:,} to {high:,}")
        return int(value)

    return parse


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value.lower()

    return parse


def _address_and_port(value: str) -> tuple[str, int]:
    """Parses a port on the loopback interface, or an address with a port, such as 0.0.0.0:8080 or [::]:8080."""
    address, _, port = value.rpartition(":")
    try:
        host = str(ipaddress.ip_address(address.strip("[]"))) if address else "127.0.0.1"
        return host, whole_number(1, 65_535)(port)
    except ValueError:
        raise ValueError(
            "must be a port from 1 to 65,535, or an IP address of this machine and a port, such as 0.0.0.0:8080"
        ) from None


def _on_off(value: str) -> bool:
    return _one_of("on", "off")(value) == "on"


_RUN_TOGETHER = re.compile(rf"[^\w/.:@-](?:{'|'.join(VENDORS)})/")
"""Matches a second model that follows something other than a comma. Some servers' model names contain spaces."""


def parse_models(value: str) -> tuple[str, ...]:
    """Parses a comma-separated list of models, without names (`openai/llama3.2 as Our Llama`). Raises ValueError."""
    # Slack's menu doesn't accept a model twice.
    models = tuple(dict.fromkeys(model for model, _ in _named_models(value)))
    if wrong := next((model for model in models if not model.isprintable()), None):
        raise ValueError(f"must have plain spaces only; {wrong!r} isn't one model")
    for model in models:
        vendor, _, name = model.partition("/")
        if vendor not in VENDORS or not name:
            vendors, hint = ", ".join(VENDORS), _suggestion(model)
            raise ValueError(
                f"must list models as vendor/model, where vendor is one of {vendors}; {model!r} isn't one ({hint})"
            )
    if not models:
        raise ValueError("must list at least one model, as vendor/model")
    if len(models) > MAX_MODELS:
        raise ValueError(f"must have at most {MAX_MODELS} models: Slack's settings modal can't show more")
    return models


def _suggestion(model: str) -> str:
    for separator in "/:":
        vendor, _, name = model.partition(separator)
        if name and (similar := difflib.get_close_matches(vendor.lower(), VENDORS, n=1, cutoff=0.8)):
            return f"did you mean {similar[0]}/{name}?"
    if "/" not in model and (vendor := vendor_of_model(model)) in VENDORS:
        return f"did you mean {vendor}/{model}?"
    if default := VENDORS[model.strip("/")].default_model if model.strip("/") in VENDORS else "":
        return f"for example {default}"
    return "for another server with OpenAI's API, write openai/ before the model's name"


def parse_model_names(value: str) -> dict[str, str]:
    """Returns display names, by model, if they differ from the model's name. Raises ValueError. A display name is the
    name after `as`, or vendor/model if models of two vendors have the same name."""
    listed = dict(_named_models(value))
    chosen = {model: name for model, name in listed.items() if name is not None}
    for model, name in chosen.items():
        if not (0 < len(name) <= MODEL_NAME_CHARS and _JOINER.sub("", name).isprintable()):
            limit = f"1 to {MODEL_NAME_CHARS} printable characters"
            raise ValueError(f"must have a name of {limit} after `{model} as`")
    names = {model: chosen.get(model) or OWN_NAMES.label(model) for model in listed}
    taken = Counter(name.casefold() for name in names.values())
    shared = [model for model, name in names.items() if taken[name.casefold()] > 1]
    if both := [model for model in shared if model in chosen]:
        raise ValueError(f"must not have the name {chosen[both[0]]!r} for two models")
    return {**{model: model for model in shared}, **chosen}


def _named_models(value: str) -> list[tuple[str, str | None]]:
    """Returns the listed models, each with its name after `as` or None. Raises ValueError if a comma is missing."""
    entries = _split_list(value)
    if wrong := next((entry for entry in entries if _RUN_TOGETHER.search(entry)), None):
        raise ValueError(f"must have a comma between two models; {wrong!r} isn't one model")
    named = [re.split(r"\s+as(?:\s+|\Z)", entry, maxsplit=1, flags=re.IGNORECASE) for entry in entries]
    return [(model, name[0] if name else None) for model, *name in named]


def _transcription_model(value: str) -> str:
    vendor, _, name = value.partition("/")
    able = [vendor for vendor, entry in VENDORS.items() if entry.can_transcribe]
    if vendor not in able or not name:
        raise ValueError(
            f"must be a model as vendor/model, where vendor is {' or '.join(able)}, such as openai/gpt-transcribe"
        )
    return value


def parse_model_option(value: str, option: str = "--model") -> tuple[str, ...]:
    try:
        return parse_models(value)
    except ValueError as problem:
        raise SettingsError([f"{option} {problem}."]) from problem


def _ids(pattern: str, description: str) -> Callable[[str], frozenset[str]]:
    def parse(value: str) -> frozenset[str]:
        ids = frozenset(_split_list(value))
        for wrong in sorted(name for name in ids if not re.fullmatch(pattern, name)):
            raise ValueError(f"must be a comma-separated list of {description}; {wrong!r} isn't one")
        return ids

    return parse


def parse_web_search(value: str) -> WebSearch | None:
    """Parses on, off, or a comma-separated list of hosts. Returns None for off. Raises ValueError."""
    if value.lower() in ("on", "off"):
        return WebSearch() if value.lower() == "on" else None
    domains = tuple(_split_list(value.lower()))
    for wrong in (domain for domain in domains if not _DOMAIN.fullmatch(domain)):
        raise ValueError(f"must be on, off, or a list of domains such as docs.example.com; {wrong!r} isn't one")
    if len(domains) > MAX_DOMAINS:
        raise ValueError(f"must have at most {MAX_DOMAINS} domains")
    return WebSearch(domains)


_users = _ids("[UWB][A-Z0-9]+", "member IDs such as U0123ABCD (in Slack: profile > Copy member ID)")
_named_people = _ids(
    rf"[UWBS][A-Z0-9]+|@[a-z0-9_-]+|@{_DOMAIN.pattern}",
    "member IDs such as U0123ABCD, user groups such as @support, and email domains such as @example.com",
)
_channels = _ids("[CGD][A-Z0-9]+", "channel IDs such as C0123ABCD (in Slack: at the end of the channel's details)")


def _people(value: str) -> frozenset[str]:
    return _named_people(re.sub("@[^,]*", lambda name: name[0].lower(), value))


def _kinds(value: str) -> frozenset[UserKind]:
    choices = _ids("|".join(OPTIONAL_KINDS), ", ".join(OPTIONAL_KINDS))
    return frozenset(map(UserKind, choices(value.lower())))


def _file_name(value: str) -> str:
    """Parses a file name. Raises ValueError for a value that looks like a file's content, because an error message
    could show a key."""
    if value.startswith(("{", "[")):
        raise ValueError("must be the path of a file, not its content")
    return value


def _path(value: str) -> Path:
    """Parses a path and expands ~, which an environment file doesn't expand."""
    try:
        return Path(value).expanduser()
    except RuntimeError:
        return Path(value)


def _weekly(value: str) -> str:
    # Imported late, because few people set it and the import takes longer than some commands.
    from bot.core.schedules import parse_weekly_rule

    parse_weekly_rule(value)
    return value


def _house_questions(value: str) -> str:
    if value.lower() in ("on", "off"):
        return "on" if _on_off(value) else ""
    return _weekly(value)


def _price_file(value: str) -> tuple[CustomPrice, ...]:
    path = _path(_file_name(value))
    try:
        prices = parse_prices(path.read_text("utf-8-sig"))
        for pattern in map(str, prices):
            if not fnmatch.filter(VENDORS, pattern.partition("/")[0]):
                raise ValueError(f"{pattern!r} doesn't match any vendor that Typist supports ({_suggestion(pattern)})")
        return prices
    except FileNotFoundError:
        raise ValueError(f"points to {path}, which doesn't exist. Create it, or leave the setting empty") from None
    except UnicodeDecodeError:
        raise ValueError(f"points to {path}, which isn't UTF-8. Save it as UTF-8") from None
    except OSError as error:
        raise ValueError(f"points to {path}, which can't be read: {os.strerror(error.errno or 0)}") from None
    except ValueError as problem:
        raise ValueError(f"points to {path}, which can't be used: {problem}") from None


def _setting(variable: str, parse: Callable[[str], Any] = str, default: Any = "", secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"variable": variable, "parse": parse})


@dataclass(frozen=True)
class Settings:
    """All settings. The repr doesn't include secrets."""

    slack_bot_token: str = _setting("SLACK_BOT_TOKEN", _token("xoxb-"), secret=True)
    slack_app_token: str = _setting("SLACK_APP_TOKEN", _token("xapp-"), secret=True)
    slack_config_token: str = _setting("SLACK_CONFIG_TOKEN", _token("xoxe.xoxp-"), secret=True)
    identity: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """The placeholders for the asker's identity in headers, by variable or server."""
    cost_alert: bool = _setting("BOT_COST_ALERT", _on_off, False)
    identifies_creators: bool = _setting("BOT_IDENTITY_IN_RUNS", _on_off, False)
    slack_search: bool = _setting("BOT_SLACK_SEARCH", _on_off, False)
    read_channel: bool = _setting("BOT_READ_CHANNEL", _on_off, True)
    read_tabs: bool = _setting("BOT_READ_TABS", _on_off, False)
    notify: bool = _setting("BOT_NOTIFY", _on_off, False)
    alert_runs: int = _setting("BOT_ALERT_RUNS", whole_number(0, 10_000), 0)
    slack_api_url: str = _setting("BOT_SLACK_API_URL", _url, "https://slack.com/api/")
    vendors: Mapping[str, VendorSettings] = field(default_factory=dict)
    """Settings by vendor. The registry defines the vendors' names and variables."""
    models: tuple[str, ...] = _setting("BOT_MODELS", parse_models, ())
    model_names: ModelNames = field(default=OWN_NAMES)
    misnamed_variables: Mapping[str, str] = field(default_factory=dict)
    """Typist's variables, by the names under which other programs read them."""
    system_prompt: str = _setting("BOT_SYSTEM_PROMPT")
    history_tokens: int = _setting("BOT_HISTORY_TOKENS", whole_number(500, 1_000_000), 16_000)
    max_output_tokens: int = _setting("BOT_MAX_OUTPUT_TOKENS", whole_number(16, 128_000), 8_192)
    stall_timeout_s: int = _setting("BOT_STALL_TIMEOUT_S", whole_number(1, 3_600), 60)
    carrier: CarrierName | None = None
    """The carrier for all replies, which only tests and benchmarks set. Otherwise, Typist chooses a carrier for each
    reply."""
    done_mention_s: int = _setting("BOT_DONE_PING_S", whole_number(0, 86_400), 60)
    engagement: str = _setting("BOT_ENGAGEMENT", _one_of(*Engagement), Engagement.FOLLOW_UPS.value)
    web_search: WebSearch | None = _setting("BOT_WEB_SEARCH", parse_web_search, None)
    transcribe: str = _setting("BOT_TRANSCRIBE", _transcription_model, "")
    welcome: bool = _setting("BOT_WELCOME", _on_off, True)
    database_url: str = _setting("DATABASE_URL", _database_url, "sqlite:///typist.db", secret=True)
    retention_days: int = _setting("BOT_RETENTION_DAYS", whole_number(1, 36_500), 30)
    weekly_report: str = _setting("BOT_WEEKLY_REPORT", _weekly, "")
    """When the report is due, in the format of `parse_weekly_rule` (core/schedules.py), or "" for never."""
    house_questions: str = _setting("BOT_HOUSE_QUESTIONS", _house_questions, "")
    """"on" if answers can be kept as tests, or also when to run the tests, as in `weekly_report`."""
    catch_up_hours: int = _setting("BOT_CATCH_UP_HOURS", whole_number(0, 168), 12)
    admins: frozenset[str] = _setting("BOT_ADMINS", _users, frozenset())
    allow_also: frozenset[UserKind] = _setting("BOT_ALLOW_ALSO", _kinds, frozenset())
    allow_users: frozenset[str] = _setting("BOT_ALLOW_USERS", _people, frozenset())
    allow_channels: frozenset[str] = _setting("BOT_ALLOW_CHANNELS", _channels, frozenset())
    mcp_config: str = _setting("BOT_MCP_CONFIG", _file_name)
    mcp: McpSetup = field(default=McpSetup())
    secret_keys: tuple[str, ...] = _setting("BOT_SECRET_KEYS", _secret_keys, (), secret=True)
    """Keys that encrypt people's accounts at MCP servers, newest first."""
    caps: tuple[Cap, ...] = _setting("BOT_CAPS", parse_caps, ())
    prices: tuple[CustomPrice, ...] = _setting("BOT_PRICES", _price_file, ())
    max_concurrent_per_user: int = _setting("BOT_MAX_CONCURRENT_PER_USER", whole_number(1, 10_000), 3)
    drain_s: int = _setting("BOT_DRAIN_S", whole_number(0, 3_600), 25)
    health_at: tuple[str, int] | None = _setting("BOT_HEALTH_PORT", _address_and_port, None)
    public_url: str = _setting("BOT_PUBLIC_URL", _public_url)
    traces_url: str = _setting("BOT_TRACES_URL", _url)
    log_level: str = _setting("BOT_LOG_LEVEL", _one_of("debug", "info", "warning", "error"), "info")
    log_format: str = _setting("BOT_LOG_FORMAT", _one_of("text", "json"), "text")

    @property
    def runs_kept_tests(self) -> bool:
        return self.house_questions not in ("", "on")

    def with_vendor(self, name: str, vendor: VendorSettings) -> "Settings":
        return replace(self, vendors={**self.vendors, name: vendor})


def is_set(env: Mapping[str, str], variable: str) -> bool:
    """Returns whether a secret has a value, either directly or in a file."""
    return bool(env.get(variable) or env.get(variable + FILE_SUFFIX))


def log_format(env: Mapping[str, str]) -> str:
    return "json" if env.get("BOT_LOG_FORMAT", "").strip().lower() == "json" else "text"


_VARIABLE = re.compile(r"\$\{([^{}:]*)\}")
_UNSET_FIX = "Set it, or write ${NAME:-} if it can be empty. In DATABASE_URL, write $ as %24"


def environment(env_file: Path = ENV_FILE) -> dict[str, str]:
    """Returns the process's environment, plus variables from `.env` that it doesn't have. Raises SettingsError."""
    statements = list(parse_stream(StringIO(_env_text(env_file))))
    known = os.environ.keys() | {statement.key for statement in statements}
    problems = ((_line_of(one), _statement_error(one) or _unset_reference(one, known)) for one in statements)
    if wrong := [(line, problem) for line, problem in problems if problem]:
        raise SettingsError([f"{env_file}, line {line}: {problem}." for line, problem in wrong])
    text = "".join(_without_empty_repetitions(statements))
    from_file = {name: value for name, value in dotenv_values(stream=StringIO(text)).items() if value is not None}
    return {**from_file, **os.environ}


def _statement_error(binding: Binding) -> str:
    """Returns the problem with a line of `.env`, worded to follow the line's location, or "" if the line is valid."""
    _, _, value = binding.original.string.partition("=")
    if binding.error and value.lstrip()[:1] in ("'", '"'):
        return "the value's quotes must be closed, with at most a comment after them"
    # A name alone is left alone, but not a key that was pasted without its name.
    is_pasted = binding.key is not None and binding.value is None and not binding.key.isupper()
    is_wrong = binding.error or is_pasted or (binding.key is not None and not _NAME.fullmatch(binding.key))
    return "must be NAME=value, or a comment after #" if is_wrong else ""


def _unset_reference(binding: Binding, known: Collection[str | None]) -> str:
    """Returns the rest of a sentence about a value that refers to an unset variable, or ""."""
    if binding.key not in variables() or binding.key in os.environ:
        return ""
    # The variable isn't named, because it might be part of a password.
    is_lost = any(name not in known for name in _VARIABLE.findall(binding.value or ""))
    return f"the value has ${{…}} with a variable that is not set. {_UNSET_FIX}" if is_lost else ""


def _without_empty_repetitions(statements: Iterable[Binding]) -> Iterator[str]:
    """Yields the statements of `.env`, without empty ones that would override an earlier value."""
    named = set()
    for statement in statements:
        if statement.value or statement.key not in named:
            yield statement.original.string
        if statement.value:
            named.add(statement.key)


def override_warnings(env_file: Path) -> list[str]:
    """Returns a sentence for each line of `.env` whose value is overridden by a later line with another value."""
    statements = [one for one in parse_stream(StringIO(_env_text(env_file))) if one.key and one.value]
    last = {one.key: one for one in statements}
    replaced = [(one, last[one.key]) for one in statements if one.value != last[one.key].value]
    return [
        f"{env_file}, line {_line_of(one)}: {one.key} has another value in line {_line_of(other)}, which counts."
        for one, other in replaced
    ]


def _line_of(binding: Binding) -> int:
    """Returns a statement's line number. The parser includes preceding blank lines in a statement."""
    statement = binding.original.string
    return binding.original.line + statement[: len(statement) - len(statement.lstrip())].count("\n")


def add_to_env_file(name: str, value: str, env_file: Path = Path(".env")) -> None:
    """Adds a setting to `.env` atomically. The file is readable only by its owner. Raises SettingsError."""
    statements = list(parse_stream(StringIO(_env_text(env_file))))
    texts = [statement.original.string for statement in statements]
    quoted = "'{}'".format(value.replace("\\", "\\\\").replace("'", "\\'"))
    line = f"{name}={value if _PLAIN.fullmatch(value) else quoted}\n"
    lines_of_it = [number for number, statement in enumerate(statements) if statement.key == name]
    if lines_of_it:
        old = texts[lines_of_it[-1]]
        texts[lines_of_it[-1]] = old[: len(old) - len(old.lstrip())] + line
    else:
        if texts and not texts[-1].endswith("\n"):
            texts.append("\n")
        texts.append(line)
    target = env_file.resolve()
    try:
        # The file gets mode 600.
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".env.", delete=False) as new:
            try:
                new.write("".join(texts).encode())
                new.flush()
                os.fsync(new.fileno())
                os.replace(new.name, target)
            except BaseException:
                os.unlink(new.name)
                raise
    except OSError as error:
        raise SettingsError([f"{env_file} can't be written: {os.strerror(error.errno or 0)}. Change that."]) from error
    if environment(env_file).get(name) != value:
        raise SettingsError([f"{name} is empty in the environment, which overrides {env_file}. Unset it there."])


def _env_text(env_file: Path) -> str:
    try:
        # Read as bytes, to keep line endings unchanged.
        return env_file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return ""
    except IsADirectoryError:
        raise SettingsError([f"{env_file} is a directory. Remove it, or put a file with the settings there."]) from None
    except UnicodeDecodeError:
        # Not chained, because the error contains the file's text.
        raise SettingsError([f"{env_file} isn't UTF-8. Save it as UTF-8."]) from None
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise SettingsError([f"{env_file} can't be read: {reason}. Change that, or remove the file."]) from error


def read(env: Mapping[str, str], *, needs_slack: bool = False, needs_model: bool = False) -> Settings:
    """Returns the validated settings. Empty variables count as unset. Raises SettingsError with all problems."""
    env = _read_secret_files(env)
    problems = _unknown_variables(env)
    values: dict[str, Any] = {}
    for setting in _setting_fields():
        value = _parse_variable(env, setting.metadata["variable"], setting.metadata["parse"], problems)
        if value is not None:
            values[setting.name] = value
    mcp = _read_mcp_setup(values.get("mcp_config"), env, values.get("public_url", ""), problems)
    names = ModelNames(_parse_variable(env, "BOT_MODELS", parse_model_names, problems) or {})
    settings = Settings(**values, vendors=_vendors(env, problems), mcp=mcp, model_names=names)
    settings = replace(settings, misnamed_variables=_find_misnamed(env, settings), identity=_identity(env, settings))
    # Each sentence begins with the missing variable.
    problems += [sentence + _misnamed_hint(env, sentence.partition(" ")[0]) for sentence in missing_access(settings)]
    problems += _contradictions(settings)
    if settings.traces_url:
        problems += _missing_extra("BOT_TRACES_URL", "telemetry", "opentelemetry.sdk")
    if not settings.database_url.startswith("sqlite:"):
        problems += _missing_extra("PostgreSQL in DATABASE_URL", "postgresql", "psycopg")
    if needs_slack:
        problems += [
            f"{variable} is not set. Get it at {SOURCES[variable]} and put it into .env.{_misnamed_hint(env, variable)}"
            for variable in ("SLACK_BOT_TOKEN", "SLACK_APP_TOKEN")
            if not env.get(variable, "").strip()
        ]
    if needs_model and not env.get("BOT_MODELS", "").strip() and not models_in_use(settings):
        pages = {vendor.api_key_variable: vendor.api_key_page for vendor in VENDORS.values() if vendor.api_key_variable}
        keys = " or ".join(f"{variable} (from {page})" for variable, page in pages.items())
        problems.append(f"No model is configured. Set {keys} in .env.{_misnamed_hint(env, *pages)}")
    if problems:
        # A variable used for two settings is read twice.
        raise SettingsError([_SECRET.sub(_MASK, problem) for problem in dict.fromkeys(problems)])
    return settings


FILE_SUFFIX = "_FILE"
"""Suffix of variables that contain the path of a secret's file. Docker and Kubernetes put secrets into files."""


def secret_variables() -> list[str]:
    keys = [vendor.api_key_variable for vendor in VENDORS.values() if vendor.api_key_variable]
    return [setting.metadata["variable"] for setting in _setting_fields() if not setting.repr] + keys


def _read_secret_files(env: Mapping[str, str]) -> Mapping[str, str]:
    """Returns the environment with the secret files' content instead of their paths. Raises SettingsError."""
    whole, problems = dict(env), []
    for variable in secret_variables():
        path = whole.pop(variable + FILE_SUFFIX, "").strip()
        if path and whole.get(variable, "").strip():
            problems.append(f"{variable} and {variable}{FILE_SUFFIX} are both set. Remove one of them.")
        elif path:
            try:
                whole[variable] = _path(path).read_text("utf-8-sig").strip()
                wrong = "" if whole[variable] else "is empty"
            except OSError as error:
                wrong = f"can't be read: {os.strerror(error.errno or 0)}"
            except ValueError:
                # Not chained, because the error contains the secret.
                wrong = "isn't UTF-8 text"
            if wrong:
                # Somebody might have put the secret itself there.
                named = path if "/" in path and "://" not in path else "a file"
                problems.append(f"{variable}{FILE_SUFFIX} points to {named}, which {wrong}.")
    if problems:
        raise SettingsError(problems)
    return whole


def variables() -> list[str]:
    of_vendors = [variable for vendor in VENDORS.values() for variable in _vendor_variables(vendor).values()]
    return [setting.metadata["variable"] for setting in _setting_fields()] + of_vendors


def _vendor_variables(vendor: VendorEntry) -> dict[str, str]:
    cloud = vendor.cloud
    named = {
        "api_key": vendor.api_key_variable,
        "base_url": vendor.base_url_variable,
        "api": vendor.api_variable,
        "region": cloud.region_variable if cloud else "",
        "project": cloud.project_variable if cloud else "",
    }
    return {name: variable for name, variable in named.items() if variable}


def _setting_fields() -> list[Field[Any]]:
    return [setting for setting in fields(Settings) if "variable" in setting.metadata]


def _vendors(env: Mapping[str, str], problems: list[str]) -> dict[str, VendorSettings]:
    vendors = {}
    for name, vendor in VENDORS.items():
        parsers = {"api_key": _api_key, "base_url": _url, "api": _one_of(*vendor.apis)}
        values: dict[str, str] = {
            field: _parse_variable(env, variable, parsers.get(field, _cloud_name), problems) or ""
            for field, variable in _vendor_variables(vendor).items()
        }
        if any(values.values()):
            vendors[name] = VendorSettings(**values)
            problems += _misplaced_key(name, vendors[name])
    return vendors


def _misplaced_key(name: str, settings: VendorSettings) -> list[str]:
    """Returns a problem if a vendor would receive another vendor's key."""
    vendor, issuer = VENDORS[name], vendor_of_key(settings.api_key)
    if issuer in ("", name) or not vendor.is_own_server(settings):
        return []
    theirs = VENDORS[issuer]
    prefix = next(prefix for prefix in theirs.key_prefixes if settings.api_key.startswith(prefix))
    return [
        f"{vendor.api_key_variable} has a key that begins with {prefix}, which belongs in {theirs.api_key_variable}. "
        f"Move it there. If another server uses this key, set {vendor.base_url_variable}."
    ]


def _read_mcp_setup(path: str | None, env: Mapping[str, str], public_url: str, problems: list[str]) -> McpSetup:
    if path is None:
        return McpSetup()
    try:
        return read_setup(_path(path), env, public_url)
    except SettingsError as error:
        problems += error.problems
        return McpSetup()


def has_telemetry() -> bool:
    """Returns whether metrics and traces can be recorded, which requires the extra telemetry."""
    return _is_installed("opentelemetry.sdk")


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        # The parent package.
        return False


def _missing_extra(needed_for: str, extra: str, module: str) -> list[str]:
    """Returns a problem if a module that belongs to an extra isn't installed."""
    if _is_installed(module):
        return []
    return [f"{needed_for} needs the extra {extra}. Install it: {install_command(extra)}"]


def pip_install_command() -> str:
    """Returns the start of a command that installs packages for this Python, whatever PATH is."""
    if _is_installed("pip"):
        return f"{shlex.quote(sys.executable)} -m pip install"
    # In the image, and in environments created by uv.
    return f"pip --python {shlex.quote(sys.prefix)} install"


def install_command(extra: str) -> str:
    """Returns the command that installs an extra's packages, however Typist is installed."""
    # Imported late, because the import takes 20 ms.
    from importlib import metadata

    try:
        requirements = metadata.requires("typist") or []
    except metadata.PackageNotFoundError:
        # A clone in which only the pinned packages are installed.
        return f"{pip_install_command()} --editable '.[{extra}]'"
    packages = [
        text
        for text, _, marker in (line.partition("; ") for line in requirements)
        if extra in re.findall(r"\w+", marker)
    ]
    return f"{pip_install_command()} {' '.join(map(shlex.quote, packages))}"


def _parse_variable(env: Mapping[str, str], variable: str, parse: Callable[[str], Any], problems: list[str]) -> Any:
    """Returns a variable's value, or None if it is unset or invalid. Adds to `problems` if it is invalid."""
    value = env.get(variable, "").strip()
    if not value:
        return None
    if parse is not str and len(value) > 1 and value[0] in _QUOTES and value[-1] in _QUOTES:
        # Docker's --env-file and Kubernetes treat quotes as part of the value.
        problems.append(f"{variable} has quotes around its value. Write it without them.")
        return None
    if parse is not str and not all(char.isprintable() or char.isspace() for char in _JOINER.sub("", value)):
        problems.append(f"{variable} has an invisible character, perhaps from copying. Type it again.")
        return None
    try:
        return parse(value)
    except ValueError as problem:
        problems.append(f"{variable} {problem}.")
        return None


def models_in_use(settings: Settings) -> tuple[str, ...]:
    """Returns BOT_MODELS, or by default the default model of each vendor whose API key is set."""
    if settings.models:
        return settings.models
    return tuple(
        vendor.default_model
        for name, vendor in VENDORS.items()
        if name in settings.vendors and settings.vendors[name].api_key
    )


def model_setup(settings: Settings) -> ModelSetup:
    options = RequestOptions(settings.max_output_tokens, model_prices(settings))
    return ModelSetup(models_in_use(settings), settings.vendors, options, settings.stall_timeout_s)


def ineffective_settings(settings: Settings) -> list[str]:
    """Returns a sentence for each model to which a setting doesn't apply."""
    unable = set(models_in_use(settings)) - models_that_search(model_setup(settings)) if settings.web_search else ()
    sentence = "BOT_WEB_SEARCH has no effect on {}: its server doesn't offer web search."
    return [sentence.format(model) for model in sorted(unable)]


def model_prices(settings: Settings) -> ModelPrices:
    base_urls = {name: vendor.base_url for name, vendor in settings.vendors.items() if vendor.base_url}
    return ModelPrices(settings.prices, base_urls)


def access_rules_of(settings: Settings) -> AccessRules:
    return AccessRules(settings.allow_also, settings.allow_users, settings.allow_channels)


def extra_scopes(settings: Settings) -> frozenset[str]:
    rules = access_rules_of(settings)
    has_email = any(identity.EMAIL in sent for sent in settings.identity.values())
    needs = {
        SEARCH_SCOPE: settings.slack_search,
        PINS_SCOPE: settings.read_tabs,
        GROUPS_SCOPE: rules.groups or settings.notify,
        EMAIL_SCOPE: rules.domains or has_email,
    }
    return frozenset(scope for scope, is_needed in needs.items() if is_needed)


def changed_settings(settings: Settings) -> dict[str, str]:
    """Returns non-default settings by variable, for operators. Secrets are masked."""
    shown = {
        field.metadata["variable"]: _displayed_value(field.metadata["variable"], value)
        for field in _setting_fields()
        if (value := getattr(settings, field.name)) != field.default
    }
    named = {model: f"{model} as {name}" for model, name in settings.model_names.chosen.items() if model != name}
    if named:
        shown["BOT_MODELS"] = ", ".join(named.get(model, model) for model in settings.models)
    if settings.secret_keys:
        shown["BOT_SECRET_KEYS"] = _MASK
    for name, vendor in settings.vendors.items():
        for field_name, variable in _vendor_variables(VENDORS[name]).items():
            if value := getattr(vendor, field_name):
                written = _without_secrets(value) if field_name == "base_url" else value
                shown[variable] = _MASK if field_name == "api_key" else written
    return shown


def _displayed_value(variable: str, value: object) -> str:
    match value:
        case str() if variable in ("DATABASE_URL", "BOT_SLACK_API_URL", "BOT_TRACES_URL"):
            return _without_secrets(value)
        case str() if variable.endswith("_TOKEN"):
            return f"{value.partition('-')[0]}-{_MASK}"
        case str() if variable == "BOT_SYSTEM_PROMPT":
            return f"{len(value):,} characters"
        case bool():
            return "on" if value else "off"
        case WebSearch():
            return ", ".join(value.allowed_domains) or "on"
        case (str(host), int(port)):
            return f"{host}:{port}"
        case frozenset() | tuple():
            parts = [one.setting if isinstance(one, Cap) else str(one) for one in value]
            return ", ".join(sorted(parts) if isinstance(value, frozenset) else parts)
    return str(value)


def _without_secrets(url: str) -> str:
    """Returns a URL without user, password and query, or only its scheme if part of a password might remain."""
    match = _URL.fullmatch(url)
    if match is None:
        return f"{url.partition('://')[0]}://{_MASK}"
    user = f"{_MASK}@" if match["user"] else ""
    return f"{match['scheme']}://{user}{match['rest']}"


def system_prompt_in_use(settings: Settings) -> str:
    return settings.system_prompt or DEFAULT_SYSTEM_PROMPT


def _unknown_variables(env: Mapping[str, str]) -> list[str]:
    known = variables()
    problems = [
        f"unknown setting {name} (did you mean {name.upper()}?)"
        for name in sorted(env)
        if name not in known and name.upper() in known
    ]
    for name in sorted(env):
        # Other programs' variables can have the same ending.
        is_file = name.endswith(FILE_SUFFIX) and (name.removesuffix(FILE_SUFFIX) in known or name.startswith("SLACK_"))
        if (name.startswith("BOT_") or is_file) and name not in known:
            # The names of any two settings are less similar.
            similar = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            hint = f" (did you mean {similar[0]}?)" if similar else ". Run typist settings to see them all."
            problems.append(f"unknown setting {name}{hint}")
    return problems


def _misnamed_hint(env: Mapping[str, str], *missing: str) -> str:
    """Returns a sentence about variables that are set and whose names resemble a missing one, or ""."""
    known = variables()
    others = [name for name, value in env.items() if name not in known and value.strip()]
    similar = {name for variable in missing for name in difflib.get_close_matches(variable, others, n=1, cutoff=0.8)}
    names = " and ".join(sorted(similar))
    return f" {names} {'is' if len(similar) == 1 else 'are'} set, which Typist doesn't read." if similar else ""


def _find_misnamed(env: Mapping[str, str], settings: Settings) -> dict[str, str]:
    """Returns Slack settings that are also set without BOT_, but to a different value, such as SLACK_API_URL for an
    emulator."""
    found = {}
    for setting in _setting_fields():
        variable = setting.metadata["variable"]
        name = variable.removeprefix("BOT_")
        value = env.get(name, "").strip().rstrip("/")
        in_force = _displayed_value(variable, getattr(settings, setting.name)).rstrip("/")
        if variable.startswith("BOT_SLACK_") and value not in ("", in_force):
            found[name] = variable
    return found


def missing_access(settings: Settings) -> list[str]:
    """Returns a sentence for each missing requirement of a vendor in BOT_MODELS or BOT_TRANSCRIBE."""
    problems = []
    models = (*settings.models, *filter(None, [settings.transcribe]))
    for name, model in {model.split("/")[0]: model for model in reversed(models)}.items():
        vendor = VENDORS[name]
        ours = settings.vendors.get(name, VendorSettings())
        if not ours.api_key and vendor.needs_key(ours):
            variable = vendor.api_key_variable
            problems.append(f"{variable} is not set, and {model} needs it. Get a key at {vendor.api_key_page}.")
        if vendor.cloud:
            problems += _missing_cloud_access(vendor, vendor.cloud, ours, model)
    return problems


def _missing_cloud_access(vendor: VendorEntry, cloud: Cloud, ours: VendorSettings, model: str) -> list[str]:
    needed = {cloud.region_variable: ours.region, cloud.project_variable: ours.project}
    if not cloud.region_variable:
        needed = {vendor.base_url_variable: ours.base_url}
    problems = [
        f"{variable} is not set, and {model} needs it. See company.md in Typist's docs."
        for variable, value in needed.items()
        if variable and not value
    ]
    return problems + _missing_extra(model, cloud.extra, cloud.module)


def _identity(env: Mapping[str, str], settings: Settings) -> dict[str, frozenset[str]]:
    found = {variable: identity.placeholders(env.get(variable, "")) for variable in identity.GATEWAY_HEADERS.values()}
    return {name: sent for name, sent in (found | settings.mcp.identity_placeholders).items() if sent}


def _contradictions(settings: Settings) -> list[str]:
    """Returns a sentence for each setting that conflicts with another setting or that another setting makes
    ineffective."""
    ours = {
        SLACK: ("BOT_SLACK_SEARCH", settings.slack_search),
        READ_CHANNEL: ("BOT_READ_CHANNEL", settings.read_channel),
        **dict.fromkeys(PROPOSALS, ("", True)),
    }
    problems = [
        f"BOT_MCP_CONFIG: the server {name} has the same name as Typist's own tool"
        f"{f' while {variable} is on' if variable else ''}. Give it another name."
        for name, (variable, is_on) in ours.items()
        if is_on and name in settings.mcp.names
    ]
    problems += [
        f"{name}: Typist doesn't know {{{one}}}. Use {', '.join(f'{{{known}}}' for known in identity.PLACEHOLDERS)}."
        for name, sent in settings.identity.items()
        for one in sorted(sent - {*identity.PLACEHOLDERS})
    ]
    problems += [
        f"{variable} identifies the asker, but {VENDORS[vendor].base_url_variable} isn't the URL of your own gateway. "
        "Set it to the gateway's, or remove the placeholders."
        for vendor, variable in identity.GATEWAY_HEADERS.items()
        if variable in settings.identity and is_vendors_server(vendor_settings(vendor, model_setup(settings)).base_url)
    ]
    if settings.public_url and settings.health_at is None:
        problems.append("BOT_PUBLIC_URL needs BOT_HEALTH_PORT, the port to which your web server forwards requests.")
    if settings.read_tabs and not settings.read_channel:
        problems.append("BOT_READ_TABS needs BOT_READ_CHANNEL, the tool that reads tabs and pins.")
    if settings.weekly_report and not settings.admins:
        problems.append("BOT_WEEKLY_REPORT needs BOT_ADMINS, the people who get the report.")
    if settings.runs_kept_tests:
        problems += [] if settings.admins else ["BOT_HOUSE_QUESTIONS needs BOT_ADMINS, the people who get the message."]
        problems += [
            f"BOT_HOUSE_QUESTIONS stops at a limit in dollars, and {model} has no price. Add it to the BOT_PRICES file."
            for model in unpriced_models(settings)
        ]
    if settings.cost_alert and not settings.admins:
        problems.append("BOT_COST_ALERT needs BOT_ADMINS, the people who get the message.")
    if any(cap.in_dollars for cap in settings.caps):
        problems += [
            f"A dollar cap requires a price for every model in use, and {model} has none. "
            "Add its price to the BOT_PRICES file, or set a limit in tokens in BOT_CAPS."
            for model in unpriced_models(settings)
        ]
    return problems


def unpriced_models(settings: Settings) -> tuple[str, ...]:
    """Returns the models in use, including the transcription model, whose price is unknown."""
    prices = model_prices(settings)
    models = (*models_in_use(settings), *filter(None, [settings.transcribe]))
    # A price can change over time, but doesn't disappear.
    return tuple(model for model in models if prices.cost_usd(model, Usage(), 0.0) is None)
