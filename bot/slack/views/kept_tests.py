"""Builds the modal in which people keep an answer as a test. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bot.core import texts
from bot.core.asks import ApprovalPlace
from bot.core.kept_tests import Check
from bot.slack.blockkit import Json, checkboxes, checked_options, context, input_field, modal, mrkdwn
from bot.slack.views.modal import Modal, place_of_call

_ID, _CHECKS = "keep_test", "checks"


@dataclass(frozen=True, slots=True)
class SubmittedTest:
    place: ApprovalPlace
    keys: Sequence[str]
    """The keys of the chosen checks."""


def _test_modal(place: ApprovalPlace, proposed: Sequence[Check], chosen: Collection[Check], *, is_kept: bool) -> Json:
    labels = {check.key: texts.kept_tests.check_text(check.kind, check.value) for check in proposed}
    boxes = checkboxes(labels, chosen=[check.key for check in chosen], focus=True)
    hint = texts.kept_tests.CLEAR if is_kept else ""
    field = input_field(_CHECKS, texts.kept_tests.CHECKS, boxes, hint=hint, optional=is_kept)
    blocks = [context(mrkdwn(texts.kept_tests.EXPLAINED)), field]
    return modal(_ID, texts.kept_tests.KEEP, blocks, asdict(place), submit=texts.kept_tests.SAVE)


def _parse_submission(view: Mapping[str, Any]) -> SubmittedTest:
    return SubmittedTest(place_of_call(view), checked_options(view, _CHECKS))


KEEP_TEST = Modal(_ID, _test_modal, _parse_submission, lambda _: _CHECKS)
