"""Who may call over HTTP, and how much.

`opening` makes the door from settings; `tokens` knows callers by static tokens from a file,
`jwt_tokens` and `issuer_keys` by those of an OAuth server; `callers` counts what each one calls
and keeps them to their rates.
"""
