"""The benches' arithmetic: what is read out of callgrind's files, and what is made of it."""

import pytest
from bench import growth, hotpath, startup
from bench.uplink_readings import CHANNELS, MANY, readings

CALLGRIND = """\
version: 1
events: Ir
fl=(1) vm.c
fn=(1) mp_execute_bytecode
10 100
cfn=(2) mp_vfs_blockdev_read_ext
calls=3 20
11 700
+2 50
fn=(3) gc_alloc'2
* 40
-3 2
cfn=(1)
calls=1 10
5 150
fn=(2)
20 30
cfn=(1)
calls=3 10
21 670
fn=(4) free@@GLIBC_2.2.5
1 8
totals: 900
"""


def test_what_functions_of_the_interpreter_cost_themselves():
    found = hotpath.interpreters(CALLGRIND)
    assert found == {"mp_execute_bytecode": 150, "gc_alloc": 42, "mp_vfs_blockdev_read_ext": 30, "free": 8}


def test_what_the_flash_costs_is_taken_out_of_a_start(tmp_path):
    (tmp_path / "spent").write_text(CALLGRIND)
    assert startup.cost(tmp_path / "spent") == 900 - 700
    (tmp_path / "spent").write_text(CALLGRIND.replace("totals: 900\n", ""))
    with pytest.raises(RuntimeError, match="callgrind left no total"):
        startup.cost(tmp_path / "spent")


def marks():
    """A trace, and what was spent before each of its marks: 2 a mark inside, 3 outside, and calls of nothing."""
    trace: list[str] = []
    spent: list[int] = []

    def call(name, cost, *inner):
        trace.append(name)
        own = cost + 2
        for each in inner:
            spent.append(own)
            call(*each)
            own = 3
        spent.append(own)
        trace.append("")

    call("calls of nothing, marked", 50, *[("nothing", 0)] * 5)
    spent.append(0)
    call("calls of nothing", 50)
    spent.append(0)
    call("outer", 1000, ("inner", 100, ("innermost", 10)), ("inner", 100))
    spent.append(0)
    return trace, iter([12345, *spent])


def test_marks_tell_what_each_function_costs_without_the_marks():
    found = hotpath.functions(*marks())
    assert {name: (found[name].calls, found[name].own) for name in ("outer", "inner", "innermost")} == {
        "outer": (1, 1000),
        "inner": (2, 200),
        "innermost": (1, 10),
    }
    assert [found[name].all for name in ("outer", "inner", "innermost")] == [1210, 210, 10]


def test_a_slope_is_what_one_more_costs():
    assert growth.slope([1, 2, 5, 10], [13, 16, 25, 40]) == pytest.approx(3)
    assert growth.slope([10, 1000], [7, 7]) == 0


def test_readings_are_the_same_every_time_whatever_else_uses_random():
    assert list(readings(50)) == list(readings(50))
    assert {len(values) for _, values in readings(3, 40)} == {40} and len(MANY) == 40
    moments = [moment for moment, _ in readings(50)]
    assert moments == sorted(moments)
    for values in zip(*(values for _, values in readings(50)), strict=True):
        assert len(set(values)) > 3  # nothing stands still
    for (_, _, decimals), first in zip(CHANNELS, next(readings(1))[1], strict=True):
        assert first == round(first, decimals)


def test_twelve_sensors_have_names_of_their_own():
    wired = growth.wired(12)
    names = [channel["variable"] for sensor in wired for channel in sensor["channels"].values()]
    assert len(wired) == 12 and len(names) == len(set(names))
