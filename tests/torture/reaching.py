"""Rows S1 to S13: nothing of the inner network is reached, however it is named."""

import csv
from collections.abc import Iterator
from pathlib import Path

from tests.torture.case import (
    ERROR,
    PAGE,
    REFUSED,
    Case,
    Result,
    Stage,
    Visit,
    judge_inside,
    outcome_of,
)
from tests.torture.network import is_inside
from tests.torture.shown_by_tests import shown_by
from tests.torture.site import Script, Visitor, article, redirect, reply

SHARED_URLS = Path(__file__).resolve().parents[3] / "shared" / "data" / "nasty" / "ssrf_urls.tsv"
COLLECTED = {"S3.shared": SHARED_URLS}
"""Collections of others, by the name of the case that stands for one that is not at hand."""
_REFUSED_LABELS = {"block-ip", "block-localhost", "block-scheme"}

ADDRESSES = (
    "127.0.0.1 127.0.0.2 127.1.1.1 127.255.255.254 0.0.0.0 10.0.0.1 10.255.255.255 172.16.0.1"
    " 172.31.255.255 192.168.0.1 192.168.255.255 100.64.0.1 100.127.255.255 169.254.0.1"
    " 169.254.169.254 168.63.129.16 100.100.100.200 192.0.0.192 192.0.2.1 198.18.0.1"
    " 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.250 240.0.0.1 255.255.255.255"
    " [::1] [::] [fe80::1] [fe80::1%25lo] [fc00::1] [fd00::1] [fd00:ec2::254] [fd20:ce::254]"
    " [ff02::1] [2001:db8::1] [3fff::1] [100::1] [5f00::1]"
).split()
"""S1: private, loopback, link-local, metadata and other addresses that are not public."""
EMBEDDED = (
    "[::ffff:127.0.0.1] [::ffff:7f00:1] [0:0:0:0:0:ffff:127.0.0.1] [::127.0.0.1] [::7f00:1]"
    " [64:ff9b::127.0.0.1] [64:ff9b::7f00:1] [64:ff9b:1::7f00:1] [2002:7f00:1::]"
    " [2002:a00:1::1] [2001::7f00:1] [2001:0:7f00:1::80ff:fffe] [fe80::5efe:127.0.0.1]"
    " [2606:4700::5efe:7f00:1] [2606:4700::200:5efe:a00:1] [::ffff:0:127.0.0.1]"
    " [::ffff:169.254.169.254] [::ffff:10.0.0.1] [64:ff9b::a9fe:a9fe]"
).split()
"""S2: an IPv4 address inside an IPv6 one."""
FORMS = (
    "2130706433 0x7f000001 0x7f.0.0.1 0x7f.1 0177.0.0.1 017700000001 127.1 127.0.1 0"
    " 0177.0x0.0x0.0x1 00000177.0.0.1 0x0000000000000000007f000001 127.0.0.1. 2130706433."
    " １２７.０.０.１ 127。0。0。1 127｡0｡0｡1 ①②⑦.⓪.⓪.① 127%2E0%2E0%2E1 %31%32%37.0.0.1"
    " 4294967296 256.256.256.256 127.0.0.0x1 1e100 0x 127.0.0.1.0 3232235521 0xA9FEA9FE"
    " 2852039166 0251.0376.0251.0376 169.254.43518 [::1].pub.example [127.0.0.1] [[::1]]"
).split()
"""S3: the same addresses in other writing, and hosts that end in a number."""
WRITTEN = (
    "http://user@127.0.0.1/",
    "http://user:pass@www.pub.example/",
    "http://www.pub.example@127.0.0.1/",
    "http://www.pub.example%40127.0.0.1/",
    "http://www.pub.example:80@127.0.0.1/",
    "http://127.0.0.1\\@www.pub.example/",
    "http://www.pub.example\\@127.0.0.1/",
    "http:\\\\127.0.0.1\\",
    "http://www.pub.example\t@127.0.0.1/",
    "http://127.0.0.1\x00.pub.example/",
    "http://127.0.0.1%00.pub.example/",
    "http://www.pub.example\r\nHost: 127.0.0.1\r\n\r\n/",
    "http://[::1]%00.pub.example/",
    "http://127.0.0.1#@www.pub.example/",
    "http://127.0.0.1?@www.pub.example/",
    "http:127.0.0.1/",
    "http:/127.0.0.1/",
    "http:///127.0.0.1/",
    "////127.0.0.1/",
    "//127.0.0.1/",
    "http://\u202e127.0.0.1/",
    "http://127.0.0.\u200b1/",
    "http://127.0.\u00ad0.1/",
    "url: http://127.0.0.1/",
    '{"url": "http://127.0.0.1/"}',
    "<http://127.0.0.1/>",
    "[page](http://127.0.0.1/)",
    "hxxp://127.0.0[.]1/",
    "http&#58;//127.0.0.1/",
    "127.0.0.1:80/",
)
"""S4: written so that two readers may disagree about the host."""
LOCAL_NAMES = (
    "localhost LOCALHOST localhost. localhost.localdomain a.localhost metadata"
    " metadata.google.internal instance-data kubernetes.default.svc.cluster.local printer.local"
    " router.lan intranet nas.home db.corp x.home.arpa wpad host.docker.internal ip6-loopback"
    " ｌｏｃａｌｈｏｓｔ loca\u00adlhost lo\u212aalhost.localdomain ⓛocalhost"
).split()
"""S5: names of machines nearby."""
SCHEMES = (
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "FILE:/etc/passwd",
    "data:text/html,<p>x</p>",
    "gopher://127.0.0.1:6379/_INFO",
    "ftp://127.0.0.1/",
    "ws://127.0.0.1/",
    "dict://127.0.0.1:11211/stat",
    "ldap://127.0.0.1/",
    "jar:http://127.0.0.1!/",
    "view-source:http://127.0.0.1/",
    "javascript:fetch('http://127.0.0.1/')",
    "about:blank",
    "unix:/run/docker.sock",
    "http+unix://%2Frun%2Fdocker.sock/info",
    "netdoc:///etc/passwd",
    "seekling://status",
)
"""S9: what is no web."""
PORTS = (0, 1, 22, 25, 110, 2379, 5432, 6379, 8000, 9200, 11211, 65_535, 65_536, 99_999)
"""S10: ports of other services; all of them are open at the hostile web."""
INSIDE = {
    "ipv4": "http://127.0.0.1/",
    "ten": "http://10.0.0.1/",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "decimal": "http://2130706433/",
    "ipv6": "http://[::1]/",
    "mapped": "http://[::ffff:127.0.0.1]/",
    "nat64": "http://[64:ff9b::7f00:1]/",
    "localhost": "http://localhost/",
    "userinfo": "http://www.pub.example@127.0.0.1/",
    "backslash": "http:\\\\127.0.0.1\\",
    "slashes": "//127.0.0.1/",
    "three-slashes": "///127.0.0.1/",
    "tab": "http://127.0.0.1\t/",
    "fullwidth": "http://１２７.０.０.１/",
    "port": "http://www.pub.example:6379/",
    "file": "file:///etc/passwd",
    "data": "data:text/html,<p>x</p>",
    "ftp": "ftp://127.0.0.1/",
    "gopher": "gopher://127.0.0.1:6379/_INFO",
    "javascript": "javascript:alert(1)",
}
"""S6: where redirects lead."""


