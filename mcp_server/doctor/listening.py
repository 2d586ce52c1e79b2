"""What serving over HTTP needs: an address, a door where others reach it, and the issuer's keys."""

import stat
from pathlib import Path

import httpx

from mcp_server.access.issuer_keys import IssuerKeys
from mcp_server.access.tokens import TokenFile
from mcp_server.doctor.findings import Finding
from mcp_server.errors import KeysUnavailable
from mcp_server.serving.listening import check_exposure, listen

_GUARDS = "--token-file FILE or --oauth-issuer URL, or --host 127.0.0.1"


def address(host: str, port: int, *, is_guarded: bool) -> list[Finding]:
    """Whether the server may and can listen where it is told to.

    Args:
        host: a name or an address of this machine.
        port: 0 for any that is free.
        is_guarded: whether callers have to show a token.

    Raises:
        ConfigError: others could come in without a token, or the port is taken.
    """
    check_exposure(host, is_guarded=is_guarded, hint=_GUARDS)
    with listen(host, port):
        return [Finding("address", "ok", f"{host} port {port} is free")]


def tokens(file: Path) -> list[Finding]:
    """Whether the file of tokens can be used, and is its owner's secret.

    Raises:
        ConfigError: it is not there, or a line is wrong.
    """
    TokenFile(file)
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        told = f"{file} is open to other users of this machine"
        return [Finding("tokens", "note", told, f"chmod 600 {file}")]
    return [Finding("tokens", "ok", f"{file} is right, and its owner's alone")]


async def issuer(url: str, jwks_url: str, http: httpx.AsyncClient) -> list[Finding]:
    """Whether the keys of an OAuth server can be had; why not stands in the log.

    Args:
        url: of the server, as its tokens name it.
        jwks_url: where its keys are; "" for what its metadata say.
        http: follows no redirects.
    """
    try:
        await IssuerKeys(url, http=http, jwks_url=jwks_url).find("any", "RS256")
    except KeysUnavailable:
        told = f"{url}: its keys cannot be had, so that no token can be judged"
        return [Finding("OAuth", "problem", told, "is oauth_issuer right, and oauth_jwks_url?")]
    return [Finding("OAuth", "ok", f"{url} gives its keys")]
