"""The routes of data, by a device's own token and by its owner's; and the rest of what a device may ask.

Source: TagoIO API, "Sending Data", "Getting Data", "Deleting Data", "Configuration Parameters".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool

from tagonode.cloud import queries, rules
from tagonode.cloud.gate import Answer, Gate, accepted, read_json
from tagonode.cloud.limits import AGGREGATE
from tagonode.cloud.rules import Refused
from tagonode.cloud.store import Device


def sent_status(request: Request) -> bool | None:
    """The query's sent_status, None when it has none. Raises Refused 400."""
    asked = request.query_params.get("sent_status", "").lower()
    if asked not in ("", "true", "false"):
        raise Refused(400, "sent_status must be true or false")
    return asked == "true" if asked else None


class DataCalls:
    """What is done with a device's data once it is known that the asker may."""

    def __init__(self, gate: Gate):
        self._gate = gate
        self._store = gate.store

    def _query(self, request: Request, device: Device, target: str = "", delete: bool = False) -> queries.Query:
        pairs = parse_qsl(request.url.query, keep_blank_values=True, errors="replace")
        bare = not pairs
        if target:
            is_id = len(target) == 24 and not set(target.lower()) - set("0123456789abcdef")
            pairs = [pair for pair in pairs if not (is_id and pair[0] == "qty")]
            pairs.append(("id" if is_id else "variable", target))
        if delete and bare:
            pairs.append(("qty", "1"))
        return queries.read(pairs, self._gate.now(), device.type == "immutable", delete)

    async def post(self, request: Request, device: Device) -> Answer:
        """Store the body's records."""
        body = await read_json(request)
        arrival = self._gate.now()
        records = rules.check_records(body, arrival)
        if device.type == "immutable" and device.chunk_period:
            rules.check_retention(records, arrival, device.chunk_period, device.chunk_retention or 0)
        self._gate.quotas.spend("data_input", len(records), arrival)
        await run_in_threadpool(self._store.add, device, records, arrival)
        return accepted(f"{len(records)} Data Added")

    async def get(self, request: Request, device: Device, target: str = "") -> Answer:
        """What the query string selects."""
        query = self._query(request, device, target)
        self._gate.quotas.spend("data_output", 0, self._gate.now())
        result = await run_in_threadpool(self._store.select, device, query)
        self._gate.quotas.spend("data_output", len(result) if isinstance(result, list) else 1, self._gate.now())
        return accepted(result)

    async def put(self, request: Request, device: Device) -> Answer:
        """Edit the body's records."""
        body = await read_json(request)
        if device.type == "immutable":
            raise Refused(400, "You cannot edit data on immutable device")
        changed = await run_in_threadpool(self._store.edit, device, rules.check_edits(body))
        return accepted(f"{changed} item(s) updated")

    async def delete(self, request: Request, device: Device, target: str = "") -> Answer:
        """Remove what the query string selects."""
        if device.type == "immutable":
            raise Refused(400, "Data in immutable devices cannot be deleted")
        query = self._query(request, device, target, delete=True)
        return accepted(f"{await run_in_threadpool(self._store.delete, device, query)} Data Removed")


def add_device_routes(app: FastAPI, gate: Gate) -> None:
    """Add the routes that a device's token opens, and those of its data for its owner."""
    store = gate.store
    calls = DataCalls(gate)

    @app.post("/data")
    async def post_data(request: Request) -> Answer:
        return await calls.post(request, gate.device(request, "write", "POST /data"))

    @app.get("/data")
    @app.get("/data/{target}")
    async def get_data(request: Request, target: str = "") -> Answer:
        aggregate = request.query_params.get("query") == "aggregate"
        return await calls.get(request, gate.device(request, "read", AGGREGATE if aggregate else "GET /data"), target)

    @app.put("/data")
    async def put_data(request: Request) -> Answer:
        return await calls.put(request, gate.device(request, "write", "PUT /data"))

    @app.delete("/data")
    @app.delete("/data/{target}")
    async def delete_data(request: Request, target: str = "") -> Answer:
        return await calls.delete(request, gate.device(request, "delete", "DELETE /data"), target)

    @app.get("/info")
    async def get_info(request: Request) -> Answer:
        device = gate.device(request, "read", "GET /info")
        return accepted(store.info(device))

    @app.get("/device/params")
    async def get_params(request: Request) -> Answer:
        device = gate.device(request, "read", "GET /device/params")
        return accepted(await run_in_threadpool(store.parameters, device, sent_status(request)))

    @app.put("/device/params/{identity}")
    async def put_params(request: Request, identity: str) -> Answer:
        device = gate.device(request, "write", "PUT /device/params")
        await run_in_threadpool(store.mark_parameter_read, device, identity)
        return accepted("Params Successfully Updated")

    def by_owner(method: str, need: str, call: Callable[[Request, Device], Awaitable[Answer]]) -> None:
        async def handle(request: Request, identity: str) -> Answer:
            gate.account(request, need, f"{method} /device/:id/data", identity)
            return await call(request, store.device(identity))

        app.add_api_route("/device/{identity}/data", handle, methods=[method])

    by_owner("POST", "write", calls.post)
    by_owner("GET", "read", calls.get)
    by_owner("PUT", "write", calls.put)
    by_owner("DELETE", "delete", calls.delete)
