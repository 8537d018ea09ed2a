"""The loop: a time-ordered queue of tasks, and the queue of tasks that wait for sockets.

A task that waits has put itself somewhere (time queue, I/O queue, an event's waiters) before it yields; the
loop knows nothing of what it waits for. `Task.data` links to that place, whose `remove(task)` serves
cancellation.
"""

import sys
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from .. import mp_select as select
from ..mp_time import ticks_add, ticks_diff
from ..mp_time import ticks_ms as ticks


class CancelledError(BaseException):
    pass


class TimeoutError(Exception):
    pass


class TaskQueue:
    """Tasks in order of their time, those of one time in order of arrival."""

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def peek(self) -> "Task | None":
        return self.tasks[0] if self.tasks else None

    def push(self, task: "Task", key: int | None = None) -> None:
        task.data = None
        task.ph_key = ticks() if key is None else key
        place = len(self.tasks)
        while place and ticks_diff(self.tasks[place - 1].ph_key, task.ph_key) > 0:
            place -= 1
        self.tasks.insert(place, task)

    def pop(self) -> "Task":
        return self.tasks.pop(0)

    def remove(self, task: "Task") -> None:
        self.tasks.remove(task)

    def __contains__(self, task: "Task") -> bool:
        return task in self.tasks


class Task:
    """A coroutine on its way. `await task` gives its result or raises its exception, any number of times."""

    def __init__(self, coro: Coroutine, globals: dict | None = None) -> None:
        self.coro = coro
        self.data: Any = None  # where it waits, or the exception to raise in it next
        self.ph_key = 0
        self.finished = False
        self.awaited = False  # somebody has seen how it ended
        self.outcome: BaseException | None = None  # StopIteration with the result, or what it raised
        self.waiting = TaskQueue()
        self.gathered = False
        self.callbacks: list[Callable[[Task, BaseException], None]] = []

    def __await__(self) -> Generator[None, None, Any]:
        if not self.finished:
            if self.gathered:
                raise RuntimeError("can't wait")
            self.waiting.push(cur_task)
            cur_task.data = self
            yield
        self.awaited = True
        if isinstance(self.outcome, StopIteration):
            return self.outcome.value
        assert self.outcome is not None
        raise self.outcome

    def remove(self, task: "Task") -> None:
        self.waiting.remove(task)

    def done(self) -> bool:
        return self.finished

    def cancel(self) -> bool:
        if self.finished:
            return False
        if self is cur_task:
            raise RuntimeError("can't cancel self")
        task = self
        while isinstance(task.data, Task):  # the one it waits for is cancelled in its place
            task = task.data
        if hasattr(task.data, "remove"):
            task.data.remove(task)
            _task_queue.push(task)
        elif ticks_diff(task.ph_key, ticks()) > 0:
            _task_queue.remove(task)
            _task_queue.push(task)
        task.data = CancelledError()
        return True

    def _finish(self, outcome: BaseException, main: bool) -> None:
        self.finished = True
        self.outcome = outcome
        self.data = None
        if main:
            self.awaited = True
        for callback in self.callbacks:
            self.awaited = True
            callback(self, outcome)
        while self.waiting.peek():
            self.awaited = True
            _task_queue.push(self.waiting.pop())
        if not self.awaited and not isinstance(outcome, (StopIteration, CancelledError)):
            _task_queue.push(self)  # whoever runs before it may still await it


class Sleep:
    """Awaitable of sleep_ms: the time counts from the call, as in MicroPython."""

    def __init__(self, until: int) -> None:
        self.until = until

    def __await__(self) -> Generator[None, None, None]:
        _task_queue.push(cur_task, self.until)
        yield


def sleep_ms(t: int) -> Sleep:
    return Sleep(ticks_add(ticks(), max(0, t)))


def sleep(t: float) -> Sleep:
    return sleep_ms(int(t * 1000))


_READ, _WRITE = 0, 1
_EVENTS = (select.POLLIN, select.POLLOUT)


