"""What a whole node may cost: budgets.toml, which says for each number where it comes from. Counts only; times are the
bench's. On MicroPython alone: its heap, its littlefs and its TLS are what is measured.
"""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import spool, uplink
from harness import certificates
from tagonode import build
from tagonode.virtual.virtualtime import TimeStopped
from virtualnode import VirtualNode

BUDGETS = tomllib.loads(Path(__file__).with_name("budgets.toml").read_text(encoding="utf-8"))
REMEDY = "make it smaller, or raise the number in host_tests/budgets.toml and say there why"


def exceeded(found: dict[str, float], budgets: dict[str, Any], unit: str, otherwise: float | None = None) -> list[str]:
    """A line for each number beyond its budget; `otherwise` is the budget of what has none."""
    lines = []
    for name, number in sorted(found.items()):
        budget = budgets.get(name, otherwise)
        if budget is None or number > budget:
            lines.append(f"{name}: {number:,.5g} {unit}, the budget is {budget:,}: {REMEDY}")
    return lines


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest) -> Iterator[uplink.Bench]:
    cache = getattr(request.config, "cache", None)
    # compiled device code is shared with the device tests
    with uplink.Bench(cache.mkdir("device") / "micropython" if cache else None) as made:
        yield made


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> build.Build:
    folder = tmp_path_factory.mktemp("budgets")
    (folder / "node.toml").write_text(BUDGETS["node"], encoding="utf-8")
    (folder / "root.pem").write_bytes(certificates.root_pem())
    return build.make(folder / "node.toml", folder / "root.pem")


def test_the_modules(built):
    budgets = BUDGETS["mpy"]
    sizes = dict(built.modules)
    assert exceeded(sizes, budgets["modules"], "bytes of .mpy", budgets["any_other_module"]) == []
    totals = {"resident": built.resident, "flash": sum(sizes.values())}
    assert exceeded(totals, budgets, "bytes of .mpy") == []
    assert sorted(set(budgets["modules"]) - set(sizes)) == [], "no node has these modules any more: take them out"


@pytest.mark.parametrize("kb", BUDGETS["heap"]["sizes"])
def test_a_whole_node_lives_in_this_heap(kb):
    hours = BUDGETS["heap"]["hours"]
    said = ""
    try:
        with VirtualNode(unix=1767322800, heap_kib=kb) as node:
            node.run_until(lambda: node.boots or node.clock() >= hours * 3600, hours * 3600 + 60, 60)
            node.run_until(lambda: node.boots or node.state["queued"] == 0, 400)
            said = node.console(20)
            does = not node.boots and len(node.records()) >= (hours * 60 - 1) * 5
    except (TimeStopped, KeyError):
        does = False
    smallest = BUDGETS["heap"]["sizes"][0]
    assert does, f"{kb} KB of heap are too little, the budget says {smallest} and more will do: {REMEDY}\n{said}"


@pytest.mark.parametrize("port", ["esp32", "rp2"])
def test_wear_of_the_flash(port):
    budgets = BUDGETS["flash"]
    run = spool.measure(port, 5, 1, 40, budgets["records"])
    found = {f"erases_{port}": run["erases"], f"programmed_{port}": run["programmed"] / 1000}
    assert exceeded(found, budgets, "(erases of 1,000 records, bytes of one)") == []


def test_what_a_waiting_record_takes_of_the_flash():
    budgets = BUDGETS["flash"]
    run = spool.measure("rp2", 5, 1, 0, budgets["waiting"])
    assert run["queued"] == budgets["waiting"] and not run["dropped"]
    assert exceeded({"kept": run["kept"] / run["records"]}, budgets, "bytes a record") == []


def test_fifty_samples_a_post(bench):
    node, expert = bench.node(), bench.expert()
    assert node["records"] == expert["records"]
    assert len(node["records"]) == node["acknowledged"] == 1000
    assert node["queued"] == 0
    found = {name: node[name] for name in ("requests", "handshakes", "wire")}
    # few writes: a little more than the bytes fill, as the last segment of a piece is not full
    found["segments"] = node["segments_up"] / expert["segments_up"]
    assert exceeded(found, BUDGETS["uplink"], "(of 1,000 records)") == []


def test_the_heap_does_not_see_how_much_is_waiting(bench):
    runs = [bench.drain(readings) for readings in (10, 1000, 5000)]
    assert [len(run["records"]) for run in runs] == [10, 1000, 5000]
    assert [run["handshakes"] for run in runs] == [1, 1, 1]
    found = {"growth": uplink.spread(runs), "wire": runs[1]["wire"]}
    assert exceeded(found, BUDGETS["uplink"], "(bytes of heap; of 1,000 records)") == []


def test_the_heap_does_not_see_how_large_a_body_is(bench):
    small, large = bench.drain(1000, 2048), bench.drain(1000, 131072)
    assert (small["requests"] > 50, large["requests"]) == (True, 1)
    assert exceeded({"growth": uplink.spread([small, large])}, BUDGETS["uplink"], "bytes of heap") == []


def test_what_is_exceeded_is_told_with_both_numbers():
    told = exceeded({"agent.app": 5234, "wire": 1.0599, "new": 1600}, {"agent.app": 5233, "wire": 1.06}, "bytes", 1500)
    assert told == [
        f"agent.app: 5,234 bytes, the budget is 5,233: {REMEDY}",
        f"new: 1,600 bytes, the budget is 1,500: {REMEDY}",
    ]
