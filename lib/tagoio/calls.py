"""Requests to TagoIO with a device token, and the reading of their answers.

What belongs here: which request asks for what, and what shape its result has. What does not: sending, and
what follows from an answer. Uploading readings is ``records``', whether one is stored is ``question``'s: neither needs
anything from here.

Every builder returns ``(method, path, body)``: the path is below the server's prefix, percent-encoded; the
body is bytes or None, to be sent as application/json::

    method, path, body = calls.params(sent=False)
    ...                                             # send it, with the Device-Token
    verdict, detail, hint, result = calls.read(status, response.header, response.body(), token)
    for id, key, value in calls.unread(result):
        ...

Source: TagoIO API, "Sending data", "Getting data", "Deleting data", "Device info",
"Configuration parameters".
"""

from tagoio import extras, records, verdicts

_PLAIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"  # RFC 3986, unreserved


def percent(text: str) -> str:
    """Text for a path segment or a query's value, percent-encoded as UTF-8."""
    return "".join([chr(b) if chr(b) in _PLAIN else f"%{b:02X}" for b in text.encode()])


def without_tls(path: str) -> str:
    """The path with ``_ssl=false``, which plain HTTP needs on TagoIO's cloud.
    Token and readings then travel in the open."""
    return path + ("&" if "?" in path else "?") + "_ssl=false"


def send(data):
    """One record (dict) or several (list of dicts), now and then. Batches go through records.Encoder."""
    return "POST", "/data", extras.to_json(data)


def get(**filters):
    """Records, newest first, 15 unless ``qty`` says otherwise.

    variables, groups, ids, values: text, or a list of texts. qty, skip: int. start_date, end_date: unix ms or
    any text TagoIO takes ("1 day"). ordination: "ascending" or "descending". details: bool.
    query: last_item, first_item, last_value, first_value, last_location, first_location, last_insert,
    first_insert, min, max, count, sum, avg (with start_date), aggregate (with function and interval),
    conditional (with start_date, value, function).
    """
    return "GET", "/data" + _query(filters), None


def delete(**filters):
    """Remove what ``get`` with the same filters would find (mutable devices). qty: int or "all".
    Raises ValueError without ``qty`` and ``query``, for sources disagree on what a bare delete removes."""
    if "qty" not in filters and "query" not in filters:
        raise ValueError('say how much to delete: qty=1, qty="all" or query="last_item"')
    return "DELETE", "/data" + _query(filters), None


def edit(changes: list):
    """Change records (mutable devices): a list of at most 25 dicts of ``id`` and the fields to change."""
    return "PUT", "/data", extras.to_json(changes)


def info():
    """Who am I: id, name, active, type, tags... The cheapest check of a token."""
    return "GET", "/info", None


def params(sent=None):
    """Configuration parameters. sent: False for those not read yet, True for those read, None for all."""
    return "GET", "/device/params" + _query({} if sent is None else {"sent_status": sent}), None


def mark_read(param_id: str):
    """Tell TagoIO that this parameter has been read and applied."""
    return "PUT", "/device/params/" + percent(param_id), b'{"sent":true}'


def read(status: int, header, body, secret: str = None):
    """``verdicts.judge`` and the answer's ``result``: (verdict, detail, hint, result).
    The result is None unless accepted."""
    verdict, detail, hint = verdicts.judge(status, header, body, secret)
    result = None
    if verdict in (verdicts.ACCEPTED, verdicts.ACCEPTED_WITH_WARNING):
        result = verdicts.parse_envelope(body).get("result")
    return verdict, detail, hint, result


def rows(result) -> list:
    """The objects of a list of records or parameters; whatever else is in there is left out."""
    return [row for row in result if isinstance(row, dict)] if isinstance(result, list) else []


def count(result):
    """The number in a result: 529 of ``query=count``, 2 of "2 Data Removed". None when there is none."""
    if isinstance(result, str):
        digits = result.split(" ")[0]
        # isdigit() is also true of a raised ²
        return int(digits) if 0 < len(digits) < 10 and all(["0" <= digit <= "9" for digit in digits]) else None
    return None if isinstance(result, bool) or not isinstance(result, (int, float)) else result


def unread(result) -> list:
    """(id, key, value) of the parameters which the device has not marked as read, all of them text."""
    found = []
    for row in rows(result):
        names = (row.get("id"), row.get("key"), row.get("value"))
        if row.get("sent") is not True and all(isinstance(name, str) for name in names):
            found.append(names)
    return found


def _query(filters):
    text = ""
    for key in sorted(filters):
        values = filters[key]
        for value in values if isinstance(values, (list, tuple)) else (values,):
            if isinstance(value, bool):
                value = "true" if value else "false"
            elif key.endswith("_date") and isinstance(value, int):
                value = records.iso8601(value).decode()
            text += ("&" if text else "?") + key + "=" + percent(str(value))
    return text
