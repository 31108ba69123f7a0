"""Records the animation in README.md: `python -m tests.animation`, some 15 s, needs Chromium and the fonts of FONTS.

A person has asked in a direct message on the sandbox's page, and the bot's answer grows. The conversation is
photographed as fast as the browser allows. Each frame is shown for as long as the page looked like it, so the animation
runs at its true speed.
"""

import asyncio
import io
import sys
import time
from dataclasses import dataclass, field

from PIL import Image
from playwright.async_api import Browser, Locator, expect

from bot.core import texts
from tests.scenarios.conftest import manifest, says
from tests.screenshots import DIRECT, DOCS, bot_in, chromium, opened

NAME = "typist.webp"
SIZE = {"width": 960, "height": 750}
"""Of the window. The conversation is a part of it."""
QUESTION = "which of our queries are slow, and what helps?"
PAUSE_S = 0.04
"""Between two deltas of four characters: the answer takes some 7 s."""
HOLD_MS = 2_500
"""How long the last frame stays before the animation starts over."""
TARGET_BYTES = 3_000_000
ANSWER = """## Slow queries

| Query | Calls | Mean | Total |
|:--|--:|--:|--:|
| orders by customer | 1,204,113 | 2.1 ms | **42 min** |
| latest events | 8,020 | 190 ms | 25 min |
| nightly report | 1 | 61 s | 1 min |

The first one is fast, and still the most expensive: it lacks an index.

```sql
create index concurrently orders_by_customer
    on orders (customer_id, created_at);
```

1. Create the index, then run `analyze orders`.
2. Measure again tomorrow.
3. Leave the nightly report as it is: it costs **one minute a day**.
"""


@dataclass
class Recording:
    frames: list[bytes] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)

    async def run(self, part: Locator) -> None:
        while True:
            frame = await part.screenshot(type="png", scale="css")
            if not self.frames or frame != self.frames[-1]:
                self.frames.append(frame)
                self.times_s.append(time.monotonic())

    def save(self, name: str) -> None:
        """Writes the animation into docs/. Raises ValueError if it is too large for a README."""
        images = [Image.open(io.BytesIO(frame)).convert("RGB") for frame in self.frames]
        shown_ms = [
            round((later - earlier) * 1000) for earlier, later in zip(self.times_s, self.times_s[1:], strict=False)
        ]
        images[0].save(
            DOCS / name,
            save_all=True,
            append_images=images[1:],
            duration=[*shown_ms, HOLD_MS],
            loop=0,
            quality=70,
            method=4,
        )
        size_bytes = (DOCS / name).stat().st_size
        sys.stdout.write(f"docs/{name}: {len(images)} frames, {(sum(shown_ms) + HOLD_MS) / 1000:.1f} s, ")
        sys.stdout.write(f"{size_bytes / 1e6:.2f} MB\n")
        if size_bytes > TARGET_BYTES:
            raise ValueError(f"The animation is larger than {TARGET_BYTES / 1e6:.0f} MB. Make it shorter or smaller.")


async def main() -> None:
    """Records and writes the animation. Raises RuntimeError if Chromium or a font is missing."""
    async with chromium() as browser:
        recording = await _recorded(browser)
    recording.save(NAME)


async def _recorded(browser: Browser) -> Recording:
    recording = Recording()
    async with bot_in(manifest(), says(ANSWER, pause_s=PAUSE_S)) as sandbox:
        page = await opened(browser, sandbox, SIZE, "light")
        await page.locator("#directs").get_by_role("button", name=DIRECT).press("Enter")
        await page.locator("#main-box").fill(QUESTION)
        await page.locator("#main-box").press("Enter")
        answer = page.locator("#main .message").last
        await expect(answer).to_contain_text(texts.answers.THINKING)
        await page.locator("#main-box").evaluate("box => box.blur()")
        camera = asyncio.create_task(recording.run(page.locator("#main .list")))
        await expect(answer).to_contain_text("one minute a day", timeout=30_000)
        await expect(answer.get_by_role("button", name="Regenerate")).to_be_visible()
        await asyncio.sleep(0.3)
        camera.cancel()
        await asyncio.wait([camera])
    return recording


if __name__ == "__main__":
    asyncio.run(main())
