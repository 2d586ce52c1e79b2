"""JSON that takes any text: models and pages do write halves of surrogate pairs."""

import json
from typing import Any, TypeVar

import msgspec

_Kind = TypeVar("_Kind")

_ENCODER = msgspec.json.Encoder(enc_hook=str)
_SORTED_ENCODER = msgspec.json.Encoder(enc_hook=str, order="deterministic")


def plain_value(kind: type, value: object) -> object:
    """Hook for decoders of values that are `object` to the type checker: any JSON value."""
    if kind is object:
        return value
    raise TypeError(f"{kind} is not stored here")


def encoded(value: object) -> bytes:
    """A value as JSON on one line; what has no form in JSON as its string.

    Raises:
        TypeError, ValueError, RecursionError: it has none, such as lists nested a thousand deep.
    """
    try:
        return _ENCODER.encode(value)
    except UnicodeEncodeError:  # half of a surrogate pair: JSON can say it, in ASCII
        return json.dumps(msgspec.to_builtins(value, enc_hook=str)).encode()


def canonical(value: object) -> bytes:
    """A value as JSON on one line, always the same for the same value: keys are sorted.

    Raises:
        TypeError, ValueError, RecursionError: as `encoded`.
    """
    try:
        return _SORTED_ENCODER.encode(value)
    except UnicodeEncodeError:
        plain = msgspec.to_builtins(value, enc_hook=str)
        return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()


def decoded(data: bytes, decoder: "msgspec.json.Decoder[_Kind]") -> _Kind:
    """The value that was encoded so.

    Raises:
        ValueError, TypeError, LookupError, RecursionError: it is damaged, or of another kind.
    """
    try:
        return decoder.decode(data)
    except msgspec.ValidationError:
        raise
    except (msgspec.DecodeError, UnicodeDecodeError):  # half of a surrogate pair, or damage
        return msgspec.convert(loaded(data), decoder.type, dec_hook=decoder.dec_hook)


def loaded(data: bytes) -> Any:
    """The JSON values of damaged text, as far as Python's own parser reads it.

    Raises:
        ValueError, RecursionError: it is no JSON.
    """
    return json.loads(data.decode("utf-8", "replace"))
