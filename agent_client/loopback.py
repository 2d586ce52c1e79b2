"""Tell addresses of this machine from those that others reach."""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether a name or address, of IPv6 with brackets or without, can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
