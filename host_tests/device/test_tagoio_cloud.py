"""Builders, a session and readers against the local TagoIO over TLS: what is asked is understood, and what is answered.

The stand-in's queries have an oracle of their own, and TagoIO's own SDK for a client, in its tests.
"""

import http1
import pytest
from harness import timeout
from session.client import Session
from tagoio import calls, question, records, verdicts

NOON = 1767268800000  # 2026-01-01T12:00:00Z
HOUR = 3600000
TAG = "k3x9q2"


class Here:
    """A resolver that needs no name server."""

    async def resolve(self, name):
        return "127.0.0.1"


class Client:
    """A device of the stand-in's, over one connection."""

    def __init__(self, cloud, token=None, room=4096):
        self._session = Session(cloud.host, cloud.port, lambda: iter(cloud.roots), Here())
        self._response = http1.Response(bytearray(room))
        self._host = f"{cloud.host}:{cloud.port}"
        self._header = "Device-Token", cloud.token if token is None else token

    async def ask(self, call, times=1):
        """(verdict, detail, hint, result) of a call, whose body is sent so many times over."""
        method, path, body = call
        headers = [self._header]
        if body is not None:
            headers.append(("Content-Type", "application/json"))
        response = self._response
        response.begin(method)
        size = None if body is None else len(body) * times
        head = http1.encode_head(method, path, self._host, headers, size)
        await self._session.request(head, body and (body for _ in range(times)), response)
        return calls.read(response.status, response.header, response.body(), self._header[1])

    async def result(self, call):
        """The result of a call that must be accepted."""
        verdict, detail, hint, result = await self.ask(call)
        assert (verdict, hint) == (verdicts.ACCEPTED, None), detail
        return result

    async def values(self, **filters):
        """Values of the records that a query gives."""
        return [row["value"] for row in calls.rows(await self.result(calls.get(**filters)))]

    def close(self, refused=False):
        # a refusal may come before the whole body has left: that ends the connection
        assert self._session.handshakes == 1 or refused
        self._session.close()


class Sample:
    location = metadata = None

    def __init__(self, sequence, values):
        self.sequence = sequence
        self.time = NOON + sequence * HOUR
        self.channels = ("temperature", "°C", 2), ("Relative Humidity", "%", 1)
        self.values = values


async def filled(cloud):
    """A client whose device has six samples of two variables, uploaded as a node does."""
    client = Client(cloud)
    encoder = records.Encoder(TAG, bytearray(64))
    samples = [Sample(n, [20 + n / 4, 40 + n]) for n in range(6)]
    samples[3].values[1] = None
    body = b"".join([bytes(piece) for piece in encoder.pieces(samples)])
    assert len(body) == records.EMPTY + sum([encoder.size(sample) for sample in samples])
    assert calls.count(await client.result(("POST", "/data", body))) == 11
    return client


@timeout(120)
async def test_what_the_encoder_makes_comes_back(cloud):
    client = await filled(cloud)
    (row,) = calls.rows(await client.result(calls.get(variables="relative_humidity", groups=TAG + "_4")))
    assert len(row.pop("id")) == len(row.pop("device")) == 24
    assert row == {
        "variable": "relative_humidity",
        "value": 44,
        "unit": "%",
        "group": "k3x9q2_4",
        "time": "2026-01-01T16:00:00.000Z",
    }
    client.close()


