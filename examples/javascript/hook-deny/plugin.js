// A hook that denies commands which destroy things.

export const hooks = {
  subscriptions() {
    return [{ event: "PreToolUse", matcher: "Bash", mode: "gate" }];
  },

  handle(event) {
    const { command } = JSON.parse(event.tool.inputJson);
    return {
      decision: isDestructive(command)
        ? { tag: "deny", val: "destructive commands need a person" }
        : { tag: "none" },
      context: undefined,
      message: undefined,
    };
  },
};

const PREFIXES = ["sudo", "env", "exec", "command", "xargs", "then", "do", "else", "{"];

// Whether one of the commands in a shell line removes recursively or by force, or erases a disk. A hook like this
// catches accidents. It is no sandbox: a shell has endless ways to say `rm`.
function isDestructive(line) {
  return line.split(/[;|&\n()`"']/).some((command) => {
    const words = command.split(/\s+/).filter(Boolean);
    while (words.length && (words[0].includes("=") || PREFIXES.includes(words[0]))) {
      words.shift();
    }
    const program = (words.shift() ?? "").split("/").pop();
    switch (program) {
      case "rm":
        return words.some((word) => /^(--(recursive|force)|-[a-zA-Z]*[rRf].*)$/.test(word));
      case "shred":
      case "wipefs":
        return true;
      default:
        return program.startsWith("mkfs");
    }
  });
}
