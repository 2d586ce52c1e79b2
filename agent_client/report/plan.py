"""How large a report is."""

from dataclasses import dataclass

from agent_client.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPlan:
    """The size of a report and of the work for it.

    Raises:
        ConfigError: a number is out of its bounds.
    """

    perspectives: int = 3
    """Points of view, the first of which is always the basic facts; 1 to 12."""
    questions: int = 2
    """Questions of each perspective; 1 to 12."""
    sections: int = 4
    """Most sections; 1 to 20."""
    section_words: int = 120
    """About how long a section is; 20 to 600."""
    concurrency: int = 3
    """Questions researched and sections written at the same time; 1 to 64."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("perspectives", 1, 12),
            ("questions", 1, 12),
            ("sections", 1, 20),
            ("section_words", 20, 600),
            ("concurrency", 1, 64),
        ):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(
                    f"report setting {name!r}: {getattr(self, name)} is not in {low} to {high:,}"
                )

    @property
    def section_sentences(self) -> int:
        """Most sentences of one section, at some 18 words each."""
        return max(2, round(self.section_words / 18))


DEFAULT_PLAN = ReportPlan()
