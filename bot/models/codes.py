"""Maps error codes to end reasons. Vendors keep codes stable but reword their messages. Pure.

Codes are error.code, error.type, Anthropic's error.details.error_code, and the codes and classes that gateways quote in
their sentences. `CODES` includes every code that the SDKs list for the requests that Typist makes (openai 3.57.0,
anthropic 2.14.0). A test fails if a new version lists another code. Codes from other servers are matched by their form.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from bot.errors import EndReason

_CODES_BY_REASON = {
    EndReason.BAD_KEY: """claude_code_key_creator_not_member cmek_key_disabled cmek_key_network_blocked
        organization_on_hold""",
    EndReason.OUT_OF_CREDIT: """billing_not_active contract_spend_limit_reached credit_balance_exhausted
        enforced_spend_limit_reached linked_organization_billing_unavailable linked_organization_spend_limit_reached
        organization_spend_limit_exceeded organization_usage_limit_exceeded project_spend_limit_exceeded
        usage_limit_exceeded user_profile_billing_not_authorized user_profile_not_billable""",
    EndReason.RATE_LIMITED: "ramp_limit_exceeded",
    EndReason.OVERLOADED: """cmek_context_unavailable cmek_key_unreachable compaction_unavailable flex_unavailable
        server_is_overloaded server_overloaded service_unavailable_exception slow_down""",
    EndReason.CONTEXT_TOO_LONG: "context_length_exceeded request_body_too_large_after_decoding request_too_large",
    EndReason.REFUSED: "bio_policy cyber_policy image_content_policy_violation invalid_prompt",
    EndReason.MISALIGNED: "misalignment_policy_violation",
    EndReason.ONLY_THOUGHT: "max_output_tokens",
    EndReason.UNREACHABLE: "connection_failed model_timeout_exception request_timeout",
    EndReason.SERVER_ERROR: """internal_server_exception model_stream_error_exception sandbox_error
        vector_store_timeout""",
    # The same request would be refused again. Some of these features aren't used.
    EndReason.UNEXPECTED: """active_turn_not_steerable available_tools_limit_exceeded claude_code_version_too_old
        compaction_block_ambiguous compaction_block_misplaced compaction_content_mismatch compaction_incomplete_turn
        compaction_nothing_to_summarize compaction_signature_invalid compaction_too_many_tool_references
        compaction_tool_changes_mismatch data_residency_mismatch empty_image_file executor_version_incompatible
        failed_to_download_image image_dimensions_too_large image_file_not_found image_file_too_large image_parse_error
        image_too_large image_too_small invalid_base64_image invalid_image invalid_image_format invalid_image_mode
        invalid_image_url request_body_encoding_invalid request_body_encoding_unsupported
        skill_read_blocked_undecryptable thread_already_continued thread_continue_in_flight thread_fingerprint_mismatch
        thread_not_found thread_unsupported_request tool_name_conflict tool_reference_unresolved
        unsupported_image_media_type user_profile_required""",
}
_CATEGORIES_BY_REASON = {
    EndReason.SERVER_ERROR: "api_error conflict_error internal_error server_error",
    EndReason.BAD_KEY: "authentication_error permission_error",
    EndReason.OUT_OF_CREDIT: "billing_error",
    EndReason.UNEXPECTED: """invalid_request invalid_request_error memory_path_conflict_error
        memory_precondition_failed_error""",
    EndReason.UNKNOWN_MODEL: "not_found_error resource_not_found",
    EndReason.OVERLOADED: "overloaded_error",
    EndReason.RATE_LIMITED: "rate_limit_error rate_limit_exceeded",
    EndReason.UNREACHABLE: "timeout_error",
}
"""Codes with several possible causes. The sentence next to such a code is more precise, such as "Request too large"
with rate_limit_exceeded."""
_CATEGORIES, _PRECISE = (
    {code: reason for reason, codes in table.items() for code in codes.split()}
    for table in (_CATEGORIES_BY_REASON, _CODES_BY_REASON)
)
CODES: Mapping[str, EndReason] = _PRECISE | _CATEGORIES
_VAGUE_REASONS = (EndReason.UNEXPECTED, EndReason.SERVER_ERROR)
_CODE_PATTERNS = {
    EndReason.OUT_OF_CREDIT: re.compile(
        r"budget|billing|credit|payment|arrear|spend_limit|insufficient_(?:user_)?(?:quota|balance|funds)"
    ),
    EndReason.REFUSED: re.compile(
        r"policy|moderation|censor|content_?filter|guardrail|safety|sensitive|prohibited|data_?inspection|hooks_failed"
    ),
    EndReason.CONTEXT_TOO_LONG: re.compile(r"context_?(?:length|window)|exceed_context|too_many_prompt"),
    EndReason.BAD_KEY: re.compile(r"authentication|auth_error|api_?key|no_db_connection|unauthorized"),
    EndReason.RATE_LIMITED: re.compile(r"rate_?limit|throttl|too_many_requests"),
    EndReason.OVERLOADED: re.compile(r"overload|capacity_exceeded"),
    EndReason.UNKNOWN_MODEL: re.compile(
        r"model_(?:not_(?:found|available|supported)|decommissioned|access_denied)|(?:unavailable|unknown)_model"
        r"|deployment_not_found|^invalid_model$"
    ),
    # The same request, or the same image, would be refused again.
    EndReason.UNEXPECTED: re.compile(
        r"image|invalid|mismatch|unsupported|not_(?:found|allowed|supported)|too_(?:large|small|long)|malformed"
    ),
}
_CLASS_NAME = re.compile(r"\b[A-Z][A-Za-z]{3,60}(?=Error\b|Exception\b|Violation\b)|\bResponsibleAIPolicyViolation\b")
_NESTED_CODE = re.compile(r"""['"](?:code|type|status)\\?['"]\s*:\s*\\?['"]([A-Za-z][\w.-]{2,60})\\?['"]""")
_WORDS_WITHIN = re.compile(r"(?<=[a-z])(?=[A-Z])|[^A-Za-z0-9]+")
_MAX_SEARCHED_CHARS = 8_000
"""The number of characters of a sentence to search for codes."""


def precise_reason(codes: Sequence[str], sentence: str) -> EndReason | None:
    """Returns the reason for the first code that has a single cause, or None. Such a code is more precise than any
    sentence."""
    return next((_PRECISE[name] for name in _all_codes(codes, sentence) if name in _PRECISE), None)


def general_reason(codes: Sequence[str], sentence: str, status: int | None) -> EndReason | None:
    """Returns the reason that the codes' forms and categories suggest, or None if the error status is more precise."""
    names = _all_codes(codes, sentence)
    unlisted = [name for name in names if name not in CODES]
    by_form = [reason for reason, pattern in _CODE_PATTERNS.items() if any(map(pattern.search, unlisted))]
    reasons = [*by_form, *(_CATEGORIES[name] for name in names if name in _CATEGORIES)]
    clear = [reason for reason in reasons if reason not in _VAGUE_REASONS]
    is_error_status = status is not None and status >= HTTPStatus.MULTIPLE_CHOICES
    return next(iter(clear or ([] if is_error_status else reasons)), None)


def _all_codes(codes: Sequence[str], sentence: str) -> list[str]:
    text = sentence[:_MAX_SEARCHED_CHARS]
    every = [*codes, *_NESTED_CODE.findall(text), *_CLASS_NAME.findall(text)]
    return [_WORDS_WITHIN.sub("_", code).lower() for code in every]
