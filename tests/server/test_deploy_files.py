"""The files for deploying are true: what they name exists, and they agree with each other."""

import re
import shlex
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from mcp_server.cli.grammar import build_parser
from mcp_server.config import ENV_PREFIX, SECRETS, ServerConfig, load
from mcp_server.serving.http_app import HEALTH_PATH, METRICS_PATH, STATUS_PATH

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "configs" / "deploy"
FILES = sorted(path for path in DEPLOY.iterdir() if path.suffix != ".lock")


def text_of(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


def image_environment() -> dict[str, str]:
    """What the image sets for the server."""
    (block,) = re.findall(r"^ENV (HOME=(?:.*\\\n)*.*)$", text_of("Containerfile"), re.MULTILINE)
    return dict(word.split("=", 1) for word in block.replace("\\\n", " ").split())


def unit() -> Mapping[str, list[str]]:
    """The entries of the service, each with all its values."""
    entries: dict[str, list[str]] = {}
    section = text_of("seekling-mcp.service").partition("[Service]")[2].partition("[Install]")[0]
    for line in section.splitlines():
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            entries.setdefault(key, []).append(value)
    return entries


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_setting_that_a_file_names_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for name in re.findall(rf"{ENV_PREFIX}([A-Z_]+)", text):
        assert name.lower() in ServerConfig.model_fields, name
    named = set(re.findall(r"\b([A-Z]+_(?:API_KEY|TOKEN|CREDENTIALS))=", text))
    assert named - {f"{ENV_PREFIX}{key.upper()}" for key in ServerConfig.model_fields} <= set(
        SECRETS.values()
    )
    if path.suffix == ".md":
        for assignment in re.findall(r'`([a-z_]+ = "[^"`]*")`', text):
            assert tomllib.loads(assignment).keys() <= ServerConfig.model_fields.keys()
        for word in re.findall(r"`([a-z]+_[a-z_]+)`", text):
            assert word in ServerConfig.model_fields, word


def test_the_image_serves_over_http_and_is_well_where_its_health_check_looks(
    tmp_path: Path,
) -> None:
    environment = image_environment()
    (tmp_path / "empty.toml").touch()
    config = load(file=tmp_path / "empty.toml", environ=environment)
    default = ServerConfig()
    assert config.transport == "http"
    assert config.log_format == "json"
    assert config.port == default.port
    containerfile = text_of("Containerfile")
    assert f"EXPOSE {default.port}\n" in containerfile
    assert f"('127.0.0.1', {default.port}, timeout=4)" in containerfile
    assert f"'{HEALTH_PATH}'" in containerfile
    assert config.page_cache is not None
    assert str(config.page_cache.parent) == environment["HOME"] == environment["XDG_CACHE_HOME"]
    assert f"VOLUME {environment['HOME']}\n" in containerfile
    assert re.search(r"^USER 65532:65532$", containerfile, re.MULTILINE)
    command = re.findall(r'^ENTRYPOINT \["(.*)"\]$', containerfile, re.MULTILINE)[0].split('", "')
    assert build_parser().parse_args(command[1:]).command == "serve"


def test_the_image_is_built_from_files_that_are_there_and_seen() -> None:
    seen = re.findall(r"^!(.+)$", text_of("Containerfile.dockerignore"), re.MULTILINE)
    copied = re.findall(r"^COPY (?!--)(.*)$", text_of("Containerfile"), re.MULTILINE)
    sources = [source for line in copied for source in line.split()[:-1]]
    assert "mcp_server" in sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(Path(source).is_relative_to(name) for name in seen), source


def versions(lock: Path) -> dict[str, str]:
    pins = re.findall(r"^([a-z0-9.-]+)==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(dict(pins)) == len({name for name, _ in pins})
    return dict(pins)


def test_the_image_has_the_locked_versions_of_all_that_the_server_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["office"]]
    needed += [*extras.get("metrics", ()), *extras.get("telemetry", ())]
    names = {re.split(r"[\[<>=; ]", each, maxsplit=1)[0].lower() for each in needed}
    names = {re.sub(r"[._]", "-", name) for name in names}
    image = versions(DEPLOY / "requirements.lock")
    assert names <= image.keys()
    for name, version in versions(ROOT / "requirements.lock").items():
        assert image.get(name, version) == version, name


def test_the_service_starts_the_server_with_flags_that_it_has() -> None:
    entries = unit()
    (command,) = entries["ExecStart"]
    options = build_parser().parse_args(shlex.split(command)[1:])
    assert options.command == "serve"
    assert (options.host, int(options.port)) == (ServerConfig().host, ServerConfig().port)
    environment = [value.split("=", 1) for value in entries["Environment"]]
    folders = {Path(value).parent.as_posix() for key, value in environment if "_CACHE" in key[5:]}
    assert folders == {"%C/seekling"}
    assert entries["CacheDirectory"] == ["seekling"]


def test_every_way_of_stopping_leaves_calls_the_time_to_end() -> None:
    drain = ServerConfig().drain_seconds
    (stop,) = unit()["TimeoutStopSec"]
    (grace,) = re.findall(r"stop_grace_period: (\d+)s", text_of("compose.yml"))
    assert float(stop.removesuffix("s")) > drain
    assert float(grace) > drain


def test_the_proxies_reach_the_server_and_give_it_its_time() -> None:
    default = ServerConfig()
    assert f"UPSTREAM:127.0.0.1:{default.port}" in text_of("Caddyfile")
    assert f"UPSTREAM: seekling:{default.port}" in text_of("compose.yml")
    assert f"server 127.0.0.1:{default.port};" in text_of("nginx.conf")
    assert f"/{default.http_path.strip('/')}" in text_of("compose.yml")
    for inside in (METRICS_PATH, STATUS_PATH):
        assert inside in re.findall(r"@inside path (.*)", text_of("Caddyfile"))[0].split()
        assert re.search(rf"location = {inside} +{{ return 404; }}", text_of("nginx.conf"))
    (wait,) = re.findall(r"response_header_timeout (\d+)s", text_of("Caddyfile"))
    assert float(wait) > default.call_seconds
    assert "proxy_buffering off;" in text_of("nginx.conf")
    assert "flush_interval -1" in text_of("Caddyfile")