@timeout(120)
async def test_filters(cloud):
    client = await filled(cloud)
    temperatures = [21.25, 21, 20.75, 20.5, 20.25, 20]
    assert await client.values(variables="temperature") == temperatures
    assert await client.values(variables="temperature", qty=2) == temperatures[:2]
    assert await client.values(variables="temperature", qty=2, skip=1) == temperatures[1:3]
    assert await client.values(variables=["temperature"], ordination="ascending") == temperatures[::-1]
    assert sorted(await client.values(variables=["temperature", "relative_humidity"], qty=1)) == [21.25, 45]
    assert len(await client.values()) == 11
    assert await client.values(variables="temperature", start_date=NOON + 4 * HOUR) == temperatures[:2]
    assert await client.values(variables="temperature", end_date=NOON + HOUR) == temperatures[4:]
    assert await client.values(variables="temperature", start_date=NOON + 2 * HOUR, end_date=NOON + 2 * HOUR) == [20.5]
    assert await client.values(start_date="1 hour", end_date="1 day") == []
    assert sorted(await client.values(groups=[TAG + "_0", TAG + "_3"])) == [20, 20.75, 40]
    assert await client.values(values=[20.5, 44]) == [44, 20.5]
    assert await client.values(groups="a b&c=d/°", variables="temperature") == []
    (row,) = await client.result(calls.get(variables="temperature", qty=1, details=True))
    assert row["created_at"] > row["time"]
    (row,) = await client.result(calls.get(ids=row["id"]))
    assert row["value"] == 21.25 and "created_at" not in row
    client.close()


@timeout(120)
async def test_every_kind_of_query(cloud):
    client = await filled(cloud)
    period = {"variables": "temperature", "start_date": NOON, "end_date": NOON + 9 * HOUR}
    for kind, value in (
        ("last_item", 21.25),
        ("first_item", 20),
        ("last_value", 21.25),
        ("first_value", 20),
        ("last_insert", 21.25),
        ("first_insert", 20),
        ("min", 20),
        ("max", 21.25),
    ):
        assert await client.values(query=kind, **period) == [value], kind
    for kind, number in (("count", 6), ("sum", 123.75), ("avg", 20.625)):
        assert calls.count(await client.result(calls.get(query=kind, **period))) == number, kind
    place = {"variable": "temperature", "location": {"lat": 1.5, "lng": 2}, "time": NOON + HOUR}
    await client.result(calls.send(place))
    for kind in ("last_location", "first_location"):
        (row,) = await client.result(calls.get(query=kind, variables="temperature"))
        assert row["location"] == {"type": "Point", "coordinates": [2, 1.5]}, kind
    assert await client.values(query="conditional", function="gt", value=20.9, **period) == [21.25, 21]
    buckets = await client.result(calls.get(query="aggregate", function="max", interval="hour", **period))
    assert [(row["time"], row["value"]) for row in calls.rows(buckets)][:2] == [
        ("2026-01-01T17:00:00.000Z", 21.25),
        ("2026-01-01T16:00:00.000Z", 21),
    ]
    client.close()


@timeout(120)
async def test_send_edit_delete(cloud):
    client = Client(cloud)
    event = {"variable": "event", "value": 'door "open" °', "time": NOON, "metadata": {"n": [1, None, 0.5], "on": True}}
    assert await client.result(calls.send(event)) == "1 Data Added"
    assert await client.result(calls.send([event, {"variable": "on", "value": False}])) == "2 Data Added"
    rows = await client.result(calls.get(variables="event"))
    assert [(row["value"], row["metadata"]) for row in rows] == [(event["value"], event["metadata"])] * 2
    changed = await client.result(calls.edit([{"id": rows[0]["id"], "value": -1.5, "unit": "°"}]))
    assert calls.count(changed) == 1
    assert sorted([str(value) for value in await client.values()]) == ["-1.5", "False", 'door "open" °']
    assert calls.count(await client.result(calls.delete(variables="event", qty=1))) == 1
    assert calls.count(await client.result(calls.get(query="count"))) == 2
    assert calls.count(await client.result(calls.delete(query="last_item", variables="on"))) == 1
    assert calls.count(await client.result(calls.delete(qty="all"))) == 1
    assert await client.values() == []
    assert calls.count(await client.result(calls.get(query="count"))) == 0
    client.close()