def visits() -> Iterator[Visit]:
    """All rows whose cases are visits to one server."""
    for row, texts in (
        ("S1", [f"http://{host}/" for host in ADDRESSES]),
        ("S2", [f"http://{host}/" for host in EMBEDDED]),
        ("S3", [f"http://{host}/" for host in FORMS]),
        ("S4", WRITTEN),
        ("S5", [f"http://{host}/" for host in LOCAL_NAMES]),
        ("S9", SCHEMES),
        ("S10", [f"http://www.pub.example:{port}/" for port in PORTS]),
    ):
        for number, url in enumerate(texts):
            yield Visit(
                name=f"{row}.{number:02}.{_shown(url)}",
                url=url,
                expected=(REFUSED, ERROR) if row in ("S3", "S4") else (REFUSED,),
                is_quick=number < 8,
            )
    yield from _redirects()
    yield from _names()
    yield from _shared()


def _shown(url: str) -> str:
    text = url.removeprefix("http://").rstrip("/")
    return text.encode("ascii", "backslashreplace").decode().replace("\t", "\\t")[:36].strip()


def _redirects() -> Iterator[Visit]:
    for name, target in INSIDE.items():
        yield Visit(
            name=f"S6.to-{name}",
            script=redirect(target),
            expected=(REFUSED, ERROR),
            is_quick=name in ("ipv4", "mapped", "file"),
        )
    for status in ("301 Moved", "303 See Other", "307 Temporary", "308 Permanent"):
        script = redirect("http://127.0.0.1/", status)
        yield Visit(name=f"S6.{status[:3]}-to-ipv4", script=script, expected=(REFUSED,))
    there = "http://127.0.0.1/"
    yield Visit(name="S6.300", script=redirect(there, "300 Choices"), expected=(ERROR, REFUSED))
    page = "It stays where it is."
    refresh = f'<meta http-equiv="refresh" content="0;url={there}">' + article(page)
    yield Visit(name="S6.meta-refresh", script=reply(refresh), has=(page,))
    yield Visit(name="S6.refresh-header", script=reply(article(page), Refresh=f"0;url={there}"))
    framed = article(page) + f'<iframe src="{there}"></iframe><img src="{there}x.png">'
    framed += f'<link rel=stylesheet href="{there}"><script src="{there}"></script>'
    yield Visit(name="S6.frames-and-images", script=reply(framed), has=(page,))
    based = f'<base href="{there}"><link rel=canonical href="{there}">' + article(page)
    yield Visit(name="S6.base-and-canonical", script=reply(based), has=(page,))
    yield Visit(
        name="S6.crlf",
        script=redirect("/x%0d%0aHost:127.0.0.1\x0b\x00"),
        expected=(ERROR, REFUSED),
    )
    for name, target in (("empty", ""), ("long", "/" + "a" * 60_000), ("bytes", "http://\xff/")):
        script = redirect(target)
        yield Visit(name=f"S6.{name}", script=script, expected=(ERROR, REFUSED, PAGE))
    yield Visit(
        name="S6.two-locations",
        script=reply(status="302 Found", Location="/x\r\nLocation: http://127.0.0.1/"),
        expected=(ERROR, REFUSED),
    )


