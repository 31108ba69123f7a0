"""Changes a refused request so that the next request might be accepted.

The first entry of `REMEDIES` whose condition matches a refusal changes the request, or ends the answer with that
refusal. The order matters, because servers use the same words to reject different things:

1. the API, because an API that doesn't have the model won't accept anything,
2. the model's own items, because servers refer to items the same way as to parameters,
3. the room for output, unless the refusal names files,
4. the files, unless the refusal names a parameter,
5. the form: first, the parts that the refusal names are dropped, then the parts that nobody would miss.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from http import HTTPStatus

from bot.errors import EndReason, FileFault
from bot.models.api import Api
from bot.models.failures import ErrorResponse, RequestAttempt, is_about_output, reason_and_sentence
from bot.models.parameters import (
    INCOMPLETE_MESSAGES,
    MAX_REFUSALS,
    MAX_REFUSED_TOOLS,
    NO_SUCH_API,
    TOOLS,
    WEB,
    OptionalParameter,
    field_in_refusal,
    is_about_api,
    is_about_form,
    is_about_items,
    max_tools_in_refusal,
    parameters_in_refusal,
    refused_tools,
)
from bot.models.prompt import item_hashes, without_items
from bot.models.refused_files import SMALLER_PIXELS, RefusedFiles, parse_file_refusal, shrink_images
from bot.models.room import MAX_TRIES, SHORT_TOKENS, RoomRefusal, parse_room_refusal
from bot.models.trials import LearnedLimits, Trial, needed_parameters

log = logging.getLogger(__name__)

MAX_FAULTS = 3
"""The number of consecutive server errors after which a question is retried as if its request were the cause."""


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    trial: Trial
    response: ErrorResponse
    learned: LearnedLimits
    attempt: RequestAttempt
    named_parts: frozenset[OptionalParameter]
    room: RoomRefusal | None
    files: RefusedFiles | None

    @property
    def is_about_files(self) -> bool:
        return self.files is not None and self.files.is_about_files

    @property
    def is_last(self) -> bool:
        return self.trial.refusals + 1 == MAX_REFUSALS

    @property
    def named_tools(self) -> frozenset[str]:
        tools = self.trial.sent_prompt.tools
        return frozenset() if self.named_parts.isdisjoint(TOOLS) else refused_tools(self.response, tools)

    @property
    def max_tools(self) -> int | None:
        tools = self.trial.sent_prompt.tools
        return None if self.named_parts.isdisjoint(TOOLS) else max_tools_in_refusal(self.response, len(tools))


@dataclass(frozen=True, slots=True)
class Remedy:
    applies_to: Callable[[RefusedRequest], bool]
    apply: Callable[[RefusedRequest], Awaitable[Trial | None]] | None
    """Returns the next request, or None to try the remedies after this one. If `apply` is None, no request follows."""


async def apply_remedy(
    trial: Trial, response: ErrorResponse, learned: LearnedLimits, attempt: RequestAttempt
) -> Trial | None:
    """Returns the next request, or None if no remedy helps or is allowed. Updates `learned`."""
    reason, words = reason_and_sentence(response)
    if reason is EndReason.MISALIGNED:
        # "Do not automatically retry the blocked workflow", whatever else the error mentions.
        return None
    learned.faults += reason is EndReason.SERVER_ERROR or is_about_output(response)
    attempt.window_tokens = None
    if response.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        # This can be a proxy's limit on bytes.
        words = f"request too large: {words}"
    refused = RefusedRequest(
        trial,
        response,
        learned,
        attempt,
        named_parts=parameters_in_refusal(response, trial.sent_parameters),
        room=parse_room_refusal(reason, words, trial.output_tokens),
        files=parse_file_refusal(response) if any(turn.media for turn in trial.prompt.turns) else None,
    )
    for remedy in REMEDIES:
        if remedy.applies_to(refused):
            following = await remedy.apply(refused) if remedy.apply else None
            if following is not None:
                return replace(following, is_about_history=trial.is_about_history or _can_be_about_history(refused))
            if remedy.apply is None:
                return None
    return None


def _can_be_about_history(refused: RefusedRequest) -> bool:
    """Returns whether a refusal might be about parts of the request that other conversations don't have. A question
    without earlier messages doesn't have such parts. Steps can be at fault whichever part the refusal names. Earlier
    messages can be at fault unless the refusal points to another field of the request."""
    turns = refused.trial.sent_prompt.turns
    if any(turn.parts for turn in turns):
        return True
    place = field_in_refusal(refused.response)
    is_of_request = place not in ("input", "messages") and place in refused.trial.body("")
    return any(turn.role == "assistant" for turn in turns) and not is_of_request


def _has_no_such_model(refused: RefusedRequest) -> bool:
    return refused.trial.api.other_api is not None and not refused.named_parts and is_about_api(refused.response)


async def _ask_other_api(refused: RefusedRequest) -> Trial | None:
    other = refused.trial.api.other_api
    if other is None:
        return None
    log.warning("%s: this API refuses the model or its tools, trying the server's other API", refused.learned.model)
    return _trial_at_api(other, refused)


def _is_about_items(refused: RefusedRequest) -> bool:
    # Thinking is bound to the conversation, account and key with which it was made.
    has_items = bool(item_hashes(refused.trial.prompt))
    return has_items and refused.named_parts.isdisjoint(INCOMPLETE_MESSAGES) and is_about_items(refused.response)


async def _leave_out_items(refused: RefusedRequest) -> Trial | None:
    items = item_hashes(refused.trial.prompt)
    return replace(refused.trial, prompt=without_items(refused.trial.prompt, items), refused_items=items)


async def _ask_for_less_room(refused: RefusedRequest) -> Trial | None:
    trial, learned, read = refused.trial, refused.learned, refused.room
    if read is None:
        return None
    prompt_tokens = learned.estimate.prompt_tokens(trial.prompt)
    room = replace(trial.room, window_tokens=read.window_tokens or trial.room.window_tokens)
    if room.window_tokens is None:
        room = await learned.fetch_room(room)
    # A prompt that certainly fits isn't the cause.
    is_short = learned.estimate.conversation_tokens(trial.prompt) < SHORT_TOKENS
    fits = prompt_tokens < room.window_tokens // 2 if room.window_tokens else is_short
    is_limit = read.mentions_output or (fits and not read.exceeds_request(prompt_tokens + trial.output_tokens))
    is_first = trial.room_refusals == 0
    limit = room.new_limit(read, trial.output_tokens, prompt_tokens, is_first=is_first) if is_limit else None
    if limit is None or trial.room_refusals == MAX_TRIES:
        # Less output didn't help, and such a short conversation isn't the cause either.
        refused.attempt.is_short_conversation = is_limit and is_short
        if read.is_about_window:
            refused.attempt.window_tokens = room.window_tokens or read.stated_window_tokens
            learned.room = replace(learned.room, window_tokens=room.window_tokens)
        return None
    log.info("%s: limit of output refused, asking again: tokens=%d next=%d", learned.model, trial.output_tokens, limit)
    if room.window_tokens is None or trial.room_refusals:
        room = replace(room, output_tokens=limit)
    return replace(trial, room=room, output_tokens=limit, room_refusals=trial.room_refusals + 1)


async def _send_fewer_files(refused: RefusedRequest) -> Trial | None:
    trial, files = refused.trial, refused.files
    if files is None:
        return None
    if files.is_about_files and files.fault is not FileFault.KIND and not trial.has_smaller_images:
        is_halved = files.fault is FileFault.TOO_LARGE and not files.max_pixels
        smaller = await shrink_images(trial.prompt, files.max_pixels or SMALLER_PIXELS, is_halved=is_halved)
        if smaller != trial.prompt:
            trial = replace(trial, prompt=smaller, max_pixels=files.max_pixels, refusals=trial.refusals + 1)
            return replace(trial, has_smaller_images=True)
    following = trial.without_files(files)
    if files.is_about_files or not refused.is_last or not is_about_form(refused.response, is_named=False):
        return following
    bare = refused.learned.parameters.parameters_to_omit(trial.parameters, frozenset(), is_last=True)
    return replace(following.without_parameters(bare, is_conclusive=False), refusals=MAX_REFUSALS)


def _has_long_tools(refused: RefusedRequest) -> bool:
    """Returns whether a prompt is too long and consists mostly of tool definitions that readers would miss."""
    if refused.room is None or not refused.room.is_about_window:
        return False
    trial, estimate = refused.trial, refused.learned.estimate
    definitions_tokens = estimate.definitions_tokens(trial.sent_prompt.tools)
    prompt_tokens = estimate.prompt_tokens(replace(trial.prompt, tools=trial.sent_prompt.tools))
    is_most = definitions_tokens > max(SHORT_TOKENS, prompt_tokens // 2)
    return OptionalParameter.TOOLS in trial.parameters and is_most


async def _leave_out_all_tools(refused: RefusedRequest) -> Trial | None:
    trial, learned = refused.trial, refused.learned
    log.warning("%s: tools are too long for this model, asking again without them", learned.model)
    stated_window_tokens = refused.room.stated_window_tokens if refused.room else None
    room = replace(learned.room, window_tokens=stated_window_tokens or trial.room.window_tokens)
    shorter = replace(trial.prompt, tools=())
    wanted_tokens = trial.api.wanted_tokens(trial.prompt.effort)
    output_tokens = room.output_limit(wanted_tokens, learned.estimate.prompt_tokens(shorter))
    # Fewer tools might fit into the window, so the next question's request includes them again.
    without = trial.without_parameters(frozenset({OptionalParameter.TOOLS}), is_conclusive=False)
    return replace(without, room=room, output_tokens=output_tokens)


def _has_no_other_api(refused: RefusedRequest) -> bool:
    is_at_other = refused.trial.api is not refused.learned.api
    return is_at_other and not refused.named_parts and refused.response.status in NO_SUCH_API


async def _return_to_first_api(refused: RefusedRequest) -> Trial | None:
    log.warning("%s: the server has no other API, asking without reasoning", refused.learned.model)
    return _trial_at_api(refused.learned.api, refused, frozenset({OptionalParameter.TOOLS_WITH_REASONING}))


def _is_unrelated_to_form(refused: RefusedRequest) -> bool:
    put_back = refused.trial.parameters & refused.learned.parameters.untried
    is_known = bool(refused.named_parts or put_back or refused.trial.dropped or refused.learned.faults == MAX_FAULTS)
    return not is_about_form(refused.response, is_named=is_known)


async def _leave_out_named_tools(refused: RefusedRequest) -> Trial | None:
    trial, named = refused.trial, refused.named_tools
    left_out = [tool.name for tool in trial.sent_prompt.tools if tool.definition_hash in named]
    log.warning("%s: tools refused, asking again without them: %s", refused.learned.model, ", ".join(left_out))
    return replace(trial, refused_tools=trial.refused_tools | named)


async def _send_first_tools(refused: RefusedRequest) -> Trial | None:
    max_tools = refused.max_tools
    log.warning("%s: too many tools, asking again with the first %d", refused.learned.model, max_tools)
    return replace(refused.trial, max_tools=max_tools, refusals=refused.trial.refusals + 1)


async def _send_nearest_effort(refused: RefusedRequest) -> Trial | None:
    trial = refused.trial
    levels = trial.levels.after_refusal(trial.effort, refused.response)
    nearest = levels.level(trial.prompt.effort) or "the model's default"
    log.info("%s: effort %s refused, asking again with %s", refused.learned.model, trial.effort, nearest)
    return replace(trial, levels=levels, refusals=trial.refusals + 1)


async def _leave_out_parameters(refused: RefusedRequest) -> Trial | None:
    """Returns the request without parameters that the refusal names or nobody would miss, or None if there are none."""
    learned, named = refused.learned, refused.named_parts
    dropped = learned.parameters.parameters_to_omit(refused.trial.parameters, named, is_last=refused.is_last)
    if not dropped:
        return None
    names = ", ".join(sorted(parameter.name.lower() for parameter in dropped))
    is_missed = not {*WEB, OptionalParameter.TOOLS}.isdisjoint(dropped)
    log.log(logging.WARNING if is_missed else logging.INFO, "%s: asking again without %s", learned.model, names)
    is_certain = dropped == named or (len(dropped) == 1 and learned.faults < MAX_FAULTS)
    return refused.trial.without_parameters(dropped, is_conclusive=is_certain and not is_about_output(refused.response))


REMEDIES: tuple[Remedy, ...] = (
    Remedy(lambda it: _has_no_such_model(it) and OptionalParameter.TOOLS_WITH_REASONING in it.trial.dropped, None),
    Remedy(_has_no_such_model, _ask_other_api),
    Remedy(_is_about_items, _leave_out_items),
    Remedy(lambda it: it.room is not None and not it.is_about_files, _ask_for_less_room),
    Remedy(lambda it: it.trial.refusals >= MAX_REFUSALS, None),
    Remedy(lambda it: it.files is not None and (it.is_about_files or not it.named_parts), _send_fewer_files),
    Remedy(_has_long_tools, _leave_out_all_tools),
    Remedy(lambda it: it.room is not None, None),
    Remedy(_has_no_other_api, _return_to_first_api),
    # The model's output might be parsable the next time.
    Remedy(lambda it: is_about_output(it.response) and it.learned.faults < MAX_FAULTS, None),
    Remedy(_is_unrelated_to_form, None),
    Remedy(lambda it: len(it.trial.refused_tools) < MAX_REFUSED_TOOLS and bool(it.named_tools), _leave_out_named_tools),
    Remedy(lambda it: it.max_tools is not None, _send_first_tools),
    Remedy(lambda it: OptionalParameter.TOOLS_WITH_REASONING in it.named_parts, _ask_other_api),
    Remedy(lambda it: it.named_parts == {OptionalParameter.EFFORT} and not it.is_last, _send_nearest_effort),
    Remedy(lambda it: True, _leave_out_parameters),
)


def _trial_at_api(api: Api, refused: RefusedRequest, dropped: frozenset[OptionalParameter] = frozenset()) -> Trial:
    trial, learned = refused.trial, refused.learned
    dropped |= trial.dropped
    parameters = learned.parameters.allowed(needed_parameters(trial.prompt, api)) - dropped
    wanted_tokens = api.wanted_tokens(trial.prompt.effort)
    output_tokens = trial.room.output_limit(wanted_tokens, learned.estimate.prompt_tokens(trial.prompt))
    return replace(trial, api=api, parameters=parameters, dropped=dropped, output_tokens=output_tokens)
