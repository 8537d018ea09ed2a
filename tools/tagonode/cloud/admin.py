"""The stand-in's own small API under /admin: faults, bad certificates, limits, quotas. For tests and tools.

TagoIO has none of it. Opened by the account token, in any token header. Answers are in the API's envelope.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool

from tagonode.cloud.faults import EVERY, Fault, Faults
from tagonode.cloud.gate import Answer, Gate, accepted, read_json
from tagonode.cloud.handshakes import Handshakes
from tagonode.cloud.limits import PLAN_DEVICES, PLANS
from tagonode.cloud.rules import Refused

_MOST = 10**9
_BAD_S = 60  # of a bad certificate: who asked for it over TLS cannot switch it off himself


def _count(name: str, value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST):
        return value
    raise Refused(400, f"{name} must be null or a whole number from 0")


def read_fault(body: Any) -> Fault:
    """A fault from JSON: `kind`, and where they are wanted `seconds`, `times` and `uploads`. Raises Refused 400."""
    names = {"kind", "seconds", "times", "uploads"}
    if not isinstance(body, dict) or set(body) - names or not isinstance(body.get("kind"), str):
        raise Refused(400, f"a fault is a JSON object of {', '.join(sorted(names))}; kind is a string")
    seconds, times, uploads = body.get("seconds", 10), body.get("times"), body.get("uploads", False)
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise Refused(400, "seconds must be a number")
    if not isinstance(uploads, bool):
        raise Refused(400, "uploads must be true or false")
    try:
        return Fault(body["kind"], seconds, _count("times", times), uploads)
    except ValueError as error:
        raise Refused(400, str(error)) from error


def show_fault(fault: Fault) -> dict[str, Any]:
    """A fault as JSON; `times`: how many requests it is still for, null for any number."""
    return {"kind": fault.kind, "seconds": fault.seconds, "times": fault.left, "uploads": fault.uploads}


def add_admin_routes(app: FastAPI, gate: Gate, faults: Faults, tls: Handshakes) -> None:
    """Add these routes to `app`."""
    limits, quotas = gate.limits, gate.quotas

    def owner(request: Request) -> None:
        gate.account(request, "write", "/admin")

    def known(device: str) -> str:
        return device if device == EVERY else gate.store.device(device).id

    @app.get("/admin/faults")
    async def list_faults(request: Request) -> Answer:
        owner(request)
        return accepted({device: show_fault(fault) for device, fault in faults.all().items()})

    @app.delete("/admin/faults")
    async def clear_faults(request: Request) -> Answer:
        owner(request)
        for device in faults.all():
            faults.set(device, None)
        return accepted("All faults switched off")

    @app.put("/admin/faults/{device}")
    async def switch_on(request: Request, device: str) -> Answer:
        owner(request)
        fault = read_fault(await read_json(request))
        faults.set(known(device), fault)
        return accepted(show_fault(fault))

    @app.delete("/admin/faults/{device}")
    async def switch_off(request: Request, device: str) -> Answer:
        owner(request)
        faults.set(device, None)
        return accepted("Fault switched off")

    def certificate_shown() -> dict[str, Any]:
        bad = tls.bad
        return {"kind": None} if bad is None else bad._asdict()

    @app.get("/admin/certificate")
    async def get_certificate(request: Request) -> Answer:
        owner(request)
        return accepted(certificate_shown())

    @app.put("/admin/certificate")
    async def set_certificate(request: Request) -> Answer:
        owner(request)
        body = await read_json(request)
        if not isinstance(body, dict) or set(body) - {"kind", "seconds"} or not isinstance(body.get("kind"), str):
            raise Refused(400, "a certificate is a JSON object of kind and seconds; kind is a string")
        seconds = body.get("seconds", _BAD_S)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise Refused(400, "seconds must be a number")
        try:
            await run_in_threadpool(tls.switch, body["kind"], seconds)
        except ValueError as error:
            raise Refused(400, str(error)) from error
        return accepted(certificate_shown())

    @app.delete("/admin/certificate")
    async def good_certificate(request: Request) -> Answer:
        owner(request)
        tls.switch(None)
        return accepted("The good certificate is back")

    def limits_shown() -> dict[str, Any]:
        return {
            "window_s": limits.window_s,
            "per_window": dict(limits.per_window),
            "devices": quotas.devices,
            "data_input": quotas.data_input,
            "data_output": quotas.data_output,
            "used": quotas.used(),
        }

    @app.get("/admin/limits")
    async def get_limits(request: Request) -> Answer:
        owner(request)
        return accepted(limits_shown())

    @app.put("/admin/limits")
    async def set_limits(request: Request) -> Answer:
        owner(request)
        body = await read_json(request)
        names = {"plan", "window_s", "per_window", "devices", "data_input", "data_output"}
        if not isinstance(body, dict) or set(body) - names:
            raise Refused(400, f"limits are a JSON object of {', '.join(sorted(names))}")
        per_window = dict(limits.per_window)
        fields = {name: _count(name, body[name]) for name in ("devices", "data_input", "data_output") if name in body}
        if "plan" in body:
            if body["plan"] not in PLANS:
                raise Refused(400, f"plan must be one of {', '.join(PLANS)}")
            fields.setdefault("devices", PLAN_DEVICES[body["plan"]])
        given = body.get("per_window", {})
        if not isinstance(given, dict):
            raise Refused(400, 'per_window must be an object such as {"POST /data": 250}')
        given = {route: _count(f"per_window {route}", limit) for route, limit in given.items()}
        window = body.get("window_s", limits.window_s)
        if not isinstance(window, int) or isinstance(window, bool) or not 1 <= window <= 86400:
            raise Refused(400, "window_s must be a whole number of seconds from 1 to 86400")
        if "plan" in body:
            limits.follow(body["plan"])
            per_window = dict(limits.per_window)
        per_window |= given
        limits.per_window = {route: limit for route, limit in per_window.items() if limit is not None}
        limits.window_s = window
        for name, limit in fields.items():
            setattr(quotas, name, limit)
        return accepted(limits_shown())