def _names() -> Iterator[Visit]:
    inside = "private ten cgnat metadata azure zero mixed mixed-first loopback6 unique6 mapped6"
    for name in f"{inside} nat64 sixtofour mixed6 many".split():
        yield Visit(
            name=f"S7.{name}",
            host=name,
            script=reply(article("public")),
            expected=(REFUSED,),
            needs_network=True,
            is_quick=name in ("private", "mixed"),
        )
    for flips in ("", "2", "3", "4", "5"):
        yield Visit(
            name=f"S7.rebind{flips}",
            host=f"rebind{flips}",
            script=reply(article("The public page.")),
            expected=(PAGE,),
            has=("The public page.",),
            needs_network=True,
            is_quick=flips in ("", "3"),
        )
    yield Visit(
        name="S7.public6", host="public6", script=reply(article("By IPv6.")), needs_network=True
    )
    yield Visit(
        name="S7.redirect-to-private-name",
        script=redirect("http://private.pub.example/"),
        expected=(REFUSED,),
        needs_network=True,
    )
    yield Visit(
        name="S7.redirect-to-rebinding-name",
        script=redirect("http://rebind.again.pub.example/nothing"),
        expected=(ERROR,),
        needs_network=True,
    )


def _shared() -> Iterator[Visit]:
    """Collected by others; all names lead inside here, so that all of them must be refused."""
    if not SHARED_URLS.is_file():
        return
    with SHARED_URLS.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)):
            label, url = row["label"], row["url"]
            is_named = label not in _REFUSED_LABELS
            yield Visit(
                name=f"S3.shared-{number:03}.{label}",
                url=url,
                expected=(REFUSED, ERROR, PAGE) if label == "public-ip" else (REFUSED, ERROR),
                needs_network=is_named,
            )


def cases() -> Iterator[Case]:
    """The rows that need more than one visit or another server."""
    for name, run in (
        ("S7.rebind-later", _rebinds_later),
        ("S8.proxy-variables", _proxy_variables),
        ("S8.certificates-of-the-environment", _foreign_authority),
        ("S11.two-names-one-address", _two_names),
        ("S12.resources", _resources),
        ("S13.cache-of-another-policy", _other_policy),
    ):
        needs = name.startswith(("S7", "S11", "S8.cert"))
        yield Case(name=name, expected=_EXPECTED[name], run=run, needs_network=needs)
    yield shown_by(
        "S12.one-client",
        "tests/test_architecture.py",
        "http_clients or guard_only or fetch_alone",
    )
    yield shown_by("S7.unit", "tests/server/test_dial.py", "rebinds or spoils or leads_elsewhere")


_EXPECTED = {
    "S7.rebind-later": "page, then refused",
    "S8.proxy-variables": "page",
    "S8.certificates-of-the-environment": "clean error",
    "S11.two-names-one-address": "page, then clean error",
    "S12.resources": "not read",
    "S13.cache-of-another-policy": "page, then refused",
}


def _in_turn(stage: Stage, name: str, *steps: tuple[str, str, tuple[str, ...]]) -> Result:
    """Visits with servers of their own flags; each step is a URL, its flags and its outcome."""
    hits, seen, faults, told = len(stage.site.inner_hits), list[str](), list[str](), ""
    for url, flags, expected in steps:
        with stage.server(*flags.split(), is_warm=False) as server:
            answer = server.answer(server.begin_call({"url": url}), 40)
            outcome, text = outcome_of(answer, has_ended=server.has_ended)
        seen.append(outcome)
        told += text
        if outcome not in expected:
            faults.append(f"{outcome}: {text[:150]!r}")
    result = Result(
        name=name, expected=_EXPECTED[name], outcome=", then ".join(seen), faults=faults
    )
    judge_inside(result, told, stage.site.inner_hits[hits:])
    return result


