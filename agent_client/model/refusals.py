"""Read the errors of model servers in all their shapes, and give each its type."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError

from agent_client.errors import (
    BadModelRequest,
    ContextOverflow,
    ModelError,
    ModelNotFound,
    ModelOverloaded,
    ModelUnauthorized,
)
from agent_client.model.retries import read_retry_after

_OVERLOADED = frozenset({429, 503, 529})
_OVERLOADED_KINDS = frozenset({"service_unavailable", "overloaded_error", "unavailable_error"})
_WORTH_ANOTHER_TRY = frozenset({408, 425, 500, 502, 504, 520, 521, 522, 523, 524})
_OVERFLOW_TEXTS = (
    "context length",  # SGLang, vLLM, Ollama, LM Studio, OpenRouter
    "context_length_exceeded",  # OpenAI
    "context window",  # OpenAI, llama-cpp-python
    "context size",  # llama.cpp
    "exceed_context_size_error",  # llama.cpp
    "max_completion_tokens is too large",  # SGLang
    "maximum model length",  # vLLM, of the prompt alone
    "max_model_len",  # vLLM, the same in newer words
    "maximum allowed length",  # SGLang, of the prompt alone
    "context the overflows",  # LM Studio, sic
    "prompt is too long",  # Anthropic and gateways to it
)


class _ErrorDetail(BaseModel):
    message: str | None = None
    type: str | None = None
    code: int | str | None = None


class _ErrorBody(_ErrorDetail):
    object: str | None = None
    error: _ErrorDetail | str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class WireError:
    """An error as the server words it."""

    message: str
    type: str = ""
    code: int | None = None
    name: str = ""
    """The code, where it is a word, such as "model_not_found"."""


def read_error(body: str | bytes) -> WireError | None:
    """Read an error in any of the usual shapes; None when the body is not an error.

    SGLang's is flat or `{"error": {…}}` or `{"error": "…"}`, FastAPI's has a `detail`.
    """
    try:
        read = _ErrorBody.model_validate_json(body)
    except ValidationError:
        return None
    if isinstance(read.error, str):
        return WireError(read.error)
    detail = read.error or (read if read.object == "error" else None)
    if detail is None:
        return WireError(read.detail) if read.detail else None
    code = str(detail.code or "")
    is_number = code.isascii() and code.isdecimal() and len(code) <= 3
    return WireError(
        detail.message or detail.type or "error without a message",
        detail.type or "",
        int(code) if is_number else None,
        "" if is_number else code,
    )


def refusal(
    endpoint: str, status: int, headers: Mapping[str, str], body: bytes, *, model: str
) -> ModelError:
    """Make the error for a reply whose status is not 200.

    Args:
        endpoint: the base URL of the endpoint.
        status: the HTTP status.
        headers: of the reply, by lower-case name.
        body: the first part of the body.
        model: the model that was asked for, "" for none; named in the hint of an unknown one.
    """
    if 300 <= status < 400:
        target = printable(headers.get("location", ""))
        reason = f"HTTP {status}: redirects to {target or 'nowhere'}"
        return ModelError(endpoint, reason, status=status, hint="give the address it points to")
    error = read_error(body)
    if error is None:
        error = WireError(printable(body.decode(errors="replace")) or "no explanation")
    return typed_error(
        endpoint, error, status, model=model, retry_after=headers.get("retry-after", "")
    )


def typed_error(
    endpoint: str, error: WireError, status: int | None, *, model: str, retry_after: str = ""
) -> ModelError:
    """Choose the type of an error that the server reports.

    Args:
        endpoint: the base URL of the endpoint.
        error: what the server says.
        status: of HTTP, or the code that it names inside of a stream; None when there is none.
        model: the model that was asked for, "" for none.
        retry_after: the header of this name, or "".
    """
    said = printable(error.message)
    reason = said if status is None else f"HTTP {status}: {said}"
    kind, told = error.type.lower(), f"{error.type} {error.name} {error.message}".lower()
    if "insufficient_quota" in told or status == 402:
        hint = "pay for more, or use another endpoint"
        return ModelError(endpoint, reason, status=status, hint=hint)
    if status in _OVERLOADED or kind in _OVERLOADED_KINDS:
        seconds = read_retry_after(retry_after) if retry_after else None
        return ModelOverloaded(endpoint, reason, status=status, retry_after_seconds=seconds)
    if any(text in told for text in _OVERFLOW_TEXTS):
        hint = "shorten the conversation or lower max_tokens"
        return ContextOverflow(endpoint, reason, status=status, hint=hint)
    if status in (401, 403):
        hint = "set SEEKLING_API_KEY to the key of this endpoint"
        return ModelUnauthorized(endpoint, reason, status=status, hint=hint)
    if status in (404, 405) or "model_not_found" in told:
        asked = f"the model's name, {model!r}," if model else "the address"
        hint = f"check {asked} against {endpoint}/models"
        return ModelNotFound(endpoint, reason, status=status, hint=hint)
    is_retryable = status in _WORTH_ANOTHER_TRY
    if status is not None and 400 <= status < 500 and not is_retryable:
        return BadModelRequest(endpoint, reason, status=status)
    return ModelError(endpoint, reason, status=status, retryable=is_retryable)


def printable(text: str) -> str:
    """Make one line of at most 200 characters that is safe to print."""
    spaced = "".join(char if char.isprintable() else " " for char in text[:4000])
    return " ".join(spaced.split())[:200]
