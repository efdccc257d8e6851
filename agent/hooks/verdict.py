"""The part of pre-receive that a push with pipeline files needs: judge them, and record the push as pending."""

from collections.abc import Callable

from agent.errors import AgentError
from agent.git.command import Git
from agent.git.history import with_bases
from agent.hooks import stage
from agent.model.push import Push
from agent.state.database import Database, open_database
from agent.worker.intake import Intake
from agent.worker.judge import Trees, judge

TYPE_CHECKING = False  # as typing has it
if TYPE_CHECKING:
    from agent.worker.inquiry import Inquiry


def judge_and_record(git: Git, push: Push, process: str, trees: Trees, inquiry: "Inquiry | None" = None) -> str:
    """Why the push is refused; empty if it is not, and then it is recorded. `trees` are the `.pipeline/` trees of its commits.

    `inquiry`: it carries control tags, and this is about them.
    What is wrong is told even where there is no database. Raises the fault of the database after that, or whatever else fails.
    """
    database, fault = _open(git.git_dir)
    push = push._replace(received_at=stage.now().isoformat(), updates=with_bases(git, push.updates))
    if refused := judge(git, database, push.updates, trees) or _objection(git, database, push, trees):
        return refused
    if fault:
        raise fault
    assert database
    intake = Intake(git, database, stage.now)

    def record() -> None:
        intake.record(push, process, trees)

    if inquiry:
        return _judge_tags(git, database, push, inquiry, record)
    record()
    return ""


def _judge_tags(git: Git, database: Database, push: Push, inquiry: "Inquiry", record: Callable[[], None]) -> str:
    from agent.hooks.loading import load_msgspec
    from agent.worker import signing

    now = stage.now()
    policy = signing.policy(database, stage.home(git.git_dir))
    inquiry.begin(database, policy)
    load_msgspec()
    from agent.worker.control import judge_tags

    return judge_tags(git, database, push, policy, now, inquiry, record)


def _objection(git: Git, database: Database | None, push: Push, trees: Trees) -> str:
    if not push.options.variables or push.options.skip:
        return ""
    from agent.worker.admission import objection

    return objection(git, database, push, trees)


def _open(git_dir: str) -> tuple[Database | None, Exception | None]:
    try:
        return open_database(stage.state_path(git_dir)), None
    except (AgentError, OSError) as error:
        return None, error
