"""Makes a served model write a given text, through SGLang's own hook for logit processors."""

from collections.abc import Mapping, Sequence
from typing import Any

END_OF_TURN = 151645
"""The token `<|im_end|>`."""


class ScriptedOutput:
    """Forces the next token of each request: those in its `token_ids`, then the end of the turn.

    SGLang gives one row of logits and one mapping of parameters per request of the batch, and the
    request itself under `__req__`.
    """

    def __call__(self, logits: Any, custom_param_list: Sequence[Mapping[str, Any]]) -> Any:
        for row, parameters in enumerate(custom_param_list):
            token_ids = parameters["token_ids"]
            written = len(parameters["__req__"].output_ids)
            forced = token_ids[written] if written < len(token_ids) else END_OF_TURN
            logits[row, :] = float("-inf")
            logits[row, forced] = 0.0
        return logits
