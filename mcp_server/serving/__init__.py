"""How the server meets its callers: over stdio, or over streamable HTTP.

`stdio` is one host that started us, and ends us; `http_app` is the application that many callers
share, `listening` the socket and the server under it.
"""
