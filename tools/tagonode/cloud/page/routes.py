"""What the page's own address answers: its files, the CA for real boards, and JSON under /page/api for the page."""

from __future__ import annotations

import importlib.metadata
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import Body, FastAPI, HTTPException, Query, Request
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from tagonode.cloud import lan, times
from tagonode.cloud.certificates import BAD_KINDS
from tagonode.cloud.faults import EVERY, KINDS, TIMED, Fault
from tagonode.cloud.limits import DATA_ROUTES, PLANS, plan_limits
from tagonode.cloud.page import state
from tagonode.cloud.page.overview import Node
from tagonode.cloud.page.recorder import Exchange
from tagonode.cloud.rules import Refused

if TYPE_CHECKING:
    from tagonode.cloud.page.server import PageServer
    from tagonode.cloud.server import LocalCloud

STATIC = Path(__file__).parent / "static"
RANGES = {"1h": 3_600_000, "24h": 86_400_000, "7d": 604_800_000}
LISTED = 200  # requests in one answer
PARAMETER_KEY, PARAMETER_VALUE = 100, 6_000


def chart_library() -> tuple[Path, Path]:
    """uPlot's script and style sheet, as the wheel of youplot ships them."""
    shipped = importlib.metadata.distribution("youplot")
    folder = Path(str(shipped.locate_file("youplot/vendor")))
    return folder / "uplot.iife.min.js", folder / "uplot.min.css"


def command() -> str:
    """How `tagonode` is called from where the user is."""
    own = Path(sys.executable).with_name("tagonode")
    found = shutil.which("tagonode")
    if found and Path(found).resolve() == own.resolve():
        return "tagonode"
    return shlex.quote(str(own)) if own.exists() else "tagonode"


def remote_settings() -> list[dict[str, str]]:
    """[{key, about}] of the settings of node.toml that a parameter may change."""
    from tagonode.device import settings
    from tagonode.model import ABOUT

    keys = [
        row[0] for row in settings.TABLE if row[0] in settings.REMOTE or row[0].partition(".")[0] in settings.REMOTE
    ]
    return [{"key": key, "about": ABOUT.get(key, "")} for key in keys]


class _Files(StaticFiles):
    """Files that a browser asks for anew each time it is loaded: an update shows at once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers["cache-control"] = "no-cache"
        return answer


def _short(exchange: Exchange) -> dict[str, Any]:
    """An exchange for the inspector's list."""
    return {
        "number": exchange.number,
        "at": exchange.at,
        "method": exchange.method,
        "path": exchange.path,
        "status": exchange.status,
        "ms": round(exchange.ms, 1),
        "body_up": exchange.body_up,
        "body_down": exchange.body_down,
        "wire_up": exchange.wire_up,
        "wire_down": exchange.wire_down,
        "handshake": exchange.handshake,
        "connection": exchange.connection,
        "nth": exchange.nth,
        "node": exchange.sender.device,
        "name": exchange.sender.name,
        "fault": exchange.fault,
    }


def _fault(fault: Fault | None) -> dict[str, Any] | None:
    if fault is None:
        return None
    return {
        "kind": fault.kind,
        "seconds": fault.seconds,
        "left": fault.left,
        "uploads": fault.uploads,
        "text": str(fault),
    }


