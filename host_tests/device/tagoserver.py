"""A TagoIO in a few lines, in the place of a session: stores whole POSTs or nothing, answers questions, makes trouble.

`trouble(n, method, records)` is called for each request, counted from 1: None, or (status, text) to refuse it, or
"lost" (done, but no answer comes), "late" (no answer, and done only after the next question), "cut" (not done, no
answer), "power" (done, and the power goes before the answer), or an exception to raise.
"""

import json

from agentworld import Enough

from session.client import SessionError


class Tago:
    def __init__(self, trouble=lambda n, method, records: None):
        self.handshakes = 0
        self.progress = None
        self.trouble = trouble
        self.stored = []  # (group, variable) of every record stored
        self._times = {}
        self.posts = []  # how many records each POST had
        self.questions = []  # paths
        self.late = []
        self._n = 0

    def close(self):
        pass

    async def request(self, head, body, response):
        self._n += 1
        method, path = bytes(head).decode().split(" ")[:2]
        records = None
        if method == "POST":
            data = b"".join([bytes(piece) for piece in body])
            records = [(record["group"], record["variable"], record["value"]) for record in json.loads(data)]
            for record in json.loads(data):
                self._times[record["group"]] = record.get("time")
            self.posts.append(len(records))
        else:
            self.questions.append(path)
        what = self.trouble(self._n, method, records)
        if isinstance(what, Exception):
            raise what
        if isinstance(what, tuple):
            return self._say(response, what[0], {"status": False, "message": what[1]})
        if what == "late":
            self.late = records
            raise SessionError("answer", "nothing moved", True)
        if method == "POST":
            if what != "cut":
                self._store(records)
            if what == "power":
                raise Enough
            if what:
                raise SessionError("answer", "nothing moved", True)
            return self._say(response, 200, {"status": True, "result": "%d Data Added" % len(records)})
        if what == "power":
            raise Enough
        rows = self._find(path)
        self._store(self.late)
        self.late = []
        return self._say(response, 200, {"status": True, "result": rows})

    def _store(self, records):
        self.stored.extend([record[:2] for record in records])

    def _find(self, path):
        asked = {}
        for pair in path.split("?")[1].split("&"):
            name, _, value = pair.partition("=")
            asked[name] = value
        for group, variable in self.stored:
            time = self._times[group]
            if (
                asked.get("variables") == variable
                and asked.get("groups", group) == group
                and asked.get("start_date", time) == asked.get("end_date", time) == time
            ):
                return [{"id": "6143842f561c4e00199f517b", "variable": variable, "value": 1, "group": group}]
        return []

    def _say(self, response, status, answer):
        text = json.dumps(answer).encode()
        response.feed(b"HTTP/1.1 %d Status\r\nContent-Length: %d\r\n\r\n" % (status, len(text)) + text)
        return response
