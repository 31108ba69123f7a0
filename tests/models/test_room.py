"""What a refusal's sentence says of the room, as servers and gateways write it; the requests are in test_provider_room.

16,384 tokens were asked for, with a prompt of some 20. Some sentences are about the limit, some about the prompt.
"""

from types import SimpleNamespace

import pytest

from bot.models.failures import ErrorResponse, reason_and_sentence
from bot.models.room import MAX_WORDS_CHARS, Room, RoomRefusal, parse_room_refusal

ASKED = 16_384
PROMPT = 20

# What the server takes, with the window if the sentence names it.
LIMITS = [
    ("completion_tokens limit: 4096", 4096, None),
    ("Invalid completion_tokens: limit 4096", 4096, None),
    ("max_completion_tokens limit: 4096", 4096, None),
    ("output_tokens limit: 4096", 4096, None),
    ("output token limit exceeded (4096)", 4096, None),
    ("maximum number of output tokens is 4,096", 4096, None),
    ("Max output is 4k tokens", 4000, None),
    ("The maximum generation length is 4096 tokens", 4096, None),
    ("Generation length exceeds 4096", 4096, None),
    ("This model can produce no more than 4096 tokens, but 16384 were requested", 4096, None),
    ("requested 16384 tokens > 4096 max", 4096, None),
    # Groq.
    (
        "`max_completion_tokens` must be less than or equal to `8192`, the maximum value for `max_completion_tokens` "
        "is less than the `context_window` for this model",
        8192,
        None,
    ),
    # OpenRouter.
    (
        "This endpoint's maximum context length is 8192 tokens. However, you requested about 16396 tokens (12 of text "
        "input, 16384 in the output). Please reduce the length of either one.",
        8180,
        8192,
    ),
    (
        "This endpoint's maximum context length is 8192 tokens. However, you requested about 17396 tokens (12 of text "
        "input, 1000 of tool input, 16384 in the output). Please reduce the length of either one.",
        7180,
        8192,
    ),
    # Together and TGI.
    (
        "`inputs` tokens + `max_new_tokens` must be <= 8193. Given: 12 `inputs` tokens and 16384 `max_new_tokens`",
        8181,
        8193,
    ),
    # Amazon Bedrock: its own, and the schemas of Claude's, Titan's and Llama's requests.
    ("The maximum tokens you requested exceeds the model limit of 8192. Try again with a lower value.", 8192, None),
    ("Malformed input request: #/maxTokens: 16384 is not less or equal to 4096", 4096, None),
    ("Malformed input request: #/textGenerationConfig/maxTokenCount: 16384 is not less or equal to 8192", 8192, None),
    ("Malformed input request: #/max_gen_len: 16384 is not less or equal to 2048", 2048, None),
    # Vertex AI.
    (
        "Unable to submit request because it has a max_output_tokens value of 16384 but the supported range is from 1 "
        "(inclusive) to 8193 (exclusive). Update the value and try again.",
        8192,
        None,
    ),
    # Cohere.
    ("max tokens must be less than or equal to 4096, the maximum output for this model - received 16384.", 4096, None),
    # Mistral, NIM and Azure's serverless models: pydantic's words.
    ("ensure this value is less than or equal to 4096: max_tokens", 4096, None),
    ("body.max_tokens Input should be less than or equal to 4096", 4096, None),
    # OpenAI and Volcengine.
    ("Invalid 'max_tokens': integer above maximum value. Expected a value <= 4096, but got 16384 instead.", 4096, None),
    # Cerebras.
    ("Please reduce the length of the messages or completion. Current length is 16396 while limit is 8192", 8180, 8192),
    # SambaNova.
    (
        "Requested generation length 16384 is not possible! The provided prompt is 12 tokens long, so generating 16384 "
        "tokens requires a sequence length of 16396, but the maximum supported sequence length is just 4096!",
        4084,
        4096,
    ),
    # Moonshot.
    ("Invalid request: Your request exceeded model token limit: 8192 (requested: 16396)", 8180, 8192),
    # Alibaba and z.ai.
    ("<400> InternalError.Algo.InvalidParameter: Range of max_tokens should be [1, 8192]", 8192, None),
    ("max_tokens参数非法。取值范围[1,4095]", 4095, None),
    # watsonx.
    (
        "the number of input tokens 12 plus max new tokens 16384 cannot exceed the total tokens limit 4096 for this "
        "model",
        4084,
        4096,
    ),
    # Databricks.
    ("prompt token count (12) + max_tokens (16384) > 8192", 8180, 8192),
    # xAI, Fireworks and DeepSeek, as LiteLLM passes them on.
    ("litellm.BadRequestError: XaiException - max_tokens (16384) exceeds model limit (4096)", 4096, None),
    ("Parameter max_tokens is out of range: 1-4096", 4096, None),
    ("max_tokens should be in [1, 4096]", 4096, None),
    ("Input length (12) plus max_tokens (16384) exceeds the maximum sequence length (8192)", 8180, 8192),
    ("Total tokens 16396 (prompt 12 + completion 16384) exceed context window 8192", 8180, 8192),
]

