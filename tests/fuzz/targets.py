"""All that can be fuzzed, by name."""

from tests.fuzz import agent_targets, document_targets, web_targets
from tests.fuzz.target import Target

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (*web_targets.TARGETS, *agent_targets.TARGETS, *document_targets.TARGETS)
}
