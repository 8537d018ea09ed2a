"""What one device of TagoIO's holds, and its answers: POST and GET /data, GET /info, nothing else.

Written from TagoIO's API pages and nothing of ours, so that a node's requests are read by somebody else.
"""

import json
import re
import threading
from collections.abc import Callable
from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from harness.guest import steps

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_GROUP = re.compile(r"(?P<tag>[a-z0-9]+)_(?P<sequence>[1-9]\d*)")
_FIELDS = {"variable", "value", "unit", "time", "group"}
_QUERY = {"variables", "groups", "start_date", "end_date", "qty"}
_JSON = {"Content-Type": "application/json; charset=utf-8"}


def success(result: object, message: str | None = None) -> dict:
    """A step: TagoIO's answer to what it did."""
    envelope = {"status": True, "result": result, **({"message": message} if message else {})}
    return steps.answer(200, json.dumps(envelope), _JSON)


def failure(status: int, message: str, headers: dict | None = None) -> dict:
    """A step: TagoIO's answer to what it refuses."""
    return steps.answer(status, json.dumps({"status": False, "message": message}), {**_JSON, **(headers or {})})


def sequence_of(record: dict) -> int:
    """The number of the sample that a record belongs to."""
    return int(record["group"].partition("_")[2])


class TagoIO:
    """`token` is the device's; `complaints` says what was wrong with requests that came.

    refuses(record): why a POST that holds this record is refused as a whole, None when it is not.
    """

    def __init__(self, token: str):
        self.token = token
        self.complaints: list[str] = []
        self.refuses: Callable[[dict], str | None] = lambda record: None
        self._held: dict[tuple[int, str], list[dict]] = {}
        self._lock = threading.RLock()  # connections are served side by side, an upload is stored as a whole

    def stored(self, sequence: int, variable: str) -> list[dict]:
        """Every time that this reading was stored."""
        with self._lock:
            return list(self._held.get((sequence, variable), []))

    def forget(self, below: int) -> None:
        """Let go of the samples up to this sequence."""
        with self._lock:
            self._held = {key: records for key, records in self._held.items() if key[0] >= below}

    def request(self, request: dict) -> dict:
        """Do what a request asks for: the step that answers it."""
        with self._lock:
            return self._answer(request)

    def _answer(self, request: dict) -> dict:
        if request["headers"].get("device-token") != self.token:
            self._complain(request, "a token that is not the device's")
            return failure(401, "Authorization denied")
        path = urlsplit(request["path"])
        route = request["method"], path.path
        if route == ("POST", "/data"):
            return self._post(request)
        if route == ("GET", "/data"):
            return self._get(request, parse_qs(path.query, keep_blank_values=True))
        if route == ("GET", "/info"):
            return success({"id": "6298fcc3e0b6840012b6abfa", "name": "node", "active": True, "type": "mutable"})
        self._complain(request, "a route that TagoIO does not have")
        return failure(404, "Route Not Found")

    def _complain(self, request: dict, what: str) -> None:
        self.complaints.append(f"{request['method']} {request['path']}: {what}")

    def _post(self, request: dict) -> dict:
        records = self.records(request)
        if not records:
            return failure(400, "Error on object parse")
        for record in records:
            reason = self.refuses(record)
            if reason is not None:
                return failure(400, reason)
        for record in records:
            self._held.setdefault((sequence_of(record), record["variable"]), []).append(record)
        return success(f"{len(records)} Data Added")

    def records(self, request: dict) -> list[dict]:
        """The records in a POST; [] and a complaint when it is none that TagoIO would take."""
        if not request["headers"].get("content-type", "").startswith("application/json"):
            self._complain(request, "no JSON by its Content-Type")
        try:
            records = json.loads(request["body"])
        except ValueError:
            self._complain(request, "its body is no JSON")
            return []
        if not isinstance(records, list) or not records or any(self._wrong(record) for record in records):
            self._complain(request, f"not an array of records: {request['body'][:200]}")
            return []
        return records

    def _wrong(self, record: dict) -> bool:
        return (
            not set(record) <= _FIELDS
            or not re.fullmatch(r"[a-z0-9_]{1,100}", record.get("variable", ""))
            or not isinstance(record.get("value"), (int, float, str, bool))
            or not _TIME.fullmatch(record.get("time", ""))
            or not _GROUP.fullmatch(record.get("group", ""))
        )

    def _get(self, request: dict, query: dict[str, list[str]]) -> dict:
        unknown = set(query) - _QUERY
        if unknown:
            self._complain(request, f"parameters that TagoIO does not have: {', '.join(sorted(unknown))}")
            return failure(400, "Invalid query")
        moments = {}
        for name in ("start_date", "end_date"):
            if name in query:
                if not _TIME.fullmatch(query[name][0]):
                    self._complain(request, f"{name} is no time")
                    return failure(400, "Invalid date")
                moments[name] = datetime.fromisoformat(query[name][0])
        most = int(query.get("qty", ["15"])[0])
        left: dict[str, int] = {}
        found = []
        everything = [record for records in self._held.values() for record in records]
        for record in sorted(everything, key=lambda record: record["time"], reverse=True):
            time = datetime.fromisoformat(record["time"])
            if (
                record["variable"] in query.get("variables", [record["variable"]])
                and record["group"] in query.get("groups", [record["group"]])
                and moments.get("start_date", time) <= time <= moments.get("end_date", time)
                and left.setdefault(record["variable"], most)
            ):
                left[record["variable"]] -= 1
                found.append({"id": "6143842f561c4e00199f517b", "device": "612ea1694035dd0012f6d238", **record})
        return success(found)