def _rebinds_later(stage: Stage) -> Result:
    name = "S7.rebind-later"
    stage.site.scripts["/first"] = stage.site.scripts["/second"] = reply(article("Public."))
    first = stage.site.url("/first", "rebind.later")
    with stage.server() as server:
        hits = len(stage.site.inner_hits)
        answers = [
            outcome_of(server.answer(server.begin_call({"url": url}), 40))
            for url in (first, first.replace("/first", "/second"))
        ]
    seen = ", then ".join(outcome for outcome, _ in answers)
    result = Result(name=name, expected=_EXPECTED[name], outcome=seen)
    if seen != _EXPECTED[name]:
        result.faults.append(str(answers))
    judge_inside(result, answers[1][1], stage.site.inner_hits[hits:])
    return result


def _proxy_variables(stage: Stage) -> Result:
    stage.site.scripts["/direct"] = reply(article("Without a proxy."))
    proxy = "http://127.0.0.1:9"
    names = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy")
    name = "S8.proxy-variables"
    with stage.server(is_warm=False, **dict.fromkeys(names, proxy)) as server:
        answer = server.answer(server.begin_call({"url": stage.site.url("/direct")}), 40)
    outcome, text = outcome_of(answer)
    faults = [] if outcome == PAGE else [text[:200]]
    return Result(name=name, expected=_EXPECTED[name], outcome=outcome, faults=faults)


def _foreign_authority(stage: Stage) -> Result:
    stage.site.scripts["/tls"] = reply(article("Over TLS."))
    name, url = "S8.certificates-of-the-environment", stage.site.url("/tls", "good", tls=True)
    with stage.server(is_warm=False, SSL_CERT_FILE=str(stage.site.authority.file)) as server:
        outcome, text = outcome_of(server.answer(server.begin_call({"url": url}), 40))
    faults = [] if outcome == ERROR and "certificate" in text else [f"{outcome}: {text[:200]}"]
    return Result(name=name, expected=_EXPECTED[name], outcome=outcome, faults=faults)


def _two_names(stage: Stage) -> Result:
    stage.site.scripts["/tls"] = reply(article("Over TLS."))
    name = "S11.two-names-one-address"
    with stage.server("--ca-file", str(stage.site.authority.file), is_warm=False) as server:
        answers = [
            outcome_of(server.answer(server.begin_call({"url": url}), 40))
            for url in (stage.site.url("/tls", host, tls=True) for host in ("good", "other"))
        ]
    seen = ", then ".join(outcome for outcome, _ in answers)
    faults = [] if seen == _EXPECTED[name] else [str(answers)]
    return Result(name=name, expected=_EXPECTED[name], outcome=seen, faults=faults)


def _resources(stage: Stage) -> Result:
    """A resource is another way to name a page: it must not be another way to reach one."""
    name, hits = "S12.resources", len(stage.site.inner_hits)
    faults: list[str] = []
    with stage.server() as server:
        for uri in (stage.site.inner_url(), "file:///etc/passwd", "seekling://page/127.0.0.1"):
            answer = server.ask("resources/read", {"uri": uri})
            if answer is None or "error" not in answer:
                faults.append(f"{uri}: {str(answer)[:150]}")
            judged = Result(name=name, expected="", outcome="")
            judge_inside(judged, str(answer), stage.site.inner_hits[hits:])
            faults += judged.faults
    outcome = "read" if faults else "not read"
    return Result(name=name, expected=_EXPECTED[name], outcome=outcome, faults=faults)


def _other_policy(stage: Stage) -> Result:
    """A page that one policy let in is in the cache file; another policy must not show it."""
    url = stage.site.inner_url()
    kept = f"--page-cache {stage.folder / 'policies.db'}"
    hits = len(stage.site.inner_hits)
    opened = f"{kept} --allow-private 127.0.0.0/8 --allow-ports any"
    result = _in_turn(stage, "S13.cache-of-another-policy", (url, opened, (PAGE,)))
    del stage.site.inner_hits[hits:]  # that one was allowed
    then = _in_turn(stage, "S13.cache-of-another-policy", (url, kept, (REFUSED,)))
    then.outcome = f"{result.outcome}, then {then.outcome}"
    then.faults += [fault for fault in result.faults if not fault.startswith("LEAK")]
    return then


def scripts() -> dict[str, Script]:
    """What redirects within the hostile web lead to."""

    def nothing(visitor: Visitor) -> None:
        visitor.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    return {"/nothing": nothing} if is_inside() else {}
