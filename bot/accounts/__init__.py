"""Tools signed in as oneself: people's own accounts at MCP servers, with or without a public address of Typist.

An HTTP server without an Authorization header in BOT_MCP_CONFIG may answer 401 and name where people sign in. Then a
model may propose a sign-in (`sign_ins.py`), as it proposes a memory. The asker presses *Sign in*, which opens a modal
with a link to the server's own page: an authorization code with PKCE. Its redirect leads to a loopback address at which
nothing listens. So the browser shows a page that doesn't open, and the person pastes its address into the modal. With
BOT_PUBLIC_URL, it leads to a page of Typist (`page.py`), whose code the person types there.

What holds
----------
- The address or code in a modal is in no prompt, message, log or audit. It works once, within ten minutes, for the
  person and the call that it was made for.
- Tokens, codes' verifiers and clients' secrets are encrypted at rest with BOT_SECRET_KEYS, together with their owner.
- One process at a time refreshes an account's tokens. The old ones stay on record until the new ones are.
- Each person has connections of their own (`connections.py`). Where others read the answer, each call asks that person
  first, and nobody else may have it made.
"""
