"""Makes `assert left == right` of a device test show both sides, without moving a line.

Works on the text, because MicroPython compiles the same text and its line numbers must stay true.
"""

import ast

_OPERATORS = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Is: "is",
    ast.IsNot: "is not",
}


def rewrite_asserts(source: str) -> str:
    """The module's text with each assert on one comparison turned into a call of pytest.compare.

    Raises SyntaxError as compile() does.
    """
    tree = ast.parse(source)
    data = source.encode()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def span(node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None and node.end_col_offset is not None
        return starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset

    edits = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Assert) and isinstance(node.test, ast.Compare) and len(node.test.ops) == 1):
            continue
        if isinstance(node.msg, ast.Await):
            continue
        operator = _OPERATORS[type(node.test.ops[0])]
        begin, end = span(node)
        left, right = (data[slice(*span(side))] for side in (node.test.left, node.test.comparators[0]))
        text = b'__import__("pytest").compare("%s", (%s), (%s)' % (operator.encode(), left, right)
        if node.msg is not None:
            text += b", lambda: (%s)" % data[slice(*span(node.msg))]
        # keep the number of lines: those between the pieces go before the closing bracket
        text += b"\n" * (data.count(b"\n", begin, end) - text.count(b"\n")) + b")"
        edits.append((begin, end, text))
    for begin, end, text in sorted(edits, reverse=True):
        data = data[:begin] + text + data[end:]
    return data.decode()
