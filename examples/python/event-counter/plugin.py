"""A sink that counts events by kind and writes the sum to the host's log."""

from collections import Counter

from wit_world import exports
from wit_world.exports.sink import Ack_Accepted, Event, FieldClasses, Subscription
from wit_world.imports import log

counts: Counter[str] = Counter()


class Sink(exports.Sink):
    def subscriptions(self) -> Subscription:
        return Subscription(["*"], FieldClasses.BASIC)

    def open(self, config_json: str) -> None:
        pass

    def deliver(self, batch: list[Event]) -> Ack_Accepted:
        counts.update(event.kind for event in batch)
        log.write(log.Level.DEBUG, summary())
        return Ack_Accepted()

    def close(self) -> None:
        log.write(log.Level.INFO, summary())


def summary() -> str:
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
    return f"{counts.total()} events: {kinds}"
