"""What few readings carry: location and metadata, and JSON of any kind. Loaded by `records` when there are some."""

from micropython import const

from tagoio.records import RecordError, format_value, quote

_METADATA_MAX = const(10000)  # bytes of the metadata's JSON


def to_json(value, decimals: int = 6) -> bytes:
    """JSON of any tree of dict, list, tuple and values. None becomes null.
    Raises ValueError for a NaN, an infinity or a foreign type, which ``json.dumps`` may let pass."""
    if isinstance(value, dict):
        items = [quote(str(key)) + b":" + to_json(value[key], decimals) for key in value]
        return b"{" + b",".join(items) + b"}"
    if isinstance(value, (list, tuple)):
        return b"[" + b",".join([to_json(item, decimals) for item in value]) + b"]"
    text = b"null" if value is None else format_value(value, decimals)
    if text is None:
        raise ValueError(f"{value} cannot be written as JSON: leave it out or send it as text")
    return text


def encode(location, metadata) -> bytes:
    """The bytes that location and metadata add to each record of a sample. Raises RecordError."""
    text = b""
    try:
        if location is not None:
            latitude, longitude = location
            text = b',"location":' + to_json({"lat": latitude, "lng": longitude})
        if metadata:
            text += b',"metadata":' + to_json(metadata)
    except ValueError as error:
        raise RecordError(None, "location or metadata: " + str(error)) from None
    if len(text) > _METADATA_MAX:
        raise RecordError(None, f"metadata of {len(text)} bytes, TagoIO takes {_METADATA_MAX}: shorten it")
    return text
