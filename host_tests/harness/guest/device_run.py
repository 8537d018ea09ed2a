"""Runs one device test inside MicroPython: `micropython -c "import device_run" RESULT_FD JOB.json`.

Result, written to RESULT_FD: a first line `passed`, `skipped <reason>`, `failed` or `broken` (the file cannot
be imported, or the case is unknown), then for the last two the traceback, then the line `.`.
"""

import gc
import sys

result = open(int(sys.argv[1]), "w")  # noqa: SIM115 - for the life of the process


class TimedOut(BaseException):
    pass


def report(kind, error):
    gc.collect()
    result.write(kind)
    result.write("\n")
    # the exception prints itself straight to the descriptor: nothing is allocated when the heap is full
    sys.print_exception(error, result)


def run(job):
    import pytest

    pytest.wanted = job["test"]
    kind = "broken"
    try:
        module = __import__(job["module"])
        function = getattr(module, job["test"])
        arguments = None
        for id, given in pytest.cases(function):
            if id == job["case"]:
                arguments = given
        if arguments is None:
            raise ValueError(
                f"no case {job['case']!r} here: parametrize gives other values or ids on MicroPython: "
                + ", ".join([str(id) for id, _ in pytest.cases(function)])
            )
        pytest.marks.clear()
        kind = "failed"
        import fixtures

        for name in job["fixtures"]:
            arguments[name] = fixtures.make(name, job["fixtures"][name], job["fds"])
        del fixtures
        gc.collect()
        outcome = function(**arguments)
        if hasattr(outcome, "send"):
            import asyncio

            try:
                asyncio.run(outcome)
            except KeyboardInterrupt:
                # timed out: raise inside the test, so that the traceback says where it was waiting
                outcome.throw(TimedOut("still waiting here"))
                raise
        result.write("passed\n")
    except pytest.Skipped as skipped:
        result.write(f"skipped {skipped}\n")
    except BaseException as error:  # noqa: BLE001 - whatever it is, it goes to the collector
        report(kind, error)
    result.write(".\n")


def main():
    import json

    with open(sys.argv[2]) as file:
        job = json.load(file)
    try:
        run(job)
    except BaseException as error:  # noqa: BLE001
        report("broken", error)
        result.write(".\n")


main()
