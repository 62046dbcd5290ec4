// A sink that counts events by kind and writes the sum to the host's log.

import { write } from "dovetail:plugin/log@0.1.0";

const counts = new Map();

export const sink = {
  subscriptions() {
    return { kinds: ["*"], classes: { basic: true } };
  },

  open(_configJson) {},

  deliver(batch) {
    for (const { kind } of batch) {
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    write("debug", summary());
    return { tag: "accepted" };
  },

  close() {
    write("info", summary());
  },
};

function summary() {
  const sorted = [...counts].sort(([a], [b]) => (a < b ? -1 : 1));
  const sum = sorted.reduce((sum, [, count]) => sum + count, 0);
  return `${sum} events: ${sorted.map(([kind, count]) => `${kind} ${count}`).join(", ")}`;
}
