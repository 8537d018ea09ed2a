"""No output of the suite holds a token or a password: a plugin of pytest, loaded by conftest.py.

Searched are: what every test wrote to stdout, stderr and the log, on either runtime, passed or failed; reports of
failures, errors and skips; names of tests; warnings. A passing test whose output holds a secret fails, with a line
that says which output, and which secret, without showing it. In the report of a failing test, which may show both
sides of an assert, secrets are blotted out.

What is a secret: everything that has the form of a TagoIO token (a UUID: so those that are minted while tests run
are found, too, in any process), and the constants that tests and tools call token, password or secret in their
source (`constants_of`).

What a command printed that a test runs itself is seen when it is run by `commands.py`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .places import HOST_TESTS, REPOSITORY

MASK = "***"
_NAME = re.compile(r"(^|[^a-z])(token|password|passphrase|secret)$", re.I)
_IN_TEXT = re.compile(r"""\b(?:token|password) *= *["']([^"'\n]+)["']""")  # TOML or an URL's query inside a constant
_PREFILTER = re.compile(r"token|passw|passphrase|secret|networks", re.I)
_UUID = r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}\b[0-9a-f-]*"  # its beginning is enough: texts are cut
_UUID_MARK = re.compile("-[0-9a-f]{4}-[0-9a-f]{4}")
_ENOUGH = 12  # characters by which a longer secret is known, at its beginning or its end, for the same reason


class Secrets:
    """What must not show: {value: name}, and whatever has the form of a token."""

    def __init__(self, values: dict[str, str] | None = None):
        self.values = dict(values or {})
        rows = [_UUID]
        self._marks = []
        for value in sorted(filter(searchable, self.values), key=len, reverse=True):
            # \b: "secret-1" is not in "secret-12"
            rows.append(re.escape(value[:_ENOUGH]) + (r"[\w-]*" if len(value) > _ENOUGH else r"\b"))
            self._marks.append(value[:_ENOUGH])
            if len(value) >= 2 * _ENOUGH:
                rows.append(re.escape(value[-_ENOUGH:]))
                self._marks.append(value[-_ENOUGH:])
        self._pattern = re.compile("|".join(rows))

    def found_in(self, text: str) -> list[str]:
        """Names of the secrets in the text, each once."""
        # most texts hold none, and this says so fifty times as fast as the whole pattern
        if not (_UUID_MARK.search(text) or any(mark in text for mark in self._marks)):
            return []
        return sorted({self._name(match.group()) for match in self._pattern.finditer(text)})

    def masked(self, text: str) -> str:
        return self._pattern.sub(MASK, text)

    def _name(self, shown: str) -> str:
        for value, name in self.values.items():
            if value[:_ENOUGH] == shown[:_ENOUGH] or value[-_ENOUGH:] == shown:
                return name
        return f"a token, {shown[:2]}…"


def searchable(value: str) -> bool:
    """Whether the value can be told from ordinary speech: six characters or more, not letters alone."""
    return len(value) >= 6 and not value.isalpha()


def constants_of(source: str) -> Iterator[tuple[str, int]]:
    """(value, line) of the constants which the source names as secrets: a variable, an argument or a key of a dict
    that ends in token, password or secret; --token and the like on a command line; keys of Wi-Fi networks; Secret(…);
    `password = "…"` inside a text."""
    for node in ast.walk(ast.parse(source)):
        pairs: list[tuple[ast.AST | None, ast.AST]] = []
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            pairs = [(node.target, node.value)]
        elif isinstance(node, ast.keyword):
            pairs = [(ast.Name(node.arg or ""), node.value)]
        elif isinstance(node, ast.Dict):
            pairs = list(zip(node.keys, node.values, strict=True))
        elif isinstance(node, ast.Tuple | ast.List):
            pairs = [pair for pair in zip(node.elts, node.elts[1:], strict=False) if _text(pair[0])[:2] == "--"]
        elif isinstance(node, ast.Call):
            pairs = [pair for pair in zip(node.args, node.args[1:], strict=False) if _text(pair[0])[:2] == "--"]
            pairs += [(node.func, argument) for argument in node.args if _text(node.func) == "Secret"]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            for value in _IN_TEXT.findall(node.value):
                yield value, node.lineno
        for name, value in pairs:
            if _NAME.search(_text(name)):
                if isinstance(value, ast.Constant) and isinstance(value.value, str | bytes):
                    yield _as_text(value.value), value.lineno
            elif _text(name).endswith("networks"):
                for key in _keys_of_networks(value):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        yield key.value, key.lineno


def _text(node: ast.AST | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return getattr(node, "id", None) or getattr(node, "attr", None) or ""


def _as_text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


def _keys_of_networks(node: ast.AST) -> list[ast.expr]:
    # {"ssid": "key"} or [["ssid", "key"]]
    if isinstance(node, ast.Dict):
        return node.values
    rows = node.elts if isinstance(node, ast.List | ast.Tuple) else []
    return [row.elts[1] for row in rows if isinstance(row, ast.List | ast.Tuple) and len(row.elts) == 2]


def constants_in(*folders: Path) -> dict[str, str]:
    """{value: name} of the constants in all modules below the folders; the name says where it stands."""
    found: dict[str, str] = {}
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            source = file.read_text("utf-8")
            if not _PREFILTER.search(source):
                continue
            for value, line in constants_of(source):
                # names of environment variables are no secrets
                if value.strip() and not re.fullmatch("[A-Z_]+", value):
                    found.setdefault(value, f"the secret in {file.relative_to(folder.parent)}:{line}")
    return found


class Watch:
    """The hooks. One in each process of pytest; under xdist the one that shows the reports fails the run."""

    def __init__(self, config: pytest.Config):
        folders = {HOST_TESTS, REPOSITORY / "tools"}
        if not HOST_TESTS.is_relative_to(config.rootpath):
            folders.add(config.rootpath)
        # a worker of xdist, whose reports another shows, is told
        told = getattr(config, "workerinput", None)
        self.secrets = Secrets(told["secrets"] if told else constants_in(*sorted(folders)))
        self._shows = not told
        self._leaks: list[str] = []
        # nodeid: how many sections of its reports are done
        self._searched: dict[str, int] = {}

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node) -> None:
        node.workerinput["secrets"] = self.secrets.values

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item):
        report = yield
        # each report has the sections of those before it, too
        first = self._searched.pop(report.nodeid, 0)
        if report.when != "teardown":
            self._searched[report.nodeid] = len(report.sections)
        swallowed = item.stash.get(_SWALLOWED, "")
        item.stash[_SWALLOWED] = ""
        self._search(report, first, swallowed)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(self):
        report = yield
        self._search(report, 0, "")
        return report

    def _search(self, report, first: int, swallowed: str) -> None:
        """Look through a report; blot out what should not be there, and make it a failure."""
        leaks = [("output that the test read", name) for name in self.secrets.found_in(swallowed)]
        sections = []
        for number, (title, text) in enumerate(report.sections):
            names = self.secrets.found_in(text)
            if number >= first:
                leaks += [(title, name) for name in names]
            sections.append((title, self.secrets.masked(text) if names else text))
        report.sections[:] = sections
        # a test with such a name is not even begun: pytest shows names everywhere
        for node in getattr(report, "result", None) or ():
            leaks += [("a test's name", name) for name in self.secrets.found_in(node.name)]
        said = report.longreprtext
        names = self.secrets.found_in(said + getattr(report, "wasxfail", ""))
        if names:
            leaks += [(f"the report ({report.outcome})", name) for name in names]
            report.longrepr = self.secrets.masked(said)
        if leaks:
            report.secrets = [f"{report.nodeid}: {where} holds {name}" for where, name in leaks]
            lines = "\n".join(report.secrets)
            report.longrepr = lines if report.outcome == "passed" else f"{report.longreprtext}\n{lines}"
            report.outcome = "failed"

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message, nodeid: str) -> None:
        text = str(warning_message.message)
        names = self.secrets.found_in(text)
        if names and self._shows:
            self._leaks += [f"{nodeid or 'collection'}: a warning holds {name}" for name in names]
            warning_message.message = UserWarning(self.secrets.masked(text))

    def pytest_runtest_logreport(self, report) -> None:
        self._leaks += getattr(report, "secrets", [])

    pytest_collectreport = pytest_runtest_logreport

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._leaks and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter) -> None:
        if self._leaks:
            terminalreporter.section("secrets in the suite's output", red=True)
            for line in dict.fromkeys(self._leaks):
                terminalreporter.line(line)


_SWALLOWED = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Watch(config), "secrets")


def _kept(fixture, item: pytest.Item):
    read = fixture.readouterr

    def readouterr():
        said = read()
        item.stash[_SWALLOWED] = item.stash.get(_SWALLOWED, "") + said.out + said.err
        return said

    fixture.readouterr = readouterr
    return fixture


@pytest.fixture
def capsys(capsys, request):
    """pytest's, but what a test reads of its output is searched for secrets, too."""
    return _kept(capsys, request.node)


@pytest.fixture
def capfd(capfd, request):
    """pytest's, but what a test reads of its output is searched for secrets, too."""
    return _kept(capfd, request.node)
