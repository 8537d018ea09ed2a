"""`tagonode cloud`: the stand-in by itself, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import json as json_module
import signal
import sys
import threading
from pathlib import Path


def _open_to(url: str, page: str | None, kept: bool) -> str:
    """What it means to be reachable from a network, in plain words."""
    root = (page or "").partition("/page/")[0] + "/ca.pem"
    lines = [
        "Open to the network: whoever is in it can reach the API and, with the key in its address, the page, where",
        "readings are seen and parameters changed. The page is plain HTTP: others in the network can read along.",
        "Use it on a bench you trust, and stop it when you are done.",
        f"Boards: url = {url}, and its CA from {root}: tagonode build CONFIG --out DIR --ca FILE.pem",
    ]
    if not kept:
        lines.append("Without --db FILE the CA is another one after the next start, and boards have to be built anew.")
    return "\n".join(lines)


def start_cloud_command(
    port: int = 0,
    db: str | Path | None = None,
    json: bool = False,
    limit: int | None = None,
    host: str = "127.0.0.1",
    page_port: int | None = None,
    plan: str | None = None,
) -> int:
    """Run the stand-in until SIGINT or SIGTERM. Returns the exit status: 0 stopped, 1 could not start.

    With `json` the first line on stdout is one object with url, ca (a PEM file's path), account_token,
    device_token and page (the address to open in a browser). `db` keeps data, CA and tokens. `limit`: requests a
    minute that POST /data and GET /data take each, None for any number. `plan`: takes what that plan of TagoIO's takes,
    of every route, and devices. `host`: where to listen, 0.0.0.0 for every
    network this machine is in. `page_port`: None for the usual one, or any where it is taken. Only the main thread may
    call this.
    """
    ended = threading.Event()
    before = {number: signal.signal(number, lambda *_: ended.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        from tagonode.cloud.limits import DATA_ROUTES, PLAN_DEVICES
        from tagonode.cloud.server import LocalCloud

        try:
            cloud = LocalCloud(port=port, db=db, host=host, page=True, page_port=page_port)
        except (OSError, ValueError) as error:
            print(f"The local TagoIO cannot start: {error}", file=sys.stderr)
            return 1
        with cloud:
            if plan is not None:
                cloud.limits.follow(plan)
                cloud.quotas.devices = PLAN_DEVICES[plan]
            if limit is not None:
                cloud.limits.per_window |= dict.fromkeys(DATA_ROUTES, limit)
            page = cloud.page.address if cloud.page else None
            if cloud.names:
                print(_open_to(cloud.url, page, db is not None), file=sys.stderr)
            if json:
                fields = {
                    "url": cloud.url,
                    "ca": str(cloud.ca_file),
                    "account_token": cloud.account_token,
                    "device_token": cloud.device_token,
                    "page": page,
                }
                print(json_module.dumps(fields), flush=True)
            else:
                print(f"Page           {page}")
                print(f"Local TagoIO   {cloud.url}   (Ctrl-C stops it)")
                print(f"CA             {cloud.ca_file}")
                print(f"NTP            {cloud.ntp_address} (UDP)")
                print(f"Device token   {cloud.device_token}")
                print(f"Account token  {cloud.account_token}")
                print(
                    f"Data           {cloud.db if db else 'thrown away at the end; --db FILE keeps it'}",
                    flush=True,
                )
            while not ended.wait(3600):
                pass
        return 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
