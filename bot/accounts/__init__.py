"""People's own accounts at MCP servers, with or without a public URL for Typist.

An HTTP server without an Authorization header in BOT_MCP_CONFIG can respond with 401 and state where people sign in. A
model can then propose a sign-in (`sign_ins.py`), as it proposes a memory. The asker presses *Sign in*, which opens a
modal with a link to the server's page: an authorization code flow with PKCE. The server then redirects to a loopback
address where nothing listens, so the browser shows an error, and the person pastes that page's URL into the modal. With
BOT_PUBLIC_URL, the server redirects to Typist's page (`page.py`), and the person types the code that it shows.

- The URL or code in a modal never gets into prompts, messages, logs or the audit. Either works once, within ten
  minutes, for the person and call it was created for.
- Tokens, code verifiers and client secrets are encrypted at rest with BOT_SECRET_KEYS, together with their owner.
- One process at a time refreshes an account's tokens. The old tokens are kept until the new tokens are stored.
- Each person has separate connections (`connections.py`). If other people can read the answer, each call needs the
  approval of the account's owner.
"""
