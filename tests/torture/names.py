"""A name server that answers as hostile ones do.

The first label of a name says how: `private`, `mixed`, `rebind3` (public three times, then not),
`hang` (never), and so on; see `ANSWERS`. Names below `pub.example` are the hostile web; all others
lead inside, so that a name which should not be looked up, and is, shows.
"""

import ipaddress
import re
import socket
import threading
from collections import Counter

from tests.torture.network import PUBLIC, PUBLIC_V6

ZONE = "pub.example"
_A, _AAAA = 1, 28
_INSIDE = "127.0.0.1"
ANSWERS: dict[str, tuple[str, ...]] = {
    "private": (_INSIDE,),
    "ten": ("10.0.0.1",),
    "cgnat": ("100.64.0.1",),
    "metadata": ("169.254.169.254",),
    "azure": ("168.63.129.16",),
    "zero": ("0.0.0.0",),
    "mixed": (PUBLIC, _INSIDE),
    "mixed-first": (_INSIDE, PUBLIC),
    "loopback6": ("::1",),
    "unique6": ("fd00::1",),
    "mapped6": ("::ffff:127.0.0.1",),
    "nat64": ("64:ff9b::7f00:1",),
    "sixtofour": ("2002:7f00:1::",),
    "mixed6": (PUBLIC, "::1"),
    "public6": (PUBLIC_V6,),
    "many": (*[PUBLIC] * 60, "10.0.0.1"),
}
_REBIND = re.compile(r"rebind(\d?)")


class NameServer:
    """Answers questions on UDP port 53 of 127.0.0.1 for as long as the process lives."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        """How often the IPv4 addresses of each name were asked for."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((_INSIDE, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            question, sender = self._socket.recvfrom(4_096)
            answer = self._answer(question)
            if answer:
                self._socket.sendto(answer, sender)

    def _answer(self, question: bytes) -> bytes:
        name, end = _name(question)
        kind = int.from_bytes(question[end : end + 2])
        addresses = self._addresses(name, is_counted=kind == _A)
        if addresses is None:
            return b""
        records = b"".join(
            b"\xc0\x0c" + kind.to_bytes(2) + b"\0\1\0\0\0\0" + len(packed).to_bytes(2) + packed
            for packed in (ipaddress.ip_address(address).packed for address in addresses)
            if len(packed) == (4 if kind == _A else 16 if kind == _AAAA else 0)
        )
        count = (len(records) // (16 if kind == _A else 28)).to_bytes(2)
        flags = b"\x81\x80" if addresses else b"\x81\x83"  # no such name
        return question[:2] + flags + b"\0\1" + count + bytes(4) + question[12 : end + 4] + records

    def _addresses(self, name: str, *, is_counted: bool) -> tuple[str, ...] | None:
        """None for no answer at all, nothing for a name that does not exist."""
        self.asked[name] += is_counted
        first, _, zone = name.partition(".")
        if first == "hang":
            return None
        if not f".{zone}".endswith(f".{ZONE}"):
            return (PUBLIC,) if name == ZONE else (_INSIDE,)
        if first == "nowhere":
            return ()
        if rebind := _REBIND.fullmatch(first):
            times = int(rebind[1] or 1)
            return (PUBLIC,) if self.asked[name] <= times else (_INSIDE,)
        return ANSWERS.get(first, (PUBLIC,))


def _name(question: bytes) -> tuple[str, int]:
    """The name asked for, and where it ends."""
    labels: list[str] = []
    at = 12
    while at < len(question) and (length := question[at]):
        labels.append(question[at + 1 : at + 1 + length].decode("latin-1").lower())
        at += length + 1
    return ".".join(labels), at + 1
