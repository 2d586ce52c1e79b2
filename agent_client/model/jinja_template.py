"""Chat templates in Jinja, as they come with tokenizers, for prompts that only grow.

A template is a program that a model's publisher wrote, so it runs in Jinja's sandbox, without
changing its input, and within bounds of time and size.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence, Sized
from datetime import datetime
from functools import lru_cache
from typing import Any, cast

from jinja2 import TemplateError as JinjaError
from jinja2 import nodes
from jinja2.ext import Extension, LoopControlExtension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from agent_client.conversation import Message, ToolSpec
from agent_client.model.chat_template import (
    TemplateError,
    made_safe,
    message_json,
    safe_tools,
    tool_json,
)

MAX_TEMPLATE_CHARS = 200_000
MAX_RENDERED_CHARS = 20_000_000
RENDER_SECONDS = 5.0
"""Bound of one rendering; it is looked at whenever the template writes or calls something."""

_MAX_REPEATED = 100_000
_MAX_EXPONENT = 64
_KEPT_EXTENSIONS = 512
"""How many are kept: each turn needs those of all turns before, at 0.3 ms each."""
_REPLY = "\ue000the reply\ue001"
"""Stands for what the model writes; from a private plane, as no template holds it."""
_QUESTION = Message("user", "question")
_SAMPLE_TOOL = ToolSpec("web_search", "Search.", {"type": "object", "properties": {}})


class JinjaTemplate:
    """A chat template in Jinja for a prompt that only grows. Implements `ChatTemplate`.

    What stands between two completions is found by rendering a sample conversation with and
    without the new messages; the difference is it. A template for which that does not hold,
    because a later message changes what stands before it, is refused.

    Args:
        source: the template.
        variables: what it may use besides the messages, such as `bos_token`.
        clock: monotonic seconds.

    Raises:
        TemplateError: it is no template, or cannot be used for a prompt that only grows.
    """

    def __init__(
        self,
        source: str,
        variables: Mapping[str, str] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if len(source) > MAX_TEMPLATE_CHARS:
            raise TemplateError(f"it has more than {MAX_TEMPLATE_CHARS:,} characters")
        self._environment = _Sandbox(clock)
        self._variables = dict(variables or {})
        try:
            self._template = self._environment.from_string(source)
        except JinjaError as exc:
            raise TemplateError(_one_line(exc)) from exc
        self._before_reply = self._render([_QUESTION], [_SAMPLE_TOOL], is_open=False)
        self._end_of_turn, self._empty_chars = "", 0
        self._end_of_turn = self._after_reply([])
        self._empty_chars = len(self._after_reply([], is_open=True))
        if not self._end_of_turn.strip():
            raise TemplateError("it writes nothing at the end of a reply")
        self._extend = lru_cache(_KEPT_EXTENSIONS)(self._extension)
        told = (self._end_of_turn.strip(), self._variables.get("eos_token", ""))
        self._stops = tuple(dict.fromkeys(text for text in told if text))

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end the model's turn, the template's own first."""
        return self._stops

    def begin(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
        """Render a conversation up to the place where the model writes.

        Raises:
            TemplateError: the template cannot express it.
        """
        safe = [made_safe(message) for message in messages]
        return self._render(safe, safe_tools(tools), is_open=True)

    def extend(self, messages: Sequence[Message]) -> str:
        """Render what stands between the end of one completion and the next place to write.

        Raises:
            TemplateError: the template cannot express it, or would change what stands before.
        """
        if any(message.tool_calls for message in messages):
            return self._extension(*messages)
        return self._extend(*messages)

    def _extension(self, *messages: Message) -> str:
        return self._after_reply([made_safe(message) for message in messages], is_open=True)

    def _after_reply(self, messages: Sequence[Message], *, is_open: bool = False) -> str:
        """Render a sample conversation; give what follows the reply in it."""
        sample = [_QUESTION, Message("assistant", _REPLY), *messages]
        whole = self._render(sample, [_SAMPLE_TOOL], is_open=is_open)
        if not whole.startswith(self._before_reply):
            raise TemplateError("later messages change what it writes for earlier ones")
        _, *parts = whole.split(_REPLY)
        if len(parts) != 1:
            raise TemplateError("it does not show a reply exactly once")
        if not parts[0].startswith(self._end_of_turn):
            raise TemplateError("what ends a reply depends on what comes next")
        # it may quote a text as JSON, which makes it longer, never shorter
        shown_chars = len(parts[0]) - self._empty_chars
        if shown_chars < sum(len(message.text.strip()) for message in messages):
            raise TemplateError("it leaves out what follows a reply")
        return parts[0]

    def _render(
        self, messages: Sequence[Message], tools: Sequence[ToolSpec], *, is_open: bool
    ) -> str:
        values: dict[str, object] = {
            **self._variables,
            "messages": [message_json(message, dict) for message in messages],
            "tools": [tool_json(tool) for tool in tools] or None,
            "add_generation_prompt": is_open,
        }
        self._environment.start_clock()
        parts: list[str] = []
        chars = 0
        try:
            for part in self._template.generate(values):
                parts.append(part)
                chars += len(part)
                self._environment.check_bounds(chars)
        # a template can fail in any way that Python code can
        except Exception as exc:
            raise TemplateError(_one_line(exc)) from exc
        return "".join(parts)


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox with what chat templates count on, and with bounds."""

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[LoopControlExtension, _GenerationTag]
        )
        self._clock = clock
        self._deadline = 0.0
        self.filters["tojson"] = _to_json  # Jinja's own escapes for HTML
        names: dict[str, Any] = cast("dict[str, Any]", self.globals)
        names.update(raise_exception=_raise_exception, strftime_now=_strftime_now)

    def start_clock(self) -> None:
        self._deadline = self._clock() + RENDER_SECONDS

    def check_bounds(self, chars: int = 0) -> None:
        if chars > MAX_RENDERED_CHARS:
            raise JinjaError(f"it writes more than {MAX_RENDERED_CHARS:,} characters")
        if self._clock() > self._deadline:
            raise JinjaError(f"it takes longer than {RENDER_SECONDS:g} s")

    def call(self, *args: Any, **kwargs: Any) -> Any:
        self.check_bounds()
        return super().call(*args, **kwargs)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        self.check_bounds()
        if operator == "**" and not (_is_small(left) and _is_small(right)):
            raise JinjaError("it computes too large a number")
        for repeated, times in ((left, right), (right, left)):
            is_repetition = isinstance(repeated, str | list | tuple) and isinstance(times, int)
            if is_repetition and len(cast("Sized", repeated)) * times > _MAX_REPEATED:
                raise JinjaError("it repeats something too often")
        return super().call_binop(context, operator, left, right)


class _GenerationTag(Extension):
    """`{% generation %}` marks the model's own text for training; here it only passes it on."""

    tags = {"generation"}  # noqa: RUF012 - so typed by Jinja

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _is_small(number: object) -> bool:
    return isinstance(number, int | float) and abs(number) <= _MAX_EXPONENT


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise_exception(message: object) -> None:
    raise JinjaError(str(message))


def _strftime_now(pattern: str) -> str:
    return datetime.now().astimezone().strftime(pattern)


def _one_line(exc: Exception) -> str:
    return " ".join(f"{exc}".split())[:300] or type(exc).__name__
