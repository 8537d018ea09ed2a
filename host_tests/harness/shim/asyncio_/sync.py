"""Event, Lock and ThreadSafeFlag."""

from collections.abc import Generator
from typing import Any

from . import core


class _In:
    """Wait in a TaskQueue until somebody moves the task on."""

    def __init__(self, queue: core.TaskQueue) -> None:
        self.queue = queue

    def __await__(self) -> Generator[None, None, None]:
        self.queue.push(core.cur_task)
        core.cur_task.data = self.queue
        yield


class Event:
    def __init__(self) -> None:
        self.state = False
        self.waiting = core.TaskQueue()

    def is_set(self) -> bool:
        return self.state

    def set(self) -> None:
        while self.waiting.peek():
            core._task_queue.push(self.waiting.pop())
        self.state = True

    def clear(self) -> None:
        self.state = False

    async def wait(self) -> bool:
        if not self.state:
            await _In(self.waiting)
        return True


class Lock:
    """state: 0 free, 1 held, or the task that has been woken to take it."""

    def __init__(self) -> None:
        self.state: Any = 0
        self.waiting = core.TaskQueue()

    def locked(self) -> bool:
        return self.state == 1

    def release(self) -> None:
        if self.state != 1:
            raise RuntimeError("Lock not acquired")
        if self.waiting.peek():
            self.state = self.waiting.pop()
            core._task_queue.push(self.state)
        else:
            self.state = 0

    async def acquire(self) -> bool:
        if self.state != 0:
            try:
                await _In(self.waiting)
            except core.CancelledError:
                if self.state is core.cur_task:
                    self.state = 1
                    self.release()
                raise
        self.state = 1
        return True

    async def __aenter__(self) -> bool:
        return await self.acquire()

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self.release()


class _Readable:
    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __await__(self) -> Generator[None, None, None]:
        core._io_queue.queue_read(self.stream)
        yield


class ThreadSafeFlag:
    """Set from another thread or an interrupt; clears itself when a wait ends. Polled like a stream."""

    def __init__(self) -> None:
        self.state = 0

    def ioctl(self, request: int, flags: int) -> int:
        return self.state * flags if request == 3 else -1

    def set(self) -> None:
        self.state = 1

    def clear(self) -> None:
        self.state = 0

    async def wait(self) -> None:
        if not self.state:
            await _Readable(self)
        self.state = 0
