"""Who may call over HTTP, and how much.

`tokens` knows callers by static tokens from a file, `jwt_tokens` by those of an OAuth server;
`callers` counts what each one calls and keeps them to their rates.
"""
