"""asyncio behaves alike on both runtimes: who runs when, what a cancel does, what is raised where.

What stands here was tried on real MicroPython first; the shim follows it.
"""

import asyncio
import sys
import time

import harness
import pytest


async def note(log, what, *delays):
    for delay in delays:
        await asyncio.sleep_ms(delay)
    log.append(what)
    return what


async def fail(error, delay=1):
    await asyncio.sleep_ms(delay)
    raise error


async def test_tasks_start_in_order_and_only_when_awaited_or_yielded_to():
    log = []
    asyncio.create_task(note(log, "a"))
    asyncio.create_task(note(log, "b"))
    assert log == []
    await asyncio.sleep_ms(0)
    assert log == ["a", "b"]


async def test_sleepers_wake_by_time():
    log = []
    tasks = [asyncio.create_task(note(log, delay, delay)) for delay in (30, 10, 20)]
    for task in tasks:
        await task
    assert log == [10, 20, 30]


async def test_sleep_takes_its_time():
    start = time.ticks_ms()
    await asyncio.sleep(0.05)
    assert 50 <= time.ticks_diff(time.ticks_ms(), start)  # noqa: SIM300 - as one reads a range


async def test_result_and_exception_of_a_task_can_be_asked_for_again():
    task = asyncio.create_task(note([], 7))
    assert not task.done()
    assert [await task, await task] == [7, 7]
    assert task.done()
    task = asyncio.create_task(fail(ValueError("no")))
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            await task


async def test_only_coroutines_become_tasks():
    with pytest.raises(TypeError):
        asyncio.create_task(note)


async def test_cancel_a_sleeper():
    log = []

    async def sleeper():
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise
        finally:
            log.append("finally")

    task = asyncio.create_task(sleeper())
    await asyncio.sleep_ms(0)
    assert task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == ["cancelled", "finally"]
    assert not task.cancel()


