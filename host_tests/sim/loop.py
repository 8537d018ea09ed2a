"""MicroPython's asyncio in virtual time: nothing runs between two wake-ups, so that they cost all that a day costs.

`Time` is the world's: what it is to do at which moment, and the watchdog. `Loop` is one boot's: its tasks, and the
modules `asyncio` and `asyncio.core` that the agent imports. Who runs next, what a cancelled wait does and what a
time-out does are MicroPython's (host_tests/harness/shim/asyncio_ is the slow and simple one to compare it with).

Times are in ms of the board's crystal since the world began.
"""

from collections.abc import Callable, Generator
from contextlib import suppress
from heapq import heappop, heappush
from types import SimpleNamespace
from typing import Any

NEVER = 1 << 60


class Ended(BaseException):
    """The boot ends here and now: nothing of the agent catches it. cause: one of the words of machine.py."""

    cause = ""

    def __init__(self, cause: str, sleep_ms: int = 0):
        super().__init__(cause)
        self.cause = cause
        self.sleep_ms = sleep_ms


class Time:
    """`now`; `bite`: when the watchdog bites, NEVER while there is none."""

    def __init__(self) -> None:
        self.now = 0
        self.bite = NEVER
        self._events: list[tuple[int, int, Callable[[], object]]] = []
        self._count = 0

    def at(self, ms: int, do: Callable[[], object]) -> None:
        """Call `do` at that moment, before any task that wakes then."""
        self._count += 1
        heappush(self._events, (ms, self._count, do))

    def spend(self, ms: int) -> None:
        """The processor is busy, or off, for so long: the world goes on, no task does."""
        end = self.now + ms
        self._until(end)

    def sleep(self, ms: int) -> None:
        """The board is off, its watchdog too."""
        self.bite = NEVER
        self._until(self.now + ms)

    def _until(self, end: int) -> None:
        events = self._events
        while True:
            first = events[0][0] if events else NEVER
            if self.bite <= min(first, end):
                self.now = max(self.now, self.bite)
                raise Ended("watchdog")
            if first > end:
                break
            self.now = max(self.now, first)
            heappop(events)[2]()
        self.now = max(self.now, end)


class CancelledError(BaseException):
    pass


class TimeoutError(Exception):
    pass


class Task:
    __slots__ = ("awaited", "callback", "coro", "data", "finished", "loop", "outcome", "seq", "waiting")

    def __init__(self, coro: Any, loop: "Loop") -> None:
        self.coro = coro
        self.loop = loop
        self.data: Any = None  # where it waits (has remove()), or the exception to be raised in it next
        self.seq = 0  # of its place in the queue; 0: it has none
        self.finished = False
        self.awaited = False
        self.outcome: BaseException | None = None
        self.waiting: list[Task] = []
        self.callback: Callable[[], None] | None = None

    def __await__(self) -> Generator[None, None, Any]:
        if not self.finished:
            current = self.loop.current
            self.waiting.append(current)
            current.data = self
            yield
        self.awaited = True
        outcome = self.outcome
        if isinstance(outcome, StopIteration):
            return outcome.value
        assert outcome is not None
        raise outcome

    def remove(self, task: "Task") -> None:
        self.waiting.remove(task)

    def done(self) -> bool:
        return self.finished

    def cancel(self) -> bool:
        if self.finished:
            return False
        loop = self.loop
        if self is loop.current:
            raise RuntimeError("can't cancel self")
        task = self
        while isinstance(task.data, Task):
            task = task.data
        if hasattr(task.data, "remove"):
            task.data.remove(task)
        loop.push(task)
        task.data = CancelledError()
        return True

    def finish(self, outcome: BaseException) -> None:
        self.finished = True
        self.outcome = outcome
        self.data = None
        loop = self.loop
        loop.tasks.discard(self)
        if self.callback is not None:
            self.awaited = True
            self.callback()
        waiting = self.waiting
        if waiting:
            self.awaited = True
            for task in waiting:
                loop.push(task)
            waiting.clear()


