"""The scenarios that `make test` runs: the everyday path of each feature, some sixty of them.

All others are marked `wide` (conftest.py), which leaves them to `.ci/run`.
A new scenario is wide. Name it here if it is the first of its feature.
"""

EVERYDAY = {
    # Questions and answers.
    "test_conversations.py": (
        "test_mention_is_answered_in_its_thread",
        "test_dm_at_the_root_is_answered_there_as_one_conversation",
        "test_follow_up_needs_no_mention_and_has_the_thread_as_context",
        "test_next_prompt_begins_with_all_of_the_prompt_before",
        "test_placeholder_is_posted_at_once_and_the_answer_grows_in_it",
        "test_long_answer_continues_in_another_message_without_lost_or_doubled_text",
        "test_twin_and_redelivered_events_give_one_answer",
    ),
    "test_follow_ups.py": (
        "test_once_someone_else_writes_only_the_person_answered_last_needs_no_mention",
        "test_queued_questions_of_two_people_are_answered_one_after_another",
    ),
    "test_message_edits.py": (
        "test_edit_of_a_running_question_restarts_its_answer_in_the_same_reply",
        "test_edit_of_an_answered_question_starts_over_in_the_same_reply",
        "test_deleting_a_running_question_deletes_its_reply",
    ),
    "test_reply_actions.py": (
        "test_stop_keeps_the_text",
        "test_regenerate_replaces_the_answer_in_place_and_keeps_the_previous_version",
        "test_continue_resumes_an_answer_at_its_length_limit",
        "test_delete_removes_the_answer_from_slack_prompts_and_database",
    ),
    "test_previous_version.py": ("test_versions_are_swapped_in_the_answers_message",),
    "test_effort.py": ("test_answer_is_thought_about_longer_and_the_next_one_is_not",),
    "test_failures.py": (
        "test_failure_midway_leaves_the_part_and_a_notice",
        "test_fallback_model_answers_if_the_first_fails_before_its_first_word",
    ),
    "test_choices.py": ("test_choice_is_asked_in_the_thread_in_the_pressers_name",),
    # How an answer is shown.
    "test_native_streams.py": ("test_stream_carries_an_answer_and_ends_it_with_footer_and_buttons",),
    "test_thread_statuses.py": ("test_status_says_thinking_then_how_to_stop_a_stream_until_the_answer_ends",),
    "test_assistant_pane.py": ("test_agent_session_is_processing_while_it_is_answered",),
    "test_long_answers.py": ("test_first_five_of_seven_pages_are_posted_and_the_end_below_the_whole_answer",),
    "test_charts.py": ("test_numbers_are_drawn_below_their_table_once_the_answer_is_whole",),
    "test_answer_canvases.py": ("test_long_answer_is_saved_as_a_canvas_that_the_channel_may_read",),
    "test_web_search.py": ("test_answer_lists_its_sources_with_honest_links",),
    "page/test_page_reply_actions.py": ("test_answer_is_stopped_by_keyboard_and_regenerated_by_click",),
    # What a question brings along, and other ways to ask.
    "test_files.py": ("test_image_is_sent_to_the_model", "test_file_of_an_earlier_message_is_used"),
    "test_voice_clips.py": ("test_slacks_transcript_is_the_question",),
    "test_canvases.py": ("test_shared_canvas_is_read_as_markdown",),
    "test_reading.py": ("test_lists_quotes_code_and_links_keep_their_structure",),
    "test_read_channel.py": ("test_model_reads_what_the_channel_said_before_the_question",),
    "test_slack_search.py": ("test_model_reads_what_slack_finds_and_nothing_of_it_is_stored",),
    "test_message_shortcut.py": ("test_message_is_asked_about_in_its_thread",),
    "test_reactions.py": ("test_emoji_asks_about_the_message_in_its_thread_for_the_person_who_added_it",),
    "test_slack_connect.py": ("test_question_from_another_organisation_is_recorded_under_our_team",),
    # Tools, accounts, memory, schedules.
    "test_tools.py": ("test_placeholder_says_which_tool_runs_and_that_the_model_thinks_then",),
    "test_approvals.py": (
        "test_approved_call_is_made_once_and_the_answer_has_its_result",
        "test_denied_call_is_not_made",
    ),
    "test_injections.py": ("test_words_of_others_make_allowed_writes_ask",),
    "test_mcp.py": ("test_allowed_tool_on_stdio_is_called_and_its_result_is_data",),
    "test_accounts.py": ("test_member_signs_in_and_the_same_answer_goes_on_with_their_account",),
    "test_memory.py": (
        "test_what_a_channel_is_told_to_remember_is_read_with_later_questions_there_alone",
        "test_model_proposes_and_only_the_asker_decides",
    ),
    "test_schedules.py": ("test_member_creates_finds_changes_runs_pauses_resumes_and_stops_a_schedule",),
    "test_schedule_runs.py": ("test_run_is_posted_in_its_place_and_answered_below",),
    # Who may ask, where and how much.
    "test_access.py": ("test_guests_and_external_people_get_a_private_denial_where_they_ask_and_no_answer",),
    "test_rights.py": ("test_guest_reads_no_call_and_approves_none",),
    "test_gate.py": ("test_message_is_answered_if_the_model_is_sure_and_nothing_shows_before",),
    "test_quiet_threads.py": ("test_thread_is_quieted_by_words_until_its_starter_mentions_the_bot",),
    "test_channel_settings.py": ("test_channel_has_its_own_model_and_system_prompt",),
    "test_slash_commands.py": ("test_channel_creator_sets_everything_in_one_modal",),
    "test_quotas.py": ("test_admin_sets_a_quota_in_app_home_and_it_holds_from_the_next_answer_on",),
    "test_caps.py": ("test_person_is_warned_once_and_then_told_when_the_cap_resets",),
    "test_app_home.py": ("test_member_sees_their_quota_and_nothing_of_the_setup",),
    "test_welcome.py": ("test_channel_that_the_bot_joins_is_welcomed_once",),
    # Processes: start, end, crash, two of them, what they record.
    "test_start.py": ("test_invalid_token_ends_the_start_with_one_sentence",),
    "test_lifecycle.py": ("test_shutdown_lets_a_live_answer_end",),
    "test_durability.py": (
        "test_restart_after_a_crash_continues_in_the_same_message",
        "test_another_process_takes_over_from_a_crashed_one_before_its_lease_ends",
    ),
    "test_catching_up.py": ("test_answer_within_two_hours_begins_with_when_its_question_was_asked",),
    "test_unsaved.py": ("test_askers_read_once_that_their_question_is_not_saved",),
    "test_metrics.py": ("test_answers_failures_limits_and_costs_are_counted",),
    "test_traces.py": ("test_trace_of_an_answer_has_its_requests_and_its_calls_and_no_text",),
    "test_audit.py": ("test_running_bot_records_without_texts",),
    "test_replay.py": ("test_questions_are_asked_again_with_the_prompts_that_they_had",),
    "test_check.py": ("test_json_is_all_of_stdout_and_the_exit_code_is_0",),
    "test_command_line.py": ("test_ask_streams_the_answer_and_writes_usage_to_stderr",),
}
"""Tests by their modules in this folder."""