# The prompt is what is too long, for this window.
PROMPTS = [
    ("The prompt is too long: 131073, model maximum context length: 131071", 131_071),
    ("This model's maximum prompt length is 131072 but the request contains 135000 tokens.", 131_072),
    ("Prompt contains 33000 tokens and 0 draft tokens, too large for model with 32768 maximum context length", 32_768),
    ("too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 12300.", 4081),
    ("Request body too large for gpt-4o model. Max size: 8000 tokens.", 8000),
    ("`inputs` must have less than 4095 tokens. Given: 5000", 4095),
    ("The input (9000 tokens) is longer than the model's context length (8192 tokens).", 8192),
    ("Input of 9000 tokens exceeds n_ctx 4096, with a context length of 8192", 4096),
    ("Input of 9000 tokens exceeds n_ctx 8192, with a context length of 4096", 4096),
]

# About something else, whatever numbers it has.
OTHERS = [
    "Invalid 'temperature': 16384 is out of range, expected a value <= 2",
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    "At least one of the image dimensions exceeds the max allowed size: 8000 pixels",
    "Image of 16384 pixels exceeds the limit of 8000",
    "Unknown parameter 'max_tokens' in line 42",
    f"{'x' * MAX_WORDS_CHARS} max_tokens limit: 4096",
]


def read(words: str) -> RoomRefusal | None:
    reason, _ = reason_and_sentence(ErrorResponse(400, {}, {"message": words}))
    return parse_room_refusal(reason, words, ASKED)


@pytest.mark.parametrize(("words", "limit", "window"), LIMITS)
def test_limit_that_a_server_takes_is_found_in_few_requests(words: str, limit: int, window: int | None) -> None:
    refusal = read(words)
    assert refusal
    assert refusal.mentions_output
    assert refusal.window_tokens in (None, window)
    room, asked, tries = Room(window_tokens=refusal.window_tokens), ASKED, 0
    while asked > limit:
        following = room.new_limit(refusal, asked, PROMPT, is_first=tries == 0)
        assert following
        asked, tries = following, tries + 1
    assert tries <= 3
    assert asked >= limit // 4


@pytest.mark.parametrize(("words", "window"), PROMPTS)
def test_prompt_that_is_too_long_is_told_from_a_limit(words: str, window: int) -> None:
    refusal = read(words)
    assert refusal
    assert refusal.is_about_window
    assert (refusal.mentions_output, refusal.stated_window_tokens) == (False, window)


@pytest.mark.parametrize("words", OTHERS)
def test_other_refusals_say_nothing_of_the_room(words: str) -> None:
    assert read(words) is None


OF_WINDOW = RoomRefusal((), None, mentions_output=True, is_about_window=True)


@pytest.mark.parametrize(
    ("prompt_tokens", "asked", "limit"),
    [
        (20, 16_384, 8_172),
        (6_000, 16_384, 2_192),
        (6_144, 16_384, 2_048),
        (6_145, 16_384, 2_048),
        (20_000, 16_384, 2_048),
        (20, 8_172, 2_048),
        (20_000, 2_048, None),
        (20, 2_048, None),
        (20, 1_000, None),
    ],
)
def test_quarter_of_a_window_stays_for_the_answer(prompt_tokens: int, asked: int, limit: int | None) -> None:
    """If a server refuses that, too, the prompt is too long."""
    assert Room(window_tokens=8_192).new_limit(OF_WINDOW, asked, prompt_tokens, is_first=True) == limit


def test_no_more_stays_than_the_settings_want() -> None:
    assert Room(window_tokens=8_192).output_limit(500, 8_000) == 500


@pytest.mark.parametrize(
    ("described", "room"),
    [
        ({"max_model_len": 4096}, Room(window_tokens=4096)),
        ({"context_length": 131_072, "max_completion_tokens": 8192}, Room(8192, 131_072)),
        ({"context_window": 8192, "max_completion_tokens": "many"}, Room(window_tokens=8192)),
        ({"max_input_tokens": 200_000, "max_tokens": 64_000}, Room(64_000, 200_000)),
        ({"context_length": 256, "max_tokens": 255}, Room(window_tokens=256)),
        ({"context_length": 0}, Room()),
        ({}, Room()),
    ],
)
def test_description_of_a_model_tells_its_room(described: dict[str, object], room: Room) -> None:
    assert Room().with_description(SimpleNamespace(**described)) == room


@pytest.mark.parametrize(
    ("numbers", "asked_tokens", "counts_more"),
    [
        ((4_096, 9_000), 4_499, True),
        ((4_096, 9_000), 4_500, False),
        ((9_000, 256, 7), 4_499, True),
        ((9_000, 255, 7), 4_499, False),
        ((9_000,), 4_499, False),
        ((), 0, False),
    ],
)
def test_refusal_that_counts_otherwise_names_more_than_twice_of_what_was_asked_for(
    numbers: tuple[int, ...], asked_tokens: int, counts_more: bool
) -> None:
    refusal = RoomRefusal(numbers, None, mentions_output=False, is_about_window=True)
    assert refusal.exceeds_request(asked_tokens) is counts_more


@pytest.mark.parametrize(("numbers", "longest"), [((7, 256), 256), ((7, 255), None), ((300, 7, 400), 300), ((), None)])
def test_longest_prompt_is_no_number_that_is_too_small_for_a_window(
    numbers: tuple[int, ...], longest: int | None
) -> None:
    assert RoomRefusal(numbers, None, mentions_output=False, is_about_window=True).stated_window_tokens == longest


def test_what_refusals_told_counts_more_than_the_description() -> None:
    described = SimpleNamespace(context_length=8_192, max_completion_tokens=2_048)
    assert Room(output_tokens=1_024).with_description(described) == Room(1_024, 8_192)
    assert Room(window_tokens=4_096).with_description(described) == Room(2_048, 4_096)
