"""Remote settings: what a person edits at TagoIO, and what the node makes of it; the whole firmware under real
MicroPython, in virtual time.
"""

from typing import Any

from virtualnode import VirtualNode

REMOTE: dict[str, Any] = {"remote": {"every": 60}}


class Node(VirtualNode):
    """A node that looks for parameters once a minute."""

    def __init__(self, settings: dict[str, Any] | None = None, **options: Any):
        super().__init__({**REMOTE, **(settings or {})}, **options)

    def edit(self, **parameters: str) -> None:
        """As a person does on TagoIO's page: sample__every for "sample.every"."""
        for key, value in parameters.items():
            self.cloud.set_parameter(self.token, key.replace("__", "."), value)

    def unread(self) -> dict[str, str]:
        """What TagoIO has that is not marked as read."""
        rows = self.cloud.store.parameters(self.cloud.device(self.token), None)
        return {row["key"]: row["value"] for row in rows if not row["sent"]}

    def told(self) -> list[str]:
        """What it has reported, in order of arrival."""
        return [record["value"] for record in self.records() if record["variable"] == "settings"]

    def obeys(self, seconds: float = 600) -> None:
        """Let time pass until nothing is unread."""
        self.run_until(lambda: not self.unread(), seconds)


def test_an_edited_interval_is_obeyed():
    with Node() as node:
        node.run(600)
        before = node.state["samples"]
        assert 9 <= before <= 11 and node.boots == []
        node.edit(sample__every="10")
        node.obeys(120)
        assert node.told() == ["sample.every = 10: applied"]
        began = node.state["samples"]
        node.run(600)
        assert 59 <= node.state["samples"] - began <= 61
        assert len(node.boots) == 1
        node.power_cycle()
        node.run(600)
        assert node.state["samples"] - began >= 118
        assert len(node.told()) == 1
        node.check()
