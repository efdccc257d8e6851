"""The tables of `state.db`, as numbered steps: a step is never changed once it was released, only followed by another.

No STRICT tables and no RETURNING: SQLite 3.34 is still shipped by distributions that carry Python 3.11.
"""

_FIRST = (
    """CREATE TABLE pushes (
        id TEXT PRIMARY KEY, received_at TEXT NOT NULL, process TEXT NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL)""",
    "CREATE INDEX pushes_process ON pushes (process)",
    "CREATE INDEX pushes_open ON pushes (received_at) WHERE state IN ('pending', 'confirmed')",
    "CREATE TABLE verdicts (key TEXT PRIMARY KEY, ok INTEGER NOT NULL, body TEXT NOT NULL)",
    """CREATE TABLE executions (
        id TEXT PRIMARY KEY, pipeline TEXT NOT NULL, number INTEGER NOT NULL, commit_id TEXT NOT NULL, ref TEXT NOT NULL,
        status TEXT NOT NULL, created_at TEXT NOT NULL, started_at TEXT, ended_at TEXT, body TEXT NOT NULL, plan BLOB,
        last_seq INTEGER NOT NULL DEFAULT 0, published_seq INTEGER NOT NULL DEFAULT 0, once TEXT UNIQUE,
        UNIQUE (pipeline, number))""",
    "CREATE INDEX executions_active ON executions (id) WHERE status IN ('Queued', 'InProgress', 'Stopping')",
    "CREATE INDEX executions_unpublished ON executions (id) WHERE published_seq < last_seq",
    "CREATE INDEX executions_commit ON executions (commit_id)",
    """CREATE TABLE events (
        execution TEXT NOT NULL, seq INTEGER NOT NULL, at TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (execution, seq))""",
    """CREATE TABLE requests (
        id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'open', answer TEXT NOT NULL DEFAULT '', once TEXT UNIQUE)""",
    "CREATE INDEX requests_open ON requests (id) WHERE state = 'open'",
    """CREATE TABLE transitions (
        pipeline TEXT NOT NULL, stage TEXT NOT NULL, reason TEXT NOT NULL, by TEXT NOT NULL, at TEXT NOT NULL,
        PRIMARY KEY (pipeline, stage))""",
    """CREATE TABLE schedules (
        pipeline TEXT NOT NULL, branch TEXT NOT NULL, cron TEXT NOT NULL, fired_at TEXT NOT NULL,
        PRIMARY KEY (pipeline, branch, cron))""",
    """CREATE TABLE passes (
        id INTEGER PRIMARY KEY AUTOINCREMENT, pipeline TEXT NOT NULL, stage TEXT NOT NULL, execution TEXT NOT NULL,
        commit_id TEXT NOT NULL, at TEXT NOT NULL, rollback INTEGER NOT NULL, UNIQUE (pipeline, stage, execution))""",
    "CREATE TABLE counters (pipeline TEXT PRIMARY KEY, number INTEGER NOT NULL)",
    "CREATE TABLE refs (ref TEXT PRIMARY KEY, oid TEXT NOT NULL)",
    "CREATE TABLE marks (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
)

_POLICIES = (
    "CREATE TABLE policies (digest TEXT PRIMARY KEY, body TEXT NOT NULL)",
    "ALTER TABLE executions ADD COLUMN policy TEXT NOT NULL DEFAULT ''",
)
_OUTBOX = (
    """CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, label TEXT NOT NULL, event TEXT NOT NULL, at TEXT NOT NULL,
        body BLOB NOT NULL, state TEXT NOT NULL DEFAULT 'open', tries INTEGER NOT NULL DEFAULT 0, next_at TEXT NOT NULL,
        error TEXT NOT NULL DEFAULT '')""",
    "CREATE INDEX outbox_open ON outbox (target, id) WHERE state = 'open'",
)

_OUTSIDE = ("ALTER TABLE verdicts ADD COLUMN outside TEXT NOT NULL DEFAULT ''",)
_INBOX = (
    """CREATE TABLE inbox (
        remote TEXT NOT NULL, id TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'open',
        PRIMARY KEY (remote, id))""",
    "CREATE INDEX inbox_open ON inbox (remote) WHERE state = 'open'",
)

_SENT = ("CREATE TABLE sent (id TEXT PRIMARY KEY, execution TEXT NOT NULL)", "CREATE INDEX sent_execution ON sent (execution)")

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _POLICIES, _OUTSIDE, _OUTBOX, _INBOX, _SENT)
VERSION = len(MIGRATIONS)
