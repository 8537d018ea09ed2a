"""The fault matrix of the uplink (faults.py), each class on a virtual board of its own; a slice of its campaign."""

import random
from collections.abc import Iterator

import faults
import pytest
from campaigns import network
from hostile.server import Fault


class Matrix:
    """A class of faults; a test for each."""

    kind = ""

    @pytest.fixture(scope="class")
    @classmethod
    def bench(cls) -> Iterator[faults.Bench]:
        with faults.Bench(cls.kind) as bench:
            yield bench

    def test_fault(self, bench: faults.Bench, fault: Fault) -> None:
        outcome = bench.play(fault)
        assert outcome.ok, str(outcome)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "fault" in metafunc.fixturenames:
        rows = faults.CLASSES[metafunc.cls.kind]
        metafunc.parametrize("fault", rows, ids=[fault.name for fault in rows])


# classes, not one parametrised function: pytest-xdist hands them out to its workers one by one
class TestNames(Matrix):
    kind = "names"


class TestConnect(Matrix):
    kind = "connect"


class TestHandshake(Matrix):
    kind = "handshake"


class TestCertificates(Matrix):
    kind = "certificates"


class TestRequestCut(Matrix):
    kind = "request cut"


class TestAnswerCut(Matrix):
    kind = "answer cut"


class TestSlow(Matrix):
    kind = "slow"


class TestIdleClose(Matrix):
    kind = "idle close"


class TestFraming(Matrix):
    kind = "framing"


class TestRefusals(Matrix):
    kind = "refusals"


class TestPoison(Matrix):
    kind = "poison"


class TestSizes(Matrix):
    kind = "sizes"


class TestThrottling(Matrix):
    kind = "throttling"


class TestServer(Matrix):
    kind = "server"


class TestLostAnswers(Matrix):
    kind = "lost answers"


def test_every_class_is_played() -> None:
    played = [each.kind for each in Matrix.__subclasses__()]
    assert sorted(played) == sorted(faults.CLASSES)


@pytest.mark.parametrize("kind", ["handshake", "lost answers"])
def test_a_slice_of_the_campaign(kind: str) -> None:
    seed = random.randrange(1 << 16)
    report = network.play(kind, 8, seed)
    assert (report.rounds, report.violations) == (8, []), "\n".join(report.violations)