class _Sleep:
    __slots__ = ("loop", "until")

    def __init__(self, loop: "Loop", until: int) -> None:
        self.loop = loop
        self.until = until

    def __await__(self) -> Generator[None, None, None]:
        loop = self.loop
        loop.push(loop.current, self.until)
        yield


class _In:
    """Wait in a list until somebody moves the task on."""

    __slots__ = ("loop", "place")

    def __init__(self, loop: "Loop", place: list) -> None:
        self.loop = loop
        self.place = place

    def __await__(self) -> Generator[None, None, None]:
        task = self.loop.current
        self.place.append(task)
        task.data = self.place
        yield


class _WaitFor:
    __slots__ = ("awaitable", "loop", "ms")

    def __init__(self, loop: "Loop", awaitable: Any, ms: int) -> None:
        self.loop = loop
        self.awaitable = awaitable
        self.ms = ms

    def __await__(self) -> Generator[None, None, Any]:
        loop = self.loop
        awaitable = self.awaitable
        task = awaitable if isinstance(awaitable, Task) else loop.create_task(awaitable)
        if not task.finished:
            waiter = loop.current

            def done() -> None:
                # not when it is cancelled, or its time is over: then it is on its way already
                if waiter.data is None and waiter.seq:
                    loop.push(waiter)

            task.callback = done
            loop.push(waiter, loop.time.now + max(self.ms, 0))
            try:
                yield
            except CancelledError:
                task.awaited = True
                task.callback = None
                task.cancel()
                raise
            task.callback = None
        if task.finished:
            return (yield from task.__await__())
        task.cancel()
        try:
            yield from task.__await__()
        except CancelledError as error:
            if error is not task.outcome:  # it is this wait that was cancelled
                raise
        except Exception:  # noqa: BLE001 - however it ends now, the answer is that time is over
            pass
        raise TimeoutError


class IoQueue:
    """Tasks that wait for sockets. A socket has `readable()`, `writable()`, and `waiters`, a list of two."""

    def __init__(self, loop: "Loop") -> None:
        self.loop = loop

    def _queue(self, sock: Any, direction: int) -> None:
        task = self.loop.current
        if sock.waiters[direction] is not None:
            raise AssertionError("two tasks wait for one socket")
        if sock.writable() if direction else sock.readable():
            self.loop.push(task)
            return
        sock.waiters[direction] = task
        task.data = sock

    def queue_read(self, sock: Any) -> None:
        self._queue(sock, 0)

    def queue_write(self, sock: Any) -> None:
        self._queue(sock, 1)


