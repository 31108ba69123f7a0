"""Maps Slack's error names to their meaning.

Only the names listed here prove that a message, channel or token is gone. If a call returns any other name or a
response that isn't a JSON object, it is retried in other forms (reply/edits.py) and given up after a few minutes. A
response without an error name didn't come from Slack's method.
"""

from collections.abc import Mapping

from bot.errors import Refusal

RATE_LIMITED = ("ratelimited", "rate_limited")
_NAMES: Mapping[Refusal, str] = {
    Refusal.MESSAGE_GONE: "message_not_found thread_not_found",
    Refusal.CHANNEL_GONE: """
        channel_is_limited_access channel_not_found not_in_channel user_not_in_channel is_archived is_inactive
        invalid_channel messages_tab_disabled cannot_reply_to_message posting_to_channel_denied restricted_action
        restricted_action_non_threadable_channel restricted_action_read_only_channel restricted_action_thread_locked
        restricted_action_thread_only_channel
    """,
    Refusal.TOKEN_GONE: "account_inactive invalid_auth not_authed token_expired token_revoked",
    Refusal.FORBIDDEN: """
        access_denied accesslimited canvas_creation_failed canvas_deleted canvas_deleting_disabled
        canvas_disabled_user_team canvas_not_found canvas_tab_creation_failed
        cannot_provide_both_markdown_text_and_chunks cant_delete_message cant_delete_file channel_type_not_supported
        compliance_exports_prevent_deletion delete_not_allowed deprecated_endpoint ekm_access_denied
        enterprise_is_restricted expired_trigger_id file_deleted file_deleting_disabled file_is_deleted file_not_found
        file_type_not_allowed file_upload_size_restricted file_uploads_disabled file_uploads_except_images_disabled
        failed_to_update_user_ids free_team_canvas_tab_already_exists free_teams_cannot_create_non_tabbed_canvases
        invalid_parameters invalid_thread_ts invalid_trigger_id message_not_owned_by_app method_deprecated
        method_not_supported_for_channel_type missing_recipient_team_id missing_recipient_user_id missing_scope
        no_permission not_allowed not_allowed_token_type not_authorized not_enabled not_visible org_login_required
        session_not_found storage_limit_reached streaming_mode_mismatch team_access_not_granted team_not_found
        trigger_exchanged trigger_expired two_factor_setup_required unknown_method user_not_found user_not_visible
    """,
    Refusal.TOO_LONG: "attachment_payload_limit_exceeded msg_blocks_too_long msg_blocks_too_many msg_too_long",
    Refusal.UNREADABLE: """
        invalid_attachments invalid_blocks invalid_blocks_format invalid_chunks markdown_text_conflict no_text
        too_many_attachments
    """,
    Refusal.LINK_BLOCKED: """
        slack_connect_canvas_sharing_blocked slack_connect_file_link_sharing_blocked
        slack_connect_lists_sharing_blocked
    """,
    Refusal.UNEDITABLE: "block_mismatch cant_update_message edit_window_closed",
    Refusal.STREAM_OPEN: "streaming_state_conflict",
    Refusal.STREAM_CLOSED: "message_not_in_streaming_state stopped_by_user",
    Refusal.TRANSIENT: """
        external_channel_migrating fatal_error internal_error message_limit_exceeded request_timeout
        service_unavailable team_added_to_org update_failed
    """,
}
"""Error names that are documented (docs.slack.dev/reference/methods) or were observed (Sandbox fidelity)."""
_REASON_OF = {name: reason for reason, names in _NAMES.items() for name in names.split()}
METHOD_GONE = ("deprecated_endpoint", "method_deprecated", "unknown_method")
"""Errors that any call can return if Slack has removed the method."""


def reason_of(name: str) -> Refusal:
    return _REASON_OF.get(name, Refusal.UNKNOWN) if name else Refusal.TRANSIENT
