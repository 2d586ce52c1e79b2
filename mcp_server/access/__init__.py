"""Who may call over HTTP, and how much.

`door` is what serving is given, `opening` makes it from settings. `tokens` knows callers by static
tokens from a file; `jwt_tokens` by those of an OAuth server, whose keys `issuer_keys` fetches.
`server_urls` judges and compares the URLs in both. `callers` counts what each one calls and keeps
them to their rates.
"""
