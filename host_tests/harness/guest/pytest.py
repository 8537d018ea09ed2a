"""What device tests may use of pytest, small enough for a board, the same file on both runtimes.

parametrize, param, raises, approx, skip, fail, mark.skip, mark.skipif. Fixtures are asked for by argument
name; they are listed in host_tests/README.md.
"""

marks = []  # (function, kind, data); functions have no attributes on MicroPython
wanted = None  # name of the only test whose marks are worth keeping; None keeps all


def add_mark(function, kind, data):
    if wanted is None or function.__name__ == wanted:
        marks.append((function, kind, data))
    return function


class Skipped(BaseException):
    pass


class Failed(AssertionError):
    pass


def skip(reason=""):
    raise Skipped(reason)


def fail(reason=""):
    raise Failed(reason)


class _Param:
    def __init__(self, values, id):
        self.values = values
        self.id = id


def param(*values, id=None):
    """One case of parametrize with an id of its own."""
    return _Param(values, id)


class _Mark:
    def parametrize(self, names, values, ids=None):
        """Run the test once for each of `values`; `names` is "a" or "a, b" or a tuple of names."""
        if isinstance(names, str):
            names = tuple(name.strip() for name in names.split(",") if name.strip())
        names = tuple(names)
        cases = []
        taken = set()
        for index, value in enumerate(values):
            id = None
            if isinstance(value, _Param):
                id, value = value.id, value.values
            elif len(names) == 1:
                value = (value,)
            if len(value) != len(names):
                raise ValueError(f"parametrize {names!r}: {value!r} has not {len(names)} values")
            if ids is not None and id is None:
                id = ids(value[0]) if callable(ids) else ids[index]
            if id is None:
                id = "-".join([_text(name, v, index) for name, v in zip(names, value)])  # noqa: B905
            if id in taken:
                id = f"{id}_{index}"
            taken.add(id)
            cases.append((id, tuple(value)))
        return lambda function: add_mark(function, "parametrize", (names, cases))

    def skip(self, reason=""):
        return lambda function: add_mark(function, "skip", reason)

    def skipif(self, condition, reason=""):
        return lambda function: add_mark(function, "skip", reason) if condition else function


mark = _Mark()


def _text(name, value, index):
    # the ids of pytest, as far as both runtimes print a value alike
    if value is None or isinstance(value, (bool, int, float)):
        return str(value)
    if isinstance(value, str) and len(value) <= 60:
        return "".join([c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in value])
    return name + str(index)


def cases(function):
    """[(id or None, {name: value})]: every combination of the test's parametrize marks."""
    found = [([], {})]
    for marked, kind, data in marks:
        if marked is function and kind == "parametrize":
            names, rows = data
            # the decorator nearest to the function comes first in the id, as in pytest
            found = [
                (ids + [id], dict(list(given.items()) + list(zip(names, values))))  # noqa: B905
                for ids, given in found
                for id, values in rows
            ]
    return [("-".join(ids) if ids else None, given) for ids, given in found]


def mark_of(function, kind):
    """Data of the last mark of that kind on the test, or None."""
    found = None
    for marked, name, data in marks:
        if marked is function and name == kind:
            found = data
    return found


class raises:
    """with raises(ValueError, match="part of the text, or a regular expression") as caught: caught.value"""

    def __init__(self, expected, match=None):
        self.expected = expected
        self.match = match
        self.value = None

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if kind is None:
            raise Failed(f"did not raise {self.expected!r}")
        if not issubclass(kind, self.expected):
            return False
        self.value = value
        if self.match is not None:
            text = str(value)
            if self.match not in text:
                import re

                if not re.search(self.match, text):
                    raise Failed(f"raised {value!r}, whose text has no match for {self.match!r}")
        return True


class approx:
    """Equal within `rel` of the expected value (1e-6 unless told) or within `abs`; sequences by element."""

    def __init__(self, expected, rel=None, abs=None):
        self.expected = expected
        self.rel = rel
        self.abs = abs

    def _close(self, expected, actual):
        if isinstance(expected, (list, tuple)):
            return len(expected) == len(actual) and all(map(self._close, expected, actual))
        if expected is None or isinstance(expected, str):
            return expected == actual
        if expected == actual:
            return True
        # 1e-12 as in pytest, when neither or only rel is given
        tolerance = (0 if self.rel is not None else 1e-12) if self.abs is None else self.abs
        if self.rel is not None or self.abs is None:
            relative = (1e-6 if self.rel is None else self.rel) * (expected if expected > 0 else -expected)
            tolerance = max(tolerance, relative)
        return -tolerance <= actual - expected <= tolerance

    def __eq__(self, actual):
        return self._close(self.expected, actual)

    def __ne__(self, actual):
        return not self._close(self.expected, actual)

    def __repr__(self):
        return f"approx({self.expected!r})"


def compare(operator, left, right, message=None):
    """What `assert left <operator> right` in a device test becomes, so that a failure shows both sides.

    message: a function giving the assert's own text.
    """
    if operator == "==":
        good = left == right
    elif operator == "!=":
        good = left != right
    elif operator == "<":
        good = left < right
    elif operator == "<=":
        good = left <= right
    elif operator == ">":
        good = left > right
    elif operator == ">=":
        good = left >= right
    elif operator == "in":
        good = left in right
    elif operator == "not in":
        good = left not in right
    elif operator == "is":
        good = left is right
    else:
        good = left is not right
    if not good:
        text = f"{_short(left)} {operator} {_short(right)}"
        if message is not None:
            text = f"{message()}\nassert {text}"
        raise AssertionError(text)


def _short(value):
    text = repr(value)
    return text if len(text) <= 400 else text[:300] + " ... " + text[-80:]
