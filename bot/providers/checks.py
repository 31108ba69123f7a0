"""The checks of `typist check` that concern models."""

from collections.abc import Mapping
from datetime import date

from bot.core import texts
from bot.core.checks import Check, fail, ok, warn
from bot.providers.lookup import Found, Lookup
from bot.providers.model_setup import ModelSetup
from bot.providers.registry import VENDORS, VendorEntry, resolved


def check_id(model: str) -> str:
    """Returns the id of a model's check."""
    return f"model.{model}"


async def check_model(setup: ModelSetup, model: str, today: date) -> Check:
    """Looks a model up at its vendor, and says what to do about what it finds."""
    vendor, _, name = model.partition("/")
    entry, settings = VENDORS[vendor], resolved(vendor, setup)
    lookup = await entry.look_up(settings, name, today)
    line, retires = check_id(model), _day(lookup)
    if lookup.found is Found.NO_LIST:
        return warn(line, texts.check_model_unlisted(model), texts.check_model_unlisted_fix(model))
    if lookup.found is not Found.MODEL:
        return fail(line, *_problems(model, lookup, entry)[lookup.found])
    if retires:
        return warn(line, texts.check_model(model, retires), texts.check_model_fix(model, entry.api_key_variable))
    return ok(line, texts.check_model(model) if entry.needs_key(settings) else texts.check_model_served(model))


def _problems(model: str, lookup: Lookup, entry: VendorEntry) -> Mapping[Found, tuple[str, str]]:
    """Returns the message and the remedy for each finding that must be mended."""
    choose = texts.check_model_fix(model, entry.api_key_variable)
    return {
        Found.RETIRED: (texts.check_model_retired(model, _day(lookup)), choose),
        Found.NO_MODEL: (texts.check_model_missing(model), choose),
        Found.KEY_REFUSED: (
            texts.check_key_refused(model, lookup.detail),
            texts.check_key_fix(entry.api_key_variable, entry.api_key_page),
        ),
        Found.NOT_THE_API: (
            texts.check_not_api(model, lookup.detail),
            texts.check_base_url_fix(entry.base_url_variable, entry.base_url),
        ),
        Found.UNREACHABLE: (
            texts.check_model_unreachable(model, lookup.detail),
            texts.check_model_unreachable_fix(entry.base_url_variable),
        ),
        Found.FAILED: (texts.check_model_failed(model, lookup.detail), texts.CHECK_MODEL_FAILED_FIX),
    }


def _day(lookup: Lookup) -> str:
    return lookup.retires.isoformat() if lookup.retires else ""
