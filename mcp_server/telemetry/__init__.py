"""What operators see: a line for each call, counts, Prometheus metrics, OpenTelemetry spans.

`call_log` gives ids and writes the lines, `counts` counts, `metrics` tells what was counted,
`spans` surrounds what is asked of others, `tracing` sends spans. None of it holds a query, a URL
beyond its host, a token, or the text of a page.
"""
