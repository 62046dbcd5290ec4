"""A hook that denies commands which destroy things."""

import json
import re

from wit_world import exports
from wit_world.exports.hooks import Decision_Deny, Decision_None_, Event, Mode, Outcome, Subscription

PREFIXES = {"sudo", "env", "exec", "command", "xargs", "then", "do", "else", "{"}
FORCED = re.compile(r"--(recursive|force)|-[a-zA-Z]*[rRf].*")


class Hooks(exports.Hooks):
    def subscriptions(self) -> list[Subscription]:
        return [Subscription("PreToolUse", "Bash", Mode.GATE)]

    def handle(self, event: Event) -> Outcome:
        command = json.loads(event.tool.input_json)["command"]
        if is_destructive(command):
            decision = Decision_Deny("destructive commands need a person")
        else:
            decision = Decision_None_()
        return Outcome(decision, context=None, message=None)


def is_destructive(line: str) -> bool:
    """Whether one of the commands in a shell line removes recursively or by force, or erases a disk.

    A hook like this catches accidents. It is no sandbox: a shell has endless ways to say `rm`.
    """
    return any(map(erases, re.split(r"[;|&\n()`\"']", line)))


def erases(command: str) -> bool:
    words = command.split()
    while words and ("=" in words[0] or words[0] in PREFIXES):
        words.pop(0)
    if not words:
        return False
    program = words[0].rsplit("/", 1)[-1]
    if program == "rm":
        return any(FORCED.fullmatch(word) for word in words[1:])
    return program in ("shred", "wipefs") or program.startswith("mkfs")
