"""Tell addresses of this machine from those that others reach."""

from ipaddress import ip_address


def is_loopback(name: str) -> bool:
    """Whether a host, by name or address, can only mean this machine seen from itself."""
    try:
        return name.lower() == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
