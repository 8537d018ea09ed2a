"""The JSON Schema of node.toml, for editors: node.schema.json, made from the model.

python -m tagonode.schema        # writes the file anew, after a change of the model
"""

import json
from pathlib import Path
from typing import Any

from tagonode.model import NodeModel

FILE = Path(__file__).resolve().parent / "node.schema.json"


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of what a node.toml may hold."""
    made = NodeModel.model_json_schema()
    made.pop("title", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "node.toml", **_without_null(made)}


def text() -> str:
    """The file's content."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


def _without_null(part: Any) -> Any:
    """TOML has no null: what may be None in the model is left out there. Titles, which repeat the keys, go too."""
    if isinstance(part, list):
        return [_without_null(each) for each in part]
    if not isinstance(part, dict):
        return part
    made = {
        key: {name: _without_null(inner) for name, inner in value.items()}
        if key in ("properties", "$defs")
        else _without_null(value)
        for key, value in part.items()
        if not (key == "title" and isinstance(value, str)) and not (key == "default" and value is None)
    }
    choices = [each for each in made.get("anyOf", ()) if each != {"type": "null"}]
    if len(choices) < len(made.get("anyOf", ())):
        del made["anyOf"]
        made = {**choices[0], **made} if len(choices) == 1 else {"anyOf": choices, **made}
    return made


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