def create_page(cloud: LocalCloud, page: PageServer) -> FastAPI:
    """The page of `cloud`, without the Guard that belongs around it."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    overview, recorder, live = page.overview, page.recorder, page.live
    uplot_script, uplot_style = chart_library()

    def node_of(identity: str) -> Node:
        node = overview.node(identity)
        if node is None:
            raise HTTPException(404, "There is no such node here any more: go back to the fleet")
        return node

    def first_command() -> str:
        token = cloud.token_file
        return (
            f"{command()} simulate --url {cloud.url} --ca {shlex.quote(str(cloud.ca_file))} "
            f'--token "$(cat {shlex.quote(str(token))})" --sample-every 2 --upload-every 5'
        )

    def certificate() -> dict[str, Any] | None:
        bad = cloud.tls.bad
        return None if bad is None else {**bad._asdict(), "text": str(bad)}

    def summary(node: Node, now: int, counts: dict[int, int], unread: dict[int, int]) -> dict[str, Any]:
        habits = overview.habits(node)
        latest = overview.latest(node) if node.last_input else {}
        faults = cloud.faults.all()
        fault = faults.get(node.id) or faults.get(EVERY)
        last = recorder.newest(node.id)
        return {
            "id": node.id,
            "name": node.name,
            "type": node.type,
            "active": bool(node.active),
            "state": state.presence(node, habits, now),
            "last_seen": node.last_input,
            "last_sample": habits.last_sample,
            "sample_ms": habits.sample_ms,
            "upload_ms": habits.upload_ms,
            "records": counts.get(node.number, 0),
            "unread": unread.get(node.number, 0),
            **{name: state.role(name, latest) for name in state.ROLES},
            "version": state.role("version", latest) or (overview.version(node) if node.last_input else None),
            "latest": {name: {k: one[k] for k in ("value", "unit", "time")} for name, one in latest.items()},
            "trend": overview.trend(node, latest),
            "alarms": state.alarms(node, habits, latest, last, str(fault) if fault else "", now),
        }

    # -- files ---------------------------------------------------------------------------------------------

    @app.get("/")
    def root(request: Request) -> Response:
        query = request.url.query
        return RedirectResponse("/page/" + (f"?{query}" if query else ""))

    @app.get("/page")
    def bare() -> Response:
        return RedirectResponse("/page/")

    @app.get("/page/")
    def index() -> Response:
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    @app.get("/favicon.ico")
    def icon() -> Response:
        return FileResponse(STATIC / "icon.svg", media_type="image/svg+xml")

    @app.get("/page/uplot.js")
    def uplot_js() -> Response:
        return FileResponse(uplot_script, media_type="text/javascript", headers={"cache-control": "no-cache"})

    @app.get("/page/uplot.css")
    def uplot_css() -> Response:
        return FileResponse(uplot_style, media_type="text/css", headers={"cache-control": "no-cache"})

    @app.get("/ca.pem")
    def ca_pem() -> Response:
        return Response(cloud.ca_pem, media_type="application/x-pem-file", headers=_attached("tagonode-local-root.pem"))

    @app.get("/ca.der")
    def ca_der() -> Response:
        return Response(cloud.ca_der, media_type="application/pkix-cert", headers=_attached("tagonode-local-root.der"))

    app.mount("/page/static", _Files(directory=STATIC))

    # -- what is there -------------------------------------------------------------------------------------

    @app.get("/page/api/fleet")
    def fleet() -> Any:
        now, counts, unread = cloud.now_ms(), overview.counts(), overview.unread_parameters()
        nodes = overview.nodes()
        if len(nodes) > 1:  # the one that is there from the start is of no interest beside others
            nodes = [node for node in nodes if node.last_input or node.name != cloud.FIRST_DEVICE]
        minute = [exchange for exchange in recorder.exchanges() if exchange.at > now - 60_000]
        return _json(
            {
                "now": now,
                "nodes": [summary(node, now, counts, unread) for node in nodes],
                "records": sum(counts.values()),
                "requests_minute": len(minute),
                "refused_minute": sum(e.status is None or e.status >= 400 for e in minute),
                "every_fault": _fault(cloud.faults.all().get(EVERY)),
                "certificate": certificate(),
                "command": first_command(),
            }
        )

    @app.get("/page/api/nodes/{identity}")
    def node(identity: str) -> Any:
        found = node_of(identity)
        now = cloud.now_ms()
        device = cloud.store.device(identity)
        return _json(
            {
                "now": now,
                **summary(found, now, overview.counts(), overview.unread_parameters()),
                "texts": overview.texts(found) if found.last_input else [],
                "parameters": cloud.store.parameters(device),
                "fault": _fault(cloud.faults.all().get(identity)),
                "every_fault": _fault(cloud.faults.all().get(EVERY)),
                "certificate": certificate(),
                "fault_kinds": [{"kind": k, "name": name, "timed": k in TIMED} for k, name in KINDS.items()],
                "created": found.created_at,
                "command": first_command(),
            }
        )

    def bounds(span: str, start: int | None, end: int | None) -> tuple[int, int]:
        if start is not None and end is not None:
            return start, end
        if span not in RANGES:
            raise HTTPException(400, f"range must be one of {', '.join(RANGES)}")
        now = cloud.now_ms()
        return now - RANGES[span], now + state.AHEAD_MS

    @app.get("/page/api/nodes/{identity}/series")
    def series(
        identity: str,
        span: str = Query("1h", alias="range"),
        start: int | None = Query(None, alias="from", ge=0, le=times.LATEST),
        end: int | None = Query(None, alias="to", ge=0, le=times.LATEST),
        after: int | None = Query(None, ge=0, le=2**62),
        by: str = Query("time", pattern="^(time|arrived)$"),
    ) -> Any:
        first, last = bounds(span, start, end)
        found = overview.series(node_of(identity), first, last, after, by == "arrived")
        return _json({"now": cloud.now_ms(), "from": first, "to": last, **found})

    @app.get("/page/api/nodes/{identity}/data.csv")
    def export(
        identity: str,
        span: str = Query("1h", alias="range"),
        start: int | None = Query(None, alias="from", ge=0, le=times.LATEST),
        end: int | None = Query(None, alias="to", ge=0, le=times.LATEST),
    ) -> Any:
        found = node_of(identity)
        first, last = (0, times.LATEST) if span == "all" else bounds(span, start, end)
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in found.name) or "node"
        return StreamingResponse(
            overview.csv(found, first, last), media_type="text/csv; charset=utf-8", headers=_attached(f"{plain}.csv")
        )

    # -- requests ------------------------------------------------------------------------------------------

    @app.get("/page/api/requests")
    def requests(node: str | None = None, failed: bool = False) -> Any:
        names = {one.id: one.name for one in overview.nodes()}
        rows = [_short(exchange) for exchange in recorder.exchanges(node or None, failed, LISTED)]
        for row in rows:
            row["name"] = names.get(row["node"], row["name"])
        return _json({"now": cloud.now_ms(), "last": recorder.last, "requests": rows})

    @app.get("/page/api/requests/{number}")
    def request(number: int) -> Any:
        exchange = recorder.exchange(number)
        if exchange is None:
            raise HTTPException(404, "This request is not kept any more: only the newest ones are")
        return _json(
            {
                **_short(exchange),
                "request_headers": exchange.request_headers,
                "answer_headers": exchange.answer_headers,
                "request_body": exchange.request_body,
                "answer_body": exchange.answer_body,
            }
        )

    @app.delete("/page/api/requests")
    def forget() -> Any:
        recorder.clear()
        live.touch()
        return _json({})

    # -- changes -------------------------------------------------------------------------------------------

    @app.get("/page/api/parameter-names")
    def parameter_names() -> Any:
        return _json(remote_settings())

    @app.put("/page/api/nodes/{identity}/parameters")
    def set_parameter(identity: str, key: str = Body(), value: str = Body()) -> Any:
        # half a surrogate pair is no text
        key, value = (text.encode(errors="replace").decode() for text in (key.strip(), value))
        if not 0 < len(key) <= PARAMETER_KEY:
            raise HTTPException(400, f"A parameter's name has 1 to {PARAMETER_KEY} characters")
        if len(value.encode()) > PARAMETER_VALUE:
            raise HTTPException(400, f"A parameter's value has at most {PARAMETER_VALUE} bytes")
        cloud.store.set_parameters(cloud.store.device(identity), [{"key": key, "value": value, "sent": False}])
        live.touch(identity)
        return node(identity)

    @app.delete("/page/api/nodes/{identity}/parameters/{parameter}")
    def delete_parameter(identity: str, parameter: str) -> Any:
        cloud.store.delete_parameter(cloud.store.device(identity), parameter)
        live.touch(identity)
        return node(identity)

    @app.put("/page/api/nodes/{identity}/fault")
    def set_fault(
        identity: str,
        kind: str = Body(),
        seconds: float = Body(10),
        times: int | None = Body(None),
        uploads: bool = Body(False),
    ) -> Any:
        if identity != EVERY:
            node_of(identity)
        try:
            fault = Fault(kind, seconds, times, uploads)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        cloud.faults.set(identity, fault)
        live.touch(identity)
        return _json({"fault": _fault(fault)})

    @app.delete("/page/api/nodes/{identity}/fault")
    def clear_fault(identity: str) -> Any:
        cloud.faults.set(identity, None)
        live.touch(identity)
        return _json({"fault": None})

    @app.put("/page/api/certificate")
    def bad_certificate(kind: str = Body(), seconds: float | None = Body(None)) -> Any:
        try:
            cloud.tls.switch(kind, seconds)
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        live.touch()
        return _json({"certificate": certificate()})

    @app.delete("/page/api/certificate")
    def good_certificate() -> Any:
        cloud.tls.switch(None)
        live.touch()
        return _json({"certificate": None})

    @app.put("/page/api/nodes/{identity}/active")
    def set_active(identity: str, active: bool = Body(embed=True)) -> Any:
        cloud.store.edit_device(identity, active=active)
        live.touch(identity)
        return node(identity)

    # -- the stand-in's settings ---------------------------------------------------------------------------

    @app.get("/page/api/settings")
    def settings() -> Any:
        limits = cloud.limits.per_window
        plan = next((plan for plan in PLANS if limits and limits == plan_limits(plan)), "own" if limits else "none")
        return _json(
            {
                "now": cloud.now_ms(),
                "url": cloud.url,
                "ca": str(cloud.ca_file),
                "ntp": cloud.ntp_address,
                "database": str(cloud.db),
                "kept": not cloud.temporary,
                "lan": not lan.is_loopback(cloud.host),
                "plan": plan,
                "plans": {name: plan_limits(name)[DATA_ROUTES[0]] for name in PLANS},
                "limit": limits.get(DATA_ROUTES[0]),
                "window_s": cloud.limits.window_s,
                "every_fault": _fault(cloud.faults.all().get(EVERY)),
                "fault_kinds": [{"kind": k, "name": name, "timed": k in TIMED} for k, name in KINDS.items()],
                "certificate": certificate(),
                "certificate_kinds": [{"kind": k, "name": name} for k, name in BAD_KINDS.items()],
                "devices": len(overview.nodes()),
                "records": sum(overview.counts().values()),
                "size": sum(p.stat().st_size for p in cloud.db.parent.glob(cloud.db.name + "*") if p.is_file()),
                "command": first_command(),
            }
        )

    @app.put("/page/api/settings")
    def change_settings(plan: str = Body(), limit: int | None = Body(None, ge=0, le=1_000_000)) -> Any:
        if plan in PLANS:
            cloud.limits.follow(plan)
        elif plan == "own" and limit is not None:
            cloud.limits.per_window = dict.fromkeys(DATA_ROUTES, limit)
        elif plan == "none":
            cloud.limits.per_window = {}
        else:
            raise HTTPException(400, "Choose a plan, or give a number of requests a minute")
        live.touch()
        return settings()

    @app.get("/page/api/events")
    async def events() -> Response:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(live.events(), media_type="text/event-stream", headers=headers)

    # -- what goes wrong -----------------------------------------------------------------------------------

    async def on_refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return JSONResponse({"detail": error.message}, error.status)

    app.add_exception_handler(Refused, on_refused)
    return app


def _attached(name: str) -> dict[str, str]:
    return {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}


def _json(content: Any) -> JSONResponse:
    return JSONResponse(content, headers={"cache-control": "no-store"})
