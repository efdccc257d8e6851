"""What scripts read: one line for each execution, in a form that stays."""

from collections.abc import Sequence

from agent.results.record import Record

FIELDS = ("id", "pipeline", "number", "status", "commit", "ref", "trigger", "actor", "created", "started", "ended")


def plain(records: Sequence[Record]) -> str:
    """The lines of --porcelain: fields never change their place or meaning; new ones come last. Times are ISO 8601."""
    rows = (
        (
            *(one.id, one.pipeline, str(one.number), one.status.value, one.commit, one.ref, one.trigger.value, one.actor),
            *(moment.isoformat() if moment else "" for moment in (one.created_at, one.started_at, one.ended_at)),
        )
        for one in records
    )
    return "".join("\t".join(field.replace("\t", " ").replace("\n", " ") for field in row) + "\n" for row in rows)
