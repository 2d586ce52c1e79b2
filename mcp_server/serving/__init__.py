"""How the server meets its callers: over stdio, or over streamable HTTP.

Over stdio: `host` is the program that started us, and ends us; `stdio` its pipes, `wire` the
messages on them. Over HTTP: `http_app` is the application that many callers share, `http_options`
what can be chosen about it. A request passes `cross_origin` (host names, web pages), `token_check`,
`traffic` (how many at once), `request_bodies`, `session_places` and `dropped_calls`; who is not let
in is told so by `refusals`, and what OAuth clients need by `protected_resource`. `listening` is the
socket and the server under it, with connections that are `prompt_connection`s.
"""