class IOQueue:
    """Tasks waiting for streams to become readable or writable, one a direction and stream."""

    def __init__(self) -> None:
        self.poller = select.poll()
        self.map: dict[int, list] = {}  # id of the stream -> [reader, writer, stream]

    def _enqueue(self, stream: Any, direction: int) -> None:
        entry = self.map.get(id(stream))
        if entry is None:
            entry = self.map[id(stream)] = [None, None, stream]
            entry[direction] = cur_task
            self.poller.register(stream, _EVENTS[direction])
        else:
            if entry[direction] is not None:
                raise AssertionError("two tasks wait for one stream")
            entry[direction] = cur_task
            self.poller.modify(stream, self._mask(entry))
        cur_task.data = self

    @staticmethod
    def _mask(entry: list) -> int:
        return (entry[_READ] is not None and select.POLLIN) | (entry[_WRITE] is not None and select.POLLOUT)

    def queue_read(self, stream: Any) -> None:
        self._enqueue(stream, _READ)

    def queue_write(self, stream: Any) -> None:
        self._enqueue(stream, _WRITE)

    def remove(self, task: Task) -> None:
        # as in MicroPython the whole stream is dropped, with the other direction's task if there is one
        for entry in [entry for entry in self.map.values() if task in entry[:2]]:
            self._dequeue(entry[2])

    def _dequeue(self, stream: Any) -> None:
        del self.map[id(stream)]
        self.poller.unregister(stream)

    def wait_io_event(self, dt: int) -> None:
        """Wait up to `dt` ms (-1: for ever) and schedule the tasks whose streams are ready."""
        for stream, events in self.poller.ipoll(dt):
            entry = self.map[id(stream)]
            if events & ~select.POLLOUT and entry[_READ] is not None:
                _task_queue.push(entry[_READ])
                entry[_READ] = None
            if events & ~select.POLLIN and entry[_WRITE] is not None:
                _task_queue.push(entry[_WRITE])
                entry[_WRITE] = None
            if entry[_READ] is None and entry[_WRITE] is None:
                self._dequeue(stream)
            else:
                self.poller.modify(stream, self._mask(entry))


def create_task(coro: Coroutine) -> Task:
    if not hasattr(coro, "send"):
        raise TypeError("coroutine expected")
    task = Task(coro)
    _task_queue.push(task)
    return task


def promote(awaitable: Any) -> Task:
    return awaitable if isinstance(awaitable, Task) else create_task(awaitable)


def run_until_complete(main_task: Task | None = None) -> Any:
    """Run tasks until `main_task` is done; without one until none is left."""
    global cur_task
    while True:
        while True:
            head = _task_queue.peek()
            if head is not None:
                wait = max(0, ticks_diff(head.ph_key, ticks()))
            elif _io_queue.map:
                wait = -1
            elif main_task is None or main_task.finished:
                cur_task = None
                return None
            else:
                wait = 3  # nothing can wake it any more: as in MicroPython it waits for ever
            _io_queue.wait_io_event(wait)
            if wait == 0:
                break
        task = cur_task = _task_queue.pop()
        if task.finished:
            if not task.awaited:
                task.awaited = True
                Loop.call_exception_handler(
                    {"message": "Task exception wasn't retrieved", "exception": task.outcome, "future": task}
                )
            continue
        error, task.data = task.data, None
        main = task is main_task
        try:
            if error is None:
                task.coro.send(None)
            else:
                task.coro.throw(error)
        except StopIteration as stop:
            cur_task = None if main else cur_task
            task._finish(stop, main)
            if main:
                return stop.value
        except (CancelledError, Exception) as raised:
            cur_task = None if main else cur_task
            task._finish(raised, main)
            if main:
                raise


def run(coro: Coroutine) -> Any:
    return run_until_complete(create_task(coro))


def current_task() -> Task:
    if cur_task is None:
        raise RuntimeError("no running event loop")
    return cur_task


class Loop:
    """The one loop; methods are called on the class, as in MicroPython."""

    _exc_handler: Callable | None = None
    create_task = staticmethod(create_task)

    @staticmethod
    def run_until_complete(awaitable: Any) -> Any:
        return run_until_complete(promote(awaitable))

    @staticmethod
    def run_forever() -> None:
        Loop._stop_task = Task(_nothing())
        run_until_complete(Loop._stop_task)

    @staticmethod
    def stop() -> None:
        if Loop._stop_task is not None:
            _task_queue.push(Loop._stop_task)
            Loop._stop_task = None

    _stop_task: Task | None = None

    @staticmethod
    def close() -> None:
        pass

    @staticmethod
    def set_exception_handler(handler: Callable | None) -> None:
        Loop._exc_handler = handler

    @staticmethod
    def get_exception_handler() -> Callable | None:
        return Loop._exc_handler

    @staticmethod
    def default_exception_handler(loop: Any, context: dict) -> None:
        print(context["message"], file=sys.stderr)
        print("future:", context["future"], "coro=", context["future"].coro, file=sys.stderr)
        sys.print_exception(context["exception"], sys.stderr)  # type: ignore[attr-defined]

    @staticmethod
    def call_exception_handler(context: dict) -> None:
        (Loop._exc_handler or Loop.default_exception_handler)(Loop, context)


async def _nothing() -> None:
    pass


def get_event_loop(runq_len: int = 0, waitq_len: int = 0) -> type[Loop]:
    return Loop


def new_event_loop() -> type[Loop]:
    """Forget every task and every wait: what an earlier run() left behind does not run in the next."""
    global _task_queue, _io_queue, cur_task
    _task_queue = TaskQueue()
    _io_queue = IOQueue()
    cur_task = None
    return Loop


cur_task: Any = None
_task_queue: TaskQueue
_io_queue: IOQueue
new_event_loop()
