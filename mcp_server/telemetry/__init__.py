"""What operators see: a line for each call, counts, Prometheus metrics, OpenTelemetry spans.

None of it holds a query, a URL beyond its host, a token, or the text of a page.
"""