class Loop:
    """The tasks of one boot. inject: exceptions to be raised in tasks as soon as they run: a function of the task, or
    None; it gives the exception or None."""

    def __init__(self, time: Time, said: Callable[[str, BaseException | None], None]):
        self.time = time
        self.tasks: set[Task] = set()
        self.inject: Callable[[Task], BaseException | None] | None = None
        self.current: Any = None
        self.main: Any = None
        self.idle: Callable[[Loop, Task], bool] | None = None
        self.passed: tuple[int, int, int] | None = None  # ms: the wait that is asked for at `now` goes on for so long
        self.steps = 0
        self._said = said
        self._heap: list[tuple[int, int, Task]] = []
        self._count = 0
        self.asyncio = self._module()

    def push(self, task: Task, when: int | None = None) -> None:
        task.data = None
        self._count = task.seq = count = self._count + 1
        heappush(self._heap, (self.time.now if when is None else when, count, task))

    def create_task(self, coro: Any) -> Task:
        if not hasattr(coro, "send"):
            raise TypeError("coroutine expected")
        task = Task(coro, self)
        self.tasks.add(task)
        self.push(task)
        return task

    def lose(self, task: Task) -> None:
        """Nobody wakes it any more, whatever it waits for."""
        if hasattr(task.data, "remove"):
            task.data.remove(task)
        task.data = None
        task.seq = 0

    def wake(self, sock: Any, direction: int) -> None:
        task = sock.waiters[direction]
        if task is not None:
            sock.waiters[direction] = None
            self.push(task)

    def run(self, coro: Any) -> Any:
        """Until it ends. Raises what it raises, and Ended."""
        main = self.main = self.create_task(coro)
        heap = self._heap
        time = self.time
        events = time._events
        while True:
            while heap and heap[0][2].seq != heap[0][1]:
                heappop(heap)
            if heap:
                when = heap[0][0]
            elif events:
                when = NEVER
            else:
                raise Ended("nothing is left to be done")
            if when > time.now or events and events[0][0] <= when:
                first = events[0][0] if events else NEVER
                if first <= when:
                    when = first
                if when >= time.bite:
                    time.now = max(time.now, time.bite)
                    raise Ended("watchdog")
                if when > time.now:
                    time.now = when
                if first <= when:
                    heappop(events)[2]()
                    continue
            task = heappop(heap)[2]
            task.seq = 0
            if task is main and self.idle is not None and self.idle(self, main):
                continue
            if task.finished:
                continue
            self.current = task
            self.steps += 1
            error, task.data = task.data, None
            if self.inject is not None and error is None:
                error = self.inject(task)
            try:
                if error is None:
                    task.coro.send(None)
                else:
                    task.coro.throw(error)
            except StopIteration as stop:
                self.current = None
                task.finish(stop)
                if task is main:
                    return stop.value
            except (CancelledError, Exception) as raised:
                self.current = None
                task.finish(raised)
                if task is main:
                    raise
                if not task.awaited and not isinstance(raised, CancelledError):
                    self._said("Task exception wasn't retrieved", raised)

    def end(self) -> None:
        """The board is off: what its tasks hold is let go."""
        for task in list(self.tasks):
            with suppress(Exception, CancelledError, Ended):  # nobody is there any more to hear of it
                task.coro.close()
            task.finished = True  # an answer that is still on its way may wake it in the next boot
        self.tasks.clear()
        self._heap.clear()
        self.inject = self.passed = None

    def _module(self) -> SimpleNamespace:
        loop = self
        time = self.time

        class Event:
            __slots__ = ("state", "waiting")

            def __init__(self) -> None:
                self.state = False
                self.waiting: list[Task] = []

            def is_set(self) -> bool:
                return self.state

            def set(self) -> None:
                self.state = True
                if self.waiting:
                    for task in self.waiting:
                        loop.push(task)
                    self.waiting.clear()

            def clear(self) -> None:
                self.state = False

            async def wait(self) -> bool:
                if not self.state:
                    await _In(loop, self.waiting)
                return True

        class Lock:
            def __init__(self) -> None:
                self.state: Any = 0
                self.waiting: list[Task] = []

            def locked(self) -> bool:
                return self.state == 1

            def release(self) -> None:
                if self.state != 1:
                    raise RuntimeError("Lock not acquired")
                if self.waiting:
                    self.state = self.waiting.pop(0)
                    loop.push(self.state)
                else:
                    self.state = 0

            async def acquire(self) -> bool:
                if self.state != 0:
                    try:
                        await _In(loop, self.waiting)
                    except CancelledError:
                        if self.state is loop.current:
                            self.state = 1
                            self.release()
                        raise
                self.state = 1
                return True

            async def __aenter__(self) -> bool:
                return await self.acquire()

            async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
                self.release()

        def sleep_ms(ms: int) -> _Sleep:
            if ms >= 1 << 29:
                raise OverflowError("ticks interval overflow")
            if loop.passed is not None:
                at, asked, longer = loop.passed
                loop.passed = None
                if at == time.now and asked == ms:
                    ms = longer
            return _Sleep(loop, time.now + ms if ms > 0 else time.now)

        def wait_for_ms(awaitable: Any, ms: int) -> _WaitFor:
            return _WaitFor(loop, awaitable, ms)

        return SimpleNamespace(
            CancelledError=CancelledError,
            Event=Event,
            Lock=Lock,
            TimeoutError=TimeoutError,
            core=SimpleNamespace(_io_queue=IoQueue(loop)),
            create_task=self.create_task,
            current_task=lambda: loop.current,
            run=self.run,
            sleep=lambda seconds: sleep_ms(int(seconds * 1000)),
            sleep_ms=sleep_ms,
            wait_for=lambda awaitable, seconds: wait_for_ms(awaitable, int(seconds * 1000)),
            wait_for_ms=wait_for_ms,
        )
