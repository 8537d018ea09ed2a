"""wait_for and gather."""

from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any

from . import core


class _TaskOrTime:
    """Wait until the task is done or the time is over; what it is linked to lets a cancel find its way."""

    def __init__(self, task: core.Task, until: int) -> None:
        self.task = task
        self.until = until

    def __await__(self) -> Generator[None, None, None]:
        waiter = core.cur_task

        def done(task: core.Task, outcome: BaseException) -> None:
            if waiter.data is None and waiter in core._task_queue:
                core._task_queue.remove(waiter)
                core._task_queue.push(waiter)

        self.task.callbacks.append(done)
        core._task_queue.push(waiter, self.until)
        try:
            yield
        finally:
            self.task.callbacks.remove(done)


async def wait_for(aw: Any, timeout: float | None, sleep: Callable = core.sleep) -> Any:
    """The result of `aw`; asyncio.TimeoutError after `timeout` seconds, when `aw` is cancelled and over."""
    task = core.promote(aw)
    if timeout is None:
        return await task
    if not task.done():
        try:
            await _TaskOrTime(task, sleep(timeout).until)
        except core.CancelledError:
            task.awaited = True  # how it ends is nobody's business any more
            task.cancel()
            raise
    if task.done():
        return await task
    task.cancel()
    with suppress(BaseException):  # however it ends now, the answer is that time is over
        await task
    raise core.TimeoutError


def wait_for_ms(aw: Any, timeout: int) -> Any:
    return wait_for(aw, timeout, core.sleep_ms)


class _Gathering:
    """Place where a task in gather() waits: nothing to remove it from, so that it can be cancelled."""

    def remove(self, task: core.Task) -> None:
        pass


class _Gather:
    def __init__(self, tasks: list[core.Task], return_exceptions: bool) -> None:
        self.tasks = tasks
        self.return_exceptions = return_exceptions

    def __await__(self) -> Generator[None, None, list]:
        tasks = self.tasks
        waiter = core.cur_task
        place = _Gathering()
        left = len(tasks)
        failure: BaseException | None = None

        def done(task: core.Task, outcome: BaseException) -> None:
            nonlocal left, failure
            if waiter.data is not place:
                return  # already on its way: an earlier failure, or cancelled
            left -= 1
            if not self.return_exceptions and not isinstance(outcome, StopIteration):
                failure = outcome
            elif left:
                return
            core._task_queue.push(waiter)

        for task in tasks:
            if task.done() or task.gathered or task.waiting.peek():
                raise RuntimeError("can't gather")
            task.gathered = True
            task.callbacks.append(done)
        waiter.data = place
        cancelled: core.CancelledError | None = None
        try:
            yield
        except core.CancelledError as error:
            cancelled = error
        for task in tasks:
            if not task.done():
                task.gathered = False
                task.callbacks.remove(done)
                if cancelled is not None:
                    task.cancel()
        if cancelled is not None:
            raise cancelled
        if failure is not None:
            raise failure
        return [t.outcome.value if isinstance(t.outcome, StopIteration) else t.outcome for t in tasks]


async def gather(*aws: Any, return_exceptions: bool = False) -> list:
    """Results in order. The first exception is raised at once; the other tasks go on, as in MicroPython."""
    if not aws:
        return []
    return await _Gather([core.promote(aw) for aw in aws], return_exceptions)
