"""Take the power out of text that was written by others: pages, results, questions.

A tokenizer turns `<|im_end|>` into the one token that ends a turn, wherever it stands. A page that
holds it could therefore end its own tool result and go on in the name of the person. No template
guards against that, so the text is changed before it is put into a prompt.
"""

import re

# With a bar at one end or both: the control tokens of ChatML, Llama 3, Gemma 4 and their like, and,
# with a wide bar, of DeepSeek. The named tags are those of Qwen, Hermes and Gemma that a prompt
# gives a meaning to.
_CONTROL_TOKEN = re.compile(
    r"<(?=[|｜][^<>|｜\s]{1,64}[|｜]?>"
    r"|[^<>|｜\s]{1,64}[|｜]>"
    r"|/?(?:think|tool_call|tool_response|tools)>"
    r"|(?:start_of_turn|end_of_turn)>)"
)


def neutralise(text: str) -> str:
    """Break every control token of a chat template by a space behind its first character.

    `<|im_end|>` becomes `< |im_end|>`: no tokenizer reads that as a token, a person and the model
    still read what was there, and nothing else changes. What comes out holds no control token, so
    that doing it twice is doing it once. Linear time; text without a `<` costs one scan.
    """
    return _CONTROL_TOKEN.sub("< ", text) if "<" in text else text