@timeout(120)
async def test_information_and_parameters(cloud):
    client = Client(cloud)
    info = await client.result(calls.info())
    assert (info["type"], info["active"]) == ("mutable", True)
    unread = calls.unread(await client.result(calls.params(sent=False)))
    assert sorted([(key, value) for _, key, value in unread]) == sorted(cloud.parameters.items())
    assert await client.result(calls.params(sent=True)) == []
    for id, key, _ in unread:
        if key == "upload_every":
            assert await client.result(calls.mark_read(id)) == "Params Successfully Updated"
    assert [row["key"] for row in await client.result(calls.params(sent=True))] == ["upload_every"]
    everything = await client.result(calls.params())
    assert len(everything) == len(cloud.parameters)
    assert [key for _, key, _ in calls.unread(everything)] == ["name"]
    client.close()


@timeout(120)
async def test_whether_a_reading_is_stored(cloud):
    client = await filled(cloud)
    client.close()
    client = Client(cloud, room=1024)

    async def stored(variable, group=None, time=None):
        path = question.question(variable, group, time)
        verdict, detail, _, _ = await client.ask(("GET", path, None))
        assert verdict == verdicts.ACCEPTED or client._response.size > 1024, detail
        return question.found(client._response.body(), variable, group, time)

    for sequence in range(6):
        group, time = records.group(TAG, sequence), NOON + sequence * HOUR
        assert await stored("Temperature", group) is True
        assert await stored("temperature", None, time) is True
        assert await stored("Relative Humidity", group, time) is (sequence != 3)
        assert await stored("Relative Humidity", None, time) is (sequence != 3)
        assert await stored("pressure", group) is False
        assert await stored("temperature", group + "0") is False
        assert await stored("temperature", None, time + 1) is False
    # a record larger than the buffer: a cut answer may say yes, and never no
    note = {"variable": "note", "group": "k3x9q2_9", "value": "x" * 2000}
    assert await client.result(calls.send(note)) == "1 Data Added"
    assert await stored("note", "k3x9q2_8") is False
    assert await stored("note", "k3x9q2_9") is not False
    assert client._response.size > 1024
    client.close()


REFUSED = [
    (calls.send({"variable": "a b", "value": 1}), verdicts.REJECTED, "must not contain"),
    (calls.send([{"variable": "a", "value": 1}, {"value": 1}]), verdicts.REJECTED, "variable is required"),
    (calls.send({"variable": "a", "value": "x" * 6001}), verdicts.REJECTED, "at most 6 kB"),
    (("POST", "/data", b'{"variable":'), verdicts.REJECTED, "not valid JSON"),
    (calls.get(query="newest"), verdicts.REJECTED, "Invalid query"),
    (calls.mark_read("none such"), verdicts.MISCONFIGURED, "Invalid Parameter ID"),
    (("GET", "/dat", None), verdicts.MISCONFIGURED, "Route Not Found"),
]


@timeout(120)
async def test_refusals(cloud):
    client = Client(cloud)
    for call, verdict, part in REFUSED:
        found, detail, hint, result = await client.ask(call)
        assert (found, hint, result) == (verdict, None, None), detail
        assert part in detail
    assert await client.values() == []
    found, detail, _, _ = await client.ask(("POST", "/data", b" " * 4000), times=51)
    assert found == verdicts.TOO_LARGE
    assert "200 kB" in detail
    client.close(refused=True)


@timeout(120)
@pytest.mark.parametrize("ending", ("", "x"))
async def test_a_token_that_nobody_knows(cloud, ending):
    client = Client(cloud, cloud.token[:-1] + ending)
    for call in (calls.send({"variable": "a"}), calls.get(), calls.info(), calls.params()):
        found, detail, _, _ = await client.ask(call)
        assert found == verdicts.UNAUTHORISED
        assert detail == "Authorization denied"
    client.close(refused=True)


@timeout(120)
async def test_ssl_false_is_no_filter(cloud):
    client = await filled(cloud)
    for call in (calls.get(query="count"), calls.info(), calls.params(sent=False)):
        method, path, body = call
        assert await client.result((method, calls.without_tls(path), body)) == await client.result(call)
    method, path, body = calls.send({"variable": "a", "value": 1})
    assert await client.result((method, calls.without_tls(path), body)) == "1 Data Added"
    client.close()
