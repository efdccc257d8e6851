"""The state of a server, as told by stories."""

from pathlib import Path

import msgspec

from agent.state.database import open_database
from agent.state.journal import Journal
from agent.state.queue import Queue
from tests.support.stories import Story


def serve(bare: Path, *stories: Story) -> None:
    """The state that a server would have of these stories."""
    (bare / "pipeline").mkdir(exist_ok=True)
    database = open_database(str(bare / "pipeline" / "state.db"))
    queue, journal = Queue(database), Journal(database)
    for story in stories:
        queue.enqueue(msgspec.to_builtins(story.execution))
        queue.set_plan(story.execution.id, msgspec.json.encode(story.plan))
        journal.append(story.execution.id, 0, story.now.isoformat(), [msgspec.json.encode(event) for event in story.events])
        queue.set_status(story.execution.id, story.state.status.value)
    database.close()
