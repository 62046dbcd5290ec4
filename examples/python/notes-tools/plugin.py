"""A tool server: lists and searches the notes in a directory that it may read."""

import json
from pathlib import Path

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.tools import Call, CallResult, Content_Text, Tool
from wit_world.imports.types import Error_Invalid, Error_Unavailable

# Where the grant mounts the notes.
MOUNT = Path("/notes")
# As many hits as a model reads with profit.
MOST_HITS = 50

NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}
QUERY = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "Words to look for, in any case"}},
    "required": ["query"],
    "additionalProperties": False,
}


class Tools(exports.Tools):
    def list_tools(self) -> list[Tool]:
        about_search = "Finds lines in the project's notes that hold all words of a query"
        return [
            tool("search", about_search, QUERY),
            tool("list", "Lists the project's notes", NOTHING),
        ]

    def call_tool(self, call: Call) -> CallResult:
        if call.name == "search":
            return text(search(json.loads(call.arguments_json)["query"]))
        if call.name == "list":
            return text("\n".join(note.name for note in notes()))
        raise Err(Error_Invalid(f"there is no tool `{call.name}`"))

    def list_resources(self):
        return []

    def read_resource(self, uri: str):
        raise Err(Error_Invalid(f"there is no resource `{uri}`"))

    def list_prompts(self):
        return []

    def get_prompt(self, name: str, arguments_json: str):
        raise Err(Error_Invalid(f"there is no prompt `{name}`"))


def tool(name: str, description: str, schema: dict) -> Tool:
    return Tool(name, None, description, json.dumps(schema), None, parallel_safe=True, read_only=True)


def text(words: str) -> CallResult:
    return CallResult([Content_Text(words)], structured_json=None, is_error=False)


def notes() -> list[Path]:
    try:
        entries = sorted(MOUNT.iterdir())
    except OSError as error:
        raise Err(Error_Unavailable(f"the notes cannot be listed ({error}); is `notes` there?"))
    return [entry for entry in entries if entry.suffix in (".md", ".txt") and entry.is_file()]


def search(query: str) -> str:
    words = query.lower().split()
    if not words:
        raise Err(Error_Invalid("the query is empty"))
    hits = []
    for note in notes():
        lines = note.read_text(errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            if all(word in line.lower() for word in words):
                hits.append(f"{note.name}:{number}: {line.strip()}")
    return "\n".join(hits[:MOST_HITS]) or f"no note mentions `{query}`"
