"""People's own accounts on MCP servers, with or without a public URL for Typist.

If an HTTP server has no Authorization header in BOT_MCP_CONFIG, it can respond with 401 and state where people sign in.
A model can then propose a sign-in (`sign_ins.py`), just as it proposes a memory. When the asker clicks *Sign in*, a
modal opens with a link to the server's page. This starts an authorization code flow with PKCE. The server then
redirects to a loopback address where nothing is listening, so the browser shows an error, and the person pastes the URL
of that error page into the modal. With BOT_PUBLIC_URL, the server redirects to Typist's page (`page.py`), which shows a
code, and the person types this code into the modal.

- The URL or code entered in a modal never ends up in prompts, messages, logs or the audit. It works only once, within
  ten minutes, and only for the person and call for which it was created.
- Tokens, code verifiers and client secrets are encrypted at rest with BOT_SECRET_KEYS, together with their owner.
- Only one process at a time refreshes an account's tokens. The old tokens are kept until the new ones are stored.
- Each person has separate connections (`connections.py`). If other people can read the answer, each call needs the
  approval of the account's owner.
"""
