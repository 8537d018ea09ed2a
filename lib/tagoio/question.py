"""Is this reading stored? The question to TagoIO, and its answer.

What belongs here: the one look-up that a node needs, small enough to be loaded when an upload is in doubt. Other
requests are ``calls``'.

    path = question("temperature", "k3x9q2_17")         # GET it below the server's prefix
    found(response.body(), "temperature", "k3x9q2_17", 1767323045678)

Source: TagoIO API, "Getting data".
"""

from tagoio import records, verdicts


def question(variable: str, group: str = None, time: int = None) -> str:
    """The path of a GET for one record of this variable, of this group, at this time (unix ms), as far as given.

    ``group`` is made of letters, digits and ``_``, as records.group makes it: nothing here needs encoding.
    """
    path = "/data?qty=1&variables=" + records.clean_variable(variable)
    if group:
        path += "&groups=" + group
    if time is not None:
        moment = records.iso8601(time).decode()
        path += "&start_date=" + moment + "&end_date=" + moment
    return path


def found(body, variable: str, group: str = None, time: int = None):
    """Whether the answer's bytes hold the reading: this variable, and this group or this time (unix ms).

    None when that cannot be told: the body is no accepted answer with a list. An answer cut short by a small buffer
    says True by its first record if that is whole enough; it never says False.
    """
    variable = records.clean_variable(variable)
    marks = [("group", group)] if group else []
    if time is not None:
        marks.append(("time", records.iso8601(time).decode()))
    answer = verdicts.parse_envelope(body)
    if answer is None:
        # none of the texts looked for has a space, and within a JSON text a quote would be escaped
        first = b"".join(bytes(body).split()).split(b"},{")[0]
        if b'"status":true' in first and _pair("variable", variable) in first:
            for key, text in marks:
                if _pair(key, text) in first:
                    return True
        return None
    rows = answer.get("result")
    if answer.get("status") is not True or not isinstance(rows, list):
        return None
    for row in rows:
        if isinstance(row, dict) and row.get("variable") == variable:
            for key, text in marks:
                if row.get(key) == text:
                    return True
    return False


def _pair(key, text):
    return f'"{key}":"{text}"'.encode()
