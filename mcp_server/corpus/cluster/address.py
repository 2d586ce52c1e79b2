"""How a corpus is kept in OpenSearch or Elasticsearch: its address, its fields, its entries.

One entry is one passage. What writes entries (`push`) and what reads them (the provider) agree
here and nowhere else. The forms are those that OpenSearch 2 and 3 and Elasticsearch 8 and 9 share.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from mcp_server.corpus.storage.schema import LANGUAGES, domains_of
from mcp_server.corpus.types import Passage
from mcp_server.errors import ConfigError
from mcp_server.log import redact
from mcp_server.visit.urls import parse_url

MAX_ID_BYTES = 512
"""Longest `_id` that the engines take."""
META_KEY = "seekling"
"""Where an index keeps what `push` knows of it, in `_meta` of its mapping."""
_NO_ANALYZER = frozenset({"", "tamil"})
"""Stemmers of a local index that the engines have no analyzer for."""

_INDEX_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,199}")


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """A cluster and one name in it."""

    base: str
    """`https://host:9200`, perhaps with a path before the name; no slash at the end."""
    index: str
    """An index or an alias."""

    @classmethod
    def parse(cls, url: str) -> "ClusterAddress":
        """Read `https://host:9200/wiki`.

        Raises:
            ConfigError: no http(s) URL with one name at its end, or a password in it.
        """
        hint = "write cluster and name of the index, for example https://host:9200/wiki"
        try:
            parts = urlsplit(url.strip())
            named = bool(parts.hostname) and parts.port != 0  # reading the port checks it
            httpx.URL(url.strip()).host  # noqa: B018 - as a request will read it
            parse_url(url.strip())
        except (ValueError, httpx.InvalidURL):
            raise ConfigError("the cluster's URL cannot be read", hint=hint) from None
        if parts.username is not None or parts.password is not None:
            raise ConfigError(
                "the cluster's URL holds a user or a password",
                hint="put user:password into the environment variable OPENSEARCH_CREDENTIALS",
            )
        if parts.scheme not in ("http", "https") or not named or parts.query or parts.fragment:
            shown = redact(url)
            raise ConfigError(f"{shown!r} is not the URL of an index in a cluster", hint=hint)
        prefix, _, index = parts.path.rstrip("/").rpartition("/")
        if not _INDEX_NAME.fullmatch(index):
            raise ConfigError(
                f"{url!r} does not end in the name of an index: lower-case letters, digits, . _ + -"
                " and no sign first",
                hint=hint,
            )
        return cls(base=f"{parts.scheme}://{parts.netloc}{prefix}", index=index)

    def url(self, path: str) -> str:
        """The URL of a path below the cluster's root."""
        return f"{self.base}/{path}"


def authorization(api_key: str, credentials: str) -> dict[str, str]:
    """The header that tells the cluster who asks; empty without secrets.

    Args:
        api_key: as Elasticsearch gives it in `encoded`, base64 of id and key.
        credentials: `user:password`.

    Raises:
        ConfigError: both are given, or one is malformed. The message never holds a secret.
    """
    if api_key and credentials:
        raise ConfigError(
            "OPENSEARCH_API_KEY and OPENSEARCH_CREDENTIALS are both set", hint="unset one of them"
        )
    if api_key:
        if not re.fullmatch(r"[!-~]{1,4096}", api_key):
            raise ConfigError("OPENSEARCH_API_KEY holds a sign that no key has")
        return {"Authorization": f"ApiKey {api_key}"}
    if not credentials:
        return {}
    if ":" not in credentials:
        raise ConfigError("OPENSEARCH_CREDENTIALS has no colon", hint="write user:password")
    token = base64.b64encode(credentials.encode()).decode()
    return {"Authorization": f"Basic {token}"}


def index_body(*, shards: int, language: str, meta: Mapping[str, object]) -> dict[str, object]:
    """What an index is created with: settings for the time of loading, and the fields.

    Args:
        shards: number of primary shards, which cannot be changed later.
        language: one of `schema.LANGUAGES`.
        meta: kept in the index for `push`.
    """
    stemmer = LANGUAGES[language]  # the engines' analyzers have the same names
    analyzer = "standard" if stemmer in _NO_ANALYZER else stemmer
    words = {"type": "text", "analyzer": analyzer}
    looked_up = {"type": "keyword", "doc_values": False}
    return {
        "settings": {
            "index": {
                "number_of_shards": shards,
                "number_of_replicas": 0,  # copied once when complete, not written twice
                "refresh_interval": "-1",
                "translog": {"durability": "request"},  # an acknowledged bulk survives a crash
            }
        },
        "mappings": {
            "dynamic": "strict",
            "_meta": {META_KEY: dict(meta)},
            "properties": {
                "doc": {"type": "keyword"},
                "part": {"type": "integer"},
                "url": looked_up,
                "host": looked_up,
                "published": {
                    "type": "date",
                    "format": "strict_date||strict_year_month||strict_year",
                    "ignore_malformed": True,  # an odd date must not lose the passage
                },
                "title": words,
                "text": words,
            },
        },
    }


def entry_id(passage: Passage) -> str:
    """The `_id` of a passage: the same each time, so that what is sent again replaces itself."""
    plain = f"{passage.document_id}#{passage.part}"
    if len(plain.encode()) <= MAX_ID_BYTES:
        return plain
    return f"sha256:{hashlib.sha256(passage.document_id.encode()).hexdigest()}#{passage.part}"


def entry(passage: Passage) -> dict[str, object]:
    """The fields of a passage as they are sent."""
    fields: dict[str, object] = {
        "doc": passage.document_id,
        "part": passage.part,
        "url": passage.url,
        "host": list(domains_of(passage.url)),
        "title": passage.title,
        "text": passage.text,
    }
    if passage.published:
        fields["published"] = passage.published
    return fields
