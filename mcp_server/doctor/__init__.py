"""`seekling-mcp doctor`: whether this server works here, and what to do where it does not.

`examination` runs checks, each within its own deadline. What they look at: `installation` Python,
the program and the packages; `settings` where settings come from; `starting` the server as a host
starts it; `providers` each search provider; `reaching` a page of the web; `machine` the
page-reading process, memory, folders and indexes; `listening` what serving over HTTP needs.
`report` tells what was found.
"""
