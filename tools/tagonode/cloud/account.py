"""The routes of a profile's owner: devices, their tokens, parameters and data; and the serial numbers of a network.

Source: TagoIO API, "Managing Devices", "Device Tokens", "Configuration Parameters"; what both official SDKs send.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool

from tagonode.cloud import profile, times
from tagonode.cloud.data import sent_status
from tagonode.cloud.gate import Answer, Gate, accepted, read_json
from tagonode.cloud.rules import Refused


def _pairs(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.url.query, keep_blank_values=True, errors="replace")


def add_account_routes(app: FastAPI, gate: Gate) -> None:
    """Add these routes to `app`."""
    store = gate.store

    # -- devices -------------------------------------------------------------------------------------------

    @app.get("/device")
    async def list_devices(request: Request) -> Answer:
        gate.account(request, "read", "GET /device")
        query = profile.read_list(_pairs(request), gate.now(), profile.DEVICE_FILTERS, "name,asc")
        return accepted(await run_in_threadpool(store.devices, query))

    @app.post("/device", status_code=201)
    async def create_device(request: Request) -> Answer:
        gate.account(request, "write", "POST /device")
        fields = profile.check_device(await read_json(request))
        identity, token = await run_in_threadpool(store.create_device, allow=gate.quotas.check_devices, **fields)
        return accepted(
            {"device_id": identity, "bucket_id": identity, "deviceID": identity, "token": token},
            201,
        )

    @app.get("/device/{identity}")
    async def get_device(request: Request, identity: str) -> Answer:
        gate.account(request, "read", "GET /device/:id", identity)
        device = await run_in_threadpool(store.device, identity)
        return accepted(await run_in_threadpool(store.profile_info, device))

    @app.put("/device/{identity}")
    async def edit_device(request: Request, identity: str) -> Answer:
        gate.account(request, "write", "PUT /device/:id", identity)
        fields = profile.check_device_edit(await read_json(request))
        device = await run_in_threadpool(store.device, identity)
        if "chunk_retention" in fields:
            if device.chunk_period is None:
                raise Refused(400, "chunk_retention belongs to immutable devices")
            fields["chunk_retention"] = profile.check_retention(device.chunk_period, fields["chunk_retention"])
        for name, other in (("network", "connector"), ("connector", "network")):
            if fields.get(name, getattr(device, name)) != getattr(device, name):
                if other not in fields:
                    raise Refused(400, "network and connector are changed together: send both")
                if await run_in_threadpool(store.has_tokens, device):
                    raise Refused(400, "Delete the device's tokens before changing its network")
        await run_in_threadpool(store.edit_device, identity, **fields)
        return accepted("Successfully Updated")

    @app.delete("/device/{identity}")
    async def delete_device(request: Request, identity: str) -> Answer:
        gate.account(request, "delete", "DELETE /device/:id", identity)
        await run_in_threadpool(store.delete_device, identity)
        return accepted("Successfully Removed")

    @app.get("/device/{identity}/data_amount")
    async def data_amount(request: Request, identity: str) -> Answer:
        gate.account(request, "read", "GET /device/:id/data_amount", identity)
        return accepted(await run_in_threadpool(store.count, store.device(identity)))

    @app.post("/device/{identity}/empty")
    async def empty(request: Request, identity: str) -> Answer:
        gate.account(request, "delete", "POST /device/:id/empty", identity)
        await run_in_threadpool(store.empty, store.device(identity))
        return accepted("Data Successfully Removed")

    @app.post("/device/{identity}/convert")
    async def convert(request: Request, identity: str) -> Answer:
        gate.account(request, "write", "POST /device/:id/convert", identity)
        body = await read_json(request)
        if not isinstance(body, dict) or "type" not in body:
            raise Refused(400, "type is required and must be mutable or immutable")
        await run_in_threadpool(store.convert_device, identity, profile.check_storage(body))
        return accepted("Device type/chunk was converted")

    # -- tokens --------------------------------------------------------------------------------------------

    @app.get("/device/token/{identity}")
    async def list_tokens(request: Request, identity: str) -> Answer:
        gate.account(request, "read", "GET /device/token/:id", identity)
        query = profile.read_list(_pairs(request), gate.now(), profile.TOKEN_FILTERS, "created_at,desc")
        return accepted(await run_in_threadpool(store.tokens, identity, query))

    @app.post("/device/token", status_code=201)
    async def create_token(request: Request) -> Answer:
        gate.account(request, "write", "POST /device/token")
        new = profile.check_token(await read_json(request), gate.now())
        token = await run_in_threadpool(
            store.create_token, new.device, new.name, new.permission, new.expires_at, new.serial
        )
        expire = "never" if new.expires_at is None else times.iso8601(new.expires_at)
        return accepted(
            {"token": token, "permission": new.permission, "expire_time": expire, "expire_date": expire}, 201
        )

    @app.delete("/device/token/{token}")
    async def delete_token(request: Request, token: str) -> Answer:
        gate.account(request, "delete", "DELETE /device/token")
        await run_in_threadpool(store.delete_token, token)
        return accepted("Token Successfully Removed")

    # -- parameters ----------------------------------------------------------------------------------------

    @app.get("/device/{identity}/params")
    async def list_params(request: Request, identity: str) -> Answer:
        gate.account(request, "read", "GET /device/:id/params", identity)
        sent = sent_status(request)
        return accepted(await run_in_threadpool(store.parameters, store.device(identity), sent))

    @app.post("/device/{identity}/params", status_code=201)
    async def set_params(request: Request, identity: str) -> Answer:
        gate.account(request, "write", "POST /device/:id/params", identity)
        rows: list[dict[str, Any]] = profile.check_parameters(await read_json(request))
        await run_in_threadpool(store.set_parameters, store.device(identity), rows)
        return accepted("Params Successfully Updated", 201)

    @app.delete("/device/{identity}/params/{parameter}")
    async def delete_param(request: Request, identity: str, parameter: str) -> Answer:
        gate.account(request, "delete", "DELETE /device/:id/params", identity)
        await run_in_threadpool(store.delete_parameter, store.device(identity), parameter)
        return accepted("Successfully Removed")

    # -- a network's serial numbers ------------------------------------------------------------------------

    @app.get("/integration/network/resolve/{serial}")
    @app.get("/integration/network/resolve/{serial}/{authorization}")
    async def resolve(request: Request, serial: str, authorization: str = "") -> Answer:
        gate.network(request, "GET /integration/network/resolve")
        if authorization and authorization not in (store.account_token, store.profile):
            raise Refused(401, "Authorization denied")
        return accepted(await run_in_threadpool(store.token_of_serial, serial))
