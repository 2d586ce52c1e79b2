"""Measure how much of each prompt repeats the one before, which is what a prefix cache can use."""

from agent_client.agent.outcome import PrefixStability


class PrefixMeter:
    """Compares each prompt of a run with the previous prompt and its completion, in characters.

    It keeps the last prompt and completion by reference and copies neither.
    """

    def __init__(self) -> None:
        self._prompt = self._completion = ""
        self._sum = 0.0
        self._worst = 1.0
        self._turns = self._prompts = 0

    def add(self, prompt: str, completion: str) -> None:
        """Take one model call. A call whose prompt is not known ("") is passed over.

        Args:
            prompt: as sent.
            completion: what the next prompt should repeat after it; "" for a reply that was thrown
                away, as the same prompt is then sent again.
        """
        if not prompt:
            return
        if self._prompt:
            share = _shared_chars(self._prompt, self._completion, prompt)
            share /= len(self._prompt) + len(self._completion)
            self._sum += share
            self._worst = min(self._worst, share)
            self._turns += 1
        self._prompts += 1
        self._prompt, self._completion = prompt, completion

    def announce(self) -> None:
        """A compaction was announced: the next prompt starts anew and is compared with nothing."""
        self._prompt = self._completion = ""

    def result(self) -> PrefixStability | None:
        """What was measured so far; None without any known prompt."""
        if not self._prompts:
            return None
        mean = self._sum / self._turns if self._turns else 1.0
        return PrefixStability(mean=mean, worst=self._worst, turns=self._turns)


def _shared_chars(prompt: str, completion: str, following: str) -> int:
    """The length of what `following` has in common with `prompt + completion` at its start."""
    if not following.startswith(prompt):
        return _common_prefix_chars(prompt, following, 0)
    if following.startswith(completion, len(prompt)):
        return len(prompt) + len(completion)
    return len(prompt) + _common_prefix_chars(completion, following, len(prompt))


def _common_prefix_chars(text: str, other: str, start: int) -> int:
    """The length of the common start of `text` and `other[start:]`, by halving.

    Each step compares one slice, all of them together about as much as `text`.
    """
    low, high = 0, min(len(text), len(other) - start)  # `low` characters are known to agree
    while low < high:
        middle = (low + high + 1) // 2
        if other.startswith(text[low:middle], start + low):
            low = middle
        else:
            high = middle - 1
    return low
