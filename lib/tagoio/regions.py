"""TagoIO's servers, and the address of any other one. A board whose settings name host and port goes without.

Source: TagoIO API, "Regions".
"""

REGIONS = {
    "us-e1": "https://api.us-e1.tago.io",
    "eu-w1": "https://api.eu-w1.tago.io",
}


def parse_url(text: str):
    """``https://host[:port][/prefix]``, or a region's name, as (scheme, host, port, prefix): the prefix is ""
    or begins with a slash and does not end in one. Raises ValueError that says what is wrong."""
    url = REGIONS.get(text, text)
    scheme, found, rest = url.partition("://")
    scheme = scheme.lower()
    if not found or scheme not in ("https", "http"):
        raise ValueError(
            f'server "{text}" is no address: write a region ({", ".join(sorted(REGIONS))}) or https://host'
        )
    authority, slash, prefix = rest.partition("/")
    prefix = (slash + prefix).rstrip("/")
    if "@" in authority:
        raise ValueError("the server's address holds a user or password: TagoIO takes the device token alone")
    host, colon, port = authority.partition(":")
    host = host.lower()
    if not host or len(host) > 253 or not all(_plain(c) for c in host):
        raise ValueError(
            f'server "{text}" has no valid host name: write https://host, with an optional :port'
        )
    if not colon:
        port = "443" if scheme == "https" else "80"
    if not port.isdigit() or not 0 < int(port[:6]) < 65536:
        raise ValueError(f'server "{text}" has no valid port: use 1 to 65535')
    if "?" in prefix or "#" in prefix or not all("!" <= c <= "~" for c in prefix):
        raise ValueError(
            f'server "{text}" has more than a path behind the host: leave out what follows ? or #'
        )
    return scheme, host, int(port), prefix


def _plain(c):
    return "a" <= c <= "z" or "0" <= c <= "9" or c in ".-"
