"""Protocol profiles: files that pin everything that shapes a run apart from model and question."""

from agent_client.profiles.loading import BUILT_IN, load_profile, with_overrides

__all__ = ["BUILT_IN", "load_profile", "with_overrides"]
