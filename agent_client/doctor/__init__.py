"""Examine a model server and the tool server, and say what to change.

`examination` runs the checks: `server_checks` those that let the model write nothing,
`generation_checks` the others. `trial` watches one reply on the wire, `identity` asks the server
what it is, `tool_server` looks at the tools, `installation` at what is on this machine.
`trial_call` is the shortest of all trials, `model_survey` lists models with it.
"""

from agent_client.doctor.examination import examine
from agent_client.doctor.findings import Diagnosis, Finding, Outcome
from agent_client.doctor.tool_server import tools

__all__ = ["Diagnosis", "Finding", "Outcome", "examine", "tools"]
