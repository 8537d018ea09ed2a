"""Is this reading stored? The question, and every kind of answer to it."""

import pytest
from tagoio.question import found, question

GROUP = "k3x9q2_17"
TIME = 1767323045678
ISO = "2026-01-02T03:04:05.678Z"
LONG = "x" * 600


def accepted(rows):
    return '{"status":true,"result":[' + rows + "]}"


def row(variable="temperature", group=GROUP, time=ISO):
    return f'{{"id":"6143","device":"612e","variable":"{variable}","value":1,"group":"{group}","time":"{time}"}}'


def test_the_question():
    assert question("temperature", GROUP) == "/data?qty=1&variables=temperature&groups=k3x9q2_17"
    assert question("Temp 1", time=TIME) == (
        "/data?qty=1&variables=temp_1&start_date=2026-01-02T03:04:05.678Z&end_date=2026-01-02T03:04:05.678Z"
    )
    assert question("a", "g_1", 0).endswith(
        "&groups=g_1&start_date=1970-01-01T00:00:00.000Z&end_date=1970-01-01T00:00:00.000Z"
    )


@pytest.mark.parametrize(
    "body, there",
    [
        (accepted(row()), True),
        (accepted(row("humidity") + "," + row()), True),
        (accepted(row(group="other")), True),  # by its time
        (accepted(row(time="2026-01-02T03:04:05.679Z")), True),  # by its group
        (accepted(row(group="other", time="2026-01-02T03:04:05.679Z")), False),
        (accepted(row("humidity")), False),
        # the variable in one record, the group in another
        (accepted(row(group="other", time="") + "," + row("humidity")), False),
        (accepted(""), False),
        (accepted("null,5,[],{}"), False),
        (accepted('{"group":"k3x9q2_17"}'), False),
        # nothing that could be told from
        ("", None),
        ("<html>Please log in</html>", None),
        ("[]", None),
        ('{"status":true}', None),
        ('{"status":true,"result":null}', None),
        ('{"status":true,"result":"1 Data Added"}', None),
        ('{"status":true,"result":{"message":"x"}}', None),
        ('{"status":false,"result":[' + row() + "]}", None),
        ('{"status":1,"result":[' + row() + "]}", None),
        ('{"status":false,"message":"Too many requests (Retry-After: 8)"}', None),
        # cut short by a small buffer
        (accepted(row())[:-3], True),
        (accepted(row()).replace('":', '": ')[:-3], True),
        (accepted(row()).replace('":', '":\n\t')[:-3], True),
        (accepted(row(group="other", time="") + ",\n" + row("humidity"))[:-1], None),
        (accepted(row("a") + "," + row())[:-1], None),
        (accepted(row(time=LONG))[:512], True),
        (accepted(row(LONG, time=LONG))[:512], None),
        (accepted(row(group="other", time=LONG))[:512], None),
        (accepted(row("humidity", time=LONG))[:512], None),
        (accepted(row(group="other", time="") + "," + row("humidity"))[:-1], None),
        ('{"status":false,"result":[' + row(), None),
        (accepted(row(time="None"))[:20], None),
    ],
)
def test_the_answer(body, there):
    assert found(body.encode(), "Temperature", GROUP, TIME) is there


def test_what_is_not_known_does_not_match():
    nowhere = accepted(row("a", group="None", time="None")).encode()
    for body, no in ((nowhere, False), (nowhere[:-1], None)):
        assert found(body, "a", GROUP) is no
        assert found(body, "a", None, TIME) is no
        assert found(body, "a") is no
    for body in (accepted(row("a", time="None")), accepted(row("a", group="None"))):
        assert found(body.encode(), "a", GROUP, TIME) is True
