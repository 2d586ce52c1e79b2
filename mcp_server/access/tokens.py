"""Callers known by static tokens, which stand in a file: one line each."""

import hmac
import logging
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from mcp.server.auth.provider import AccessToken

from mcp_server.errors import ConfigError

MAX_FILE_BYTES = 100_000
MAX_TOKENS = 1_000
MIN_TOKEN_CHARS = 16
MIN_BARE_TOKEN_CHARS = 32
"""Of a token without a name: a shorter word alone is more likely a name without its token."""
MAX_TOKEN_CHARS = 1_024
CHECK_SECONDS = 1.0
"""How often the file is looked at, at most, to see whether it changed."""
HINT = "one `name token` a line; make tokens with: openssl rand -hex 32"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}")
_PAIR = re.compile(r"([^\s:=]{1,200})(?:\s{0,20}[:=]\s{0,20}|\s{1,200})(\S{1,2000})")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{1,2000}={0,2}")
"""What a Bearer header can carry (RFC 6750, section 2.1)."""
_DIGEST = re.compile(r"sha256:([0-9A-Fa-f]{64})")
_COMMENT = re.compile(r"(?:^|\s)#")
_DIGEST_HINT = "make it with: printf %s TOKEN | sha256sum"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NamedToken:
    """One line of the file. The token itself is forgotten once it is hashed."""

    name: str
    digest: bytes
    """SHA-256 of the token. Tokens are long and random, so that nothing slower is needed."""


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What tells one state of a file from another."""

    modified_ns: int
    changed_ns: int
    size: int
    inode: int


class TokenFile:
    """Verifies the tokens of a file and follows its changes.

    A token that is taken out stops working within `CHECK_SECONDS`, and a file that is emptied lets
    nobody in. A new state of the file that cannot be read, or has a wrong line, is told once in
    the log as an error; until it is mended the tokens before it stay valid.
    """

    def __init__(
        self,
        path: Path,
        *,
        scopes: Sequence[str] = (),
        resource: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read the file.

        Args:
            path: lines as `read_tokens` takes them.
            scopes: what every token of the file allows.
            resource: our public URL, where OAuth tokens are accepted too: these tokens are good
                for it.
            clock: monotonic seconds.

        Raises:
            ConfigError: the file cannot be read, has a wrong line or holds no token.
        """
        self._path = path
        self._scopes = list(scopes)
        self._resource = resource
        self._clock = clock
        self._stamp, self._tokens = _load(path)
        self._checked_at = clock()
        if not self._tokens:
            raise ConfigError(f"token file {str(path)!r} holds no token", hint=HINT)

    async def verify_token(self, token: str) -> AccessToken | None:
        """The caller whose token it is, or None.

        The time that it takes says nothing about the tokens: all of them are compared, whole. The
        answer does not hold the token, so that nobody behind the door can pass it on.
        """
        self._follow_file()
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        found: NamedToken | None = None
        for known in self._tokens:
            if hmac.compare_digest(known.digest, digest):
                found = known
        if found is None:
            return None
        return AccessToken(
            token="", client_id=found.name, scopes=self._scopes, resource=self._resource
        )

    def _follow_file(self) -> None:
        now = self._clock()
        if now - self._checked_at < CHECK_SECONDS:
            return
        self._checked_at = now
        stamp = _stamp_of(self._path)
        if stamp == self._stamp:
            return
        try:
            self._stamp, self._tokens = _load(self._path)
        except ConfigError as exc:
            self._stamp = stamp  # told once for each state of the file
            logger.error("%s; the tokens before this change stay valid", exc)  # noqa: TRY400
            return
        if self._tokens:
            logger.info("token file read again: %d tokens", len(self._tokens))
        else:
            logger.warning("token file %s holds no token: nobody is let in", self._path)


def _load(path: Path) -> tuple[_Stamp | None, tuple[NamedToken, ...]]:
    """The state of the file, taken before it is read, and its tokens.

    Raises:
        ConfigError: it cannot be read or has a wrong line.
    """
    shown = f"token file {str(path)!r}"
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for its writer
            raise ConfigError(f"{shown} is not a file", hint=HINT)
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"{shown}: {exc.strerror or 'cannot be read'}", hint=HINT) from exc
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{shown} is longer than {MAX_FILE_BYTES:,} bytes", hint=HINT)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(f"{shown} is not UTF-8", hint=HINT) from None
    tokens = read_tokens(text, shown=shown)
    if os.name == "posix" and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        logger.warning("%s can be read by others on this machine: chmod 600 it", shown)
    return _stamp(status), tokens


def _stamp_of(path: Path) -> _Stamp | None:
    try:
        return _stamp(path.stat())
    except OSError:
        return None


def _stamp(status: os.stat_result) -> _Stamp:
    return _Stamp(status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


def read_tokens(text: str, *, shown: str) -> tuple[NamedToken, ...]:
    """The tokens of a file.

    Args:
        text: a line is `name token`, `name: token` or `name=token`; `sha256:` and the hexadecimal
            SHA-256 of a token may stand for it; a token without a name is called `token-1` after
            its line; from a `#` on, at the start or after a blank, it is a comment.
        shown: names the file in errors.

    Raises:
        ConfigError: a line is wrong; it is named by its number, and never shown.
    """
    names: dict[str, int] = {}
    digests: dict[bytes, int] = {}
    for number, line in _lines(text):
        where = f"{shown}, line {number}"
        name, digest = _read_line(line, number, where)
        if (same := names.get(name)) is not None:
            raise ConfigError(f"{where}: line {same} has the same name", hint="rename one of them")
        if (same := digests.get(digest)) is not None:
            raise ConfigError(f"{where}: line {same} has the same token", hint=HINT)
        if len(names) == MAX_TOKENS:
            raise ConfigError(f"{shown} has more than {MAX_TOKENS:,} tokens")
        names[name] = digests[digest] = number
    return tuple(NamedToken(name, digest) for name, digest in zip(names, digests, strict=True))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), start=1):
        comment = _COMMENT.search(line)
        if meant := (line[: comment.start()] if comment else line).strip():
            yield number, meant


def _read_line(line: str, number: int, where: str) -> tuple[str, bytes]:
    if _DIGEST.fullmatch(line) or _TOKEN.fullmatch(line):
        return f"token-{number}", _read_token(line, where, min_chars=MIN_BARE_TOKEN_CHARS)
    pair = _PAIR.fullmatch(line)
    if pair is None:
        raise ConfigError(f"{where} is not `name token`", hint=HINT)
    if not _NAME.fullmatch(pair[1]):
        raise ConfigError(
            f"{where}: wrong name", hint="up to 64 letters, digits and the signs . _ - @"
        )
    return pair[1], _read_token(pair[2], where)


def _read_token(token: str, where: str, *, min_chars: int = MIN_TOKEN_CHARS) -> bytes:
    if digest := _DIGEST.fullmatch(token):
        return bytes.fromhex(digest[1])
    if token.lower().startswith("sha256:"):
        raise ConfigError(f"{where}: sha256: needs 64 hexadecimal digits", hint=_DIGEST_HINT)
    if not _TOKEN.fullmatch(token):
        raise ConfigError(f"{where}: the token has signs that no header can carry", hint=HINT)
    if not min_chars <= len(token) <= MAX_TOKEN_CHARS:
        nameless = " without a name" if min_chars > MIN_TOKEN_CHARS else ""
        raise ConfigError(
            f"{where}: a token{nameless} must have {min_chars} to {MAX_TOKEN_CHARS:,} characters",
            hint=HINT,
        )
    return sha256(token.encode()).digest()