async def test_cancel_before_the_start():
    log = []
    task = asyncio.create_task(note(log, "ran"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log == []


async def test_cancel_reaches_the_one_waited_for():
    log = []

    async def inner():
        try:
            await asyncio.sleep(100)
        finally:
            log.append("inner")

    async def outer(task):
        try:
            await task
        finally:
            log.append("outer")

    task = asyncio.create_task(inner())
    waiting = asyncio.create_task(outer(task))
    await asyncio.sleep_ms(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert log == ["inner", "outer"]
    assert task.done()


async def test_cancel_can_be_refused():
    async def stubborn():
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            return "stayed"

    task = asyncio.create_task(stubborn())
    await asyncio.sleep_ms(0)
    task.cancel()
    assert await task == "stayed"


async def test_no_task_cancels_itself():
    with pytest.raises(RuntimeError):
        asyncio.current_task().cancel()


async def test_current_task_is_the_one_that_runs():
    seen = []

    async def look():
        seen.append(asyncio.current_task())

    task = asyncio.create_task(look())
    await task
    assert seen == [task]
    assert asyncio.current_task() is not task


async def test_wait_for_in_time_and_too_late():
    assert await asyncio.wait_for(note([], "done", 1), 1) == "done"
    assert await asyncio.wait_for_ms(note([], "done", 1), 1000) == "done"
    assert await asyncio.wait_for(note([], "done", 1), None) == "done"
    log = []
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for_ms(note(log, "late", 200), 10)
    await asyncio.sleep_ms(250)
    assert log == []


async def test_wait_for_passes_on_what_is_raised():
    with pytest.raises(ValueError, match="mine"):
        await asyncio.wait_for(fail(ValueError("mine")), 1)


async def test_wait_for_waits_for_the_end_of_what_it_cancels():
    log = []

    async def slow_to_go():
        try:
            await asyncio.sleep(100)
        finally:
            await asyncio.sleep_ms(30)
            log.append("gone")

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for_ms(slow_to_go(), 10)
    assert log == ["gone"]


async def test_wait_for_cancelled_from_outside():
    log = []

    async def inner():
        try:
            await asyncio.sleep(100)
        finally:
            log.append("inner")

    task = asyncio.create_task(asyncio.wait_for(inner(), 50))
    await asyncio.sleep_ms(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep_ms(5)
    assert log == ["inner"]


async def test_wait_for_on_a_task_that_others_wait_for():
    log = []
    task = asyncio.create_task(note(log, "once", 20))

    async def other():
        log.append(await task)

    asyncio.create_task(other())
    await asyncio.sleep_ms(0)
    assert await asyncio.wait_for(task, 1) == "once"
    await asyncio.sleep_ms(1)
    assert log == ["once", "once"]


async def test_gather_in_order_whoever_is_first():
    assert await asyncio.gather(note([], 1, 20), note([], 2, 1), note([], 3)) == [1, 2, 3]
    assert await asyncio.gather() == []


async def test_gather_raises_the_first_and_lets_the_others_go_on():
    log = []
    told = asyncio.Event()

    async def other():
        await told.wait()
        log.append("other")

    with pytest.raises(ValueError, match="first"):
        await asyncio.gather(other(), fail(ValueError("first"), 5), fail(KeyError("second"), 15))
    assert log == []
    told.set()
    await asyncio.sleep_ms(20)
    assert log == ["other"]


async def test_gather_with_exceptions_as_results():
    error = ValueError("kept")
    assert await asyncio.gather(note([], 1), fail(error), return_exceptions=True) == [1, error]


async def test_gather_cancelled_cancels_all():
    log = []

    async def inner(name):
        try:
            await asyncio.sleep(100)
        finally:
            log.append(name)

    task = asyncio.create_task(asyncio.gather(inner("a"), inner("b")))
    await asyncio.sleep_ms(5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep_ms(5)
    assert log == ["a", "b"]


async def test_event_wakes_all_and_stays_set():
    log = []
    event = asyncio.Event()

    async def waiter(name):
        await event.wait()
        log.append(name)

    for name in "ab":
        asyncio.create_task(waiter(name))
    await asyncio.sleep_ms(0)
    event.set()
    assert event.is_set()
    assert log == []
    await asyncio.sleep_ms(0)
    assert log == ["a", "b"]
    assert await event.wait()
    event.clear()
    assert not event.is_set()


async def test_event_wait_can_be_cancelled():
    event = asyncio.Event()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for_ms(event.wait(), 5)
    event.set()
    assert await asyncio.wait_for_ms(event.wait(), 5)


async def test_lock_is_taken_in_turn():
    log = []
    lock = asyncio.Lock()

    async def worker(name):
        async with lock:
            log.append(name)
            await asyncio.sleep_ms(2)
            log.append(name)

    assert not lock.locked()
    await asyncio.gather(worker("a"), worker("b"), worker("c"))
    assert log == ["a", "a", "b", "b", "c", "c"]
    assert not lock.locked()
    with pytest.raises(RuntimeError):
        lock.release()


async def test_lock_survives_a_cancelled_waiter():
    lock = asyncio.Lock()
    await lock.acquire()
    waiting = asyncio.create_task(lock.acquire())
    await asyncio.sleep_ms(0)
    waiting.cancel()
    await asyncio.sleep_ms(0)
    lock.release()
    await asyncio.wait_for_ms(lock.acquire(), 100)
    # and one that is cancelled when it has just been given the lock
    second = asyncio.create_task(lock.acquire())
    third = asyncio.create_task(lock.acquire())
    await asyncio.sleep_ms(0)
    lock.release()
    second.cancel()
    assert await asyncio.wait_for_ms(third, 100)


async def test_thread_safe_flag_clears_itself():
    flag = asyncio.ThreadSafeFlag()
    flag.set()
    await flag.wait()
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for_ms(flag.wait(), 5)

    async def setter():
        await asyncio.sleep_ms(5)
        flag.set()

    asyncio.create_task(setter())
    await asyncio.wait_for_ms(flag.wait(), 1000)


async def test_exception_of_a_task_nobody_awaits_goes_to_the_handler():
    seen = []
    loop = asyncio.get_event_loop()
    loop.set_exception_handler(lambda loop, context: seen.append(context))
    try:
        task = asyncio.create_task(fail(ValueError("unseen")))
        for _ in range(100):  # a busy PC may be late with it
            if not seen:
                await asyncio.sleep_ms(20)
    finally:
        loop.set_exception_handler(None)
    (context,) = seen
    assert context["future"] is task
    assert str(context["exception"]) == "unseen"


async def test_exception_of_a_task_awaited_later_is_still_raised():
    loop = asyncio.get_event_loop()
    loop.set_exception_handler(lambda loop, context: None)
    try:
        task = asyncio.create_task(fail(ValueError("late")))
        await asyncio.sleep_ms(20)
        with pytest.raises(ValueError, match="late"):
            await task
    finally:
        loop.set_exception_handler(None)


async def test_what_boards_lack_is_lacking():
    for name in ("TaskGroup", "timeout", "shield", "wait", "Queue", "Semaphore", "Condition", "IncompleteReadError"):
        assert not hasattr(asyncio, name), name


def test_a_new_event_loop_forgets_what_was_left():
    log = []

    async def leave():
        asyncio.create_task(note(log, "left behind", 5))

    async def wait():
        await asyncio.sleep_ms(30)

    asyncio.run(leave())
    asyncio.new_event_loop()
    asyncio.run(wait())
    assert log == []


def test_what_was_left_runs_in_the_next_run():
    log = []

    async def leave():
        asyncio.create_task(note(log, "left behind", 5))

    async def wait():
        await asyncio.sleep_ms(30)

    asyncio.run(leave())
    asyncio.run(wait())
    assert log == ["left behind"]


def test_run_returns_and_raises():
    assert asyncio.run(note([], 5)) == 5
    with pytest.raises(ValueError, match="out"):
        asyncio.run(fail(ValueError("out")))


@harness.only("cpython", why="the wheel's ticks wrap at 2**62, long after the test")
def test_ticks_wrap_during_each_test():
    before = time.ticks_ms()
    assert before < 1 << 30
    time.sleep_ms(25)
    after = time.ticks_ms()
    assert after < before
    assert time.ticks_diff(after, before) >= 25
    with pytest.raises(OverflowError):
        time.ticks_add(0, 1 << 29)


def test_print_exception_shows_type_and_line(tmp):
    with open(tmp + "/log", "w") as log:
        try:
            raise ValueError("printed")
        except ValueError as error:
            sys.print_exception(error, log)
    with open(tmp + "/log") as log:
        text = log.read()
    assert text.startswith("Traceback")
    assert "test_print_exception_shows_type_and_line" in text
    assert text.rstrip().endswith("ValueError: printed")
