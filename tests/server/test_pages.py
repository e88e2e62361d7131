"""The page's own files."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.server.pages import WEB, without_comments

TOKENS = """
const ts = require(process.argv[1]);
const tokens = (text) => {
    const file = ts.createSourceFile("module.js", text, ts.ScriptTarget.ES2022, false, ts.ScriptKind.JS);
    const found = [];
    const visit = (node) => {
        if (node.kind >= ts.SyntaxKind.FirstJSDocNode && node.kind <= ts.SyntaxKind.LastJSDocNode) return;
        const children = node.getChildren(file);
        if (children.length) children.forEach(visit);
        else if (node.getText(file)) found.push(`${node.getText(file)} ${file.getLineAndCharacterOfPosition(node.getStart(file)).line}`);
    };
    visit(file);
    return found.join("\\n");
};
const pairs = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(pairs.filter(([, before, after]) => tokens(before) !== tokens(after)).map(([name]) => name)));
"""


def test_modules_are_served_without_their_comments_and_otherwise_as_they_are() -> None:
    """Each word of the code is the same, and on the same line, as TypeScript reads it."""
    node = shutil.which("node")
    assert node is not None, "node is needed for the editor's tests: install Node.js 20 or newer"
    files = sorted(WEB.rglob("*.js"))
    pairs = [(path.name, path.read_text("utf-8"), without_comments(path, 0).decode()) for path in files]
    assert sum(len(after) for _, _, after in pairs) < 0.85 * sum(len(before) for _, before, _ in pairs)
    typescript = Path(__file__).parents[2] / "node_modules" / "typescript"
    run = subprocess.run(
        [node, "-e", TOKENS, str(typescript)], input=json.dumps(pairs), capture_output=True, text=True, timeout=120, check=True
    )
    assert json.loads(run.stdout) == []


@pytest.mark.asyncio(loop_scope="module")
async def test_an_unchanged_module_is_not_sent_again(shared) -> None:
    first = await shared.get("/editor/main.js")
    text = await first.text()
    assert first.content_type == "text/javascript" and "import" in text and "@param" not in text
    again = await shared.get("/editor/main.js", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status == 304
