"""Every statement on the tables of `schema`, with its parameters' names. Text only.

In a commit each statement does its work in one step and gives one row at most, lists as JSON: a thread gives up the
interpreter's lock at every step and has to get it back from a busy hub, which may take the switch interval (5 ms). So a
batch costs by its steps, not by its rows: 100 messages inserted by `executemany` beside a hub that never rested took
0.7 s, by two statements for all of them 0.08 s. (Inserting on the hub, and only committing in the thread, is no quicker
where the hub does rest, and makes it wait for pages that have to be read from the disk. The whole transaction as one
statement, by a trigger on a view, is no quicker either.)
"""

# ruff: noqa: S608 - statements are put together from constants and placeholders only

from __future__ import annotations

from functools import cache
from typing import Final

from mdacore import SUSPECT_AFTER

MAX_ROWS: Final = 64
"""Of one INSERT or UPDATE with listed values; so there are few different statements, and SQLite keeps them prepared."""

BEGIN: Final = "BEGIN IMMEDIATE"
COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"

# The life of the store

START_RUN: Final = "UPDATE store SET run = run + 1"
RUN: Final = "SELECT run FROM store"
FREE_CRASHED: Final = f"""
UPDATE message SET state = CASE WHEN unsettled + 1 >= {SUSPECT_AFTER} THEN 4 ELSE 0 END, unsettled = unsettled + 1
WHERE state = 1 AND state <> 0"""
COUNT_ASIDE: Final = "SELECT count(*) FROM message WHERE state = 3 AND state <> 0"
RESERVE_IDS: Final = "UPDATE store SET next_id = next_id + :count"
NEXT_ID: Final = "SELECT next_id FROM store"
FIND_KEY: Final = "SELECT ids FROM key WHERE queue = :queue AND key = :key AND seen_at > :forgotten_at"
REMEMBER_KEY: Final = "INSERT OR REPLACE INTO key VALUES (:queue, :key, :now, :ids)"
FORGET_KEYS: Final = """
DELETE FROM key WHERE (queue, key) IN (SELECT queue, key FROM key WHERE seen_at <= :forgotten_at LIMIT :limit)"""

# The way of a message


@cache
def insert_messages(rows: int) -> str:
    """`jobs.MessageRow` times `rows`."""
    return "INSERT INTO message VALUES " + _rows("(?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?, ?, NULL)", rows)


@cache
def insert_bodies(rows: int) -> str:
    """`jobs.BodyRow` times `rows`."""
    return "INSERT INTO body VALUES " + _rows("(?, ?, ?)", rows)


@cache
def defer_messages(rows: int) -> str:
    """`jobs.DeferredRow` times `rows`."""
    values = _rows("(?, ?, ?, ?, ?)", rows)
    return f"""
WITH settled (id, state, due_at, held, progress) AS (VALUES {values})
UPDATE message SET state = settled.state, due_at = settled.due_at, held = settled.held, unsettled = 0,
    progress = coalesce(settled.progress, message.progress)
FROM settled WHERE message.id = settled.id"""


@cache
def release_messages(rows: int) -> str:
    """`jobs.ReleasedRow` times `rows`."""
    values = _rows("(?, ?)", rows)
    return f"""
WITH released (id, due_at) AS (VALUES {values})
UPDATE message SET state = CASE WHEN unsettled >= {SUSPECT_AFTER} THEN 4 ELSE 0 END, attempts = attempts - 1,
    due_at = coalesce(released.due_at, message.due_at)
FROM released WHERE message.id = released.id"""


REMOVE: Final = "DELETE FROM message WHERE id IN (SELECT value FROM json_each(:ids))"
SET_ASIDE: Final = "UPDATE message SET state = 3, held = :reason WHERE id = :id"

FIND_DUE: Final = """
WITH RECURSIVE walk (due_at, id, lane) AS (
    SELECT * FROM (
        SELECT front, (
            SELECT id FROM message WHERE state = 0 AND queue = :queue AND lane = lane.name ORDER BY due_at, id LIMIT 1
        ), name
        FROM lane
        WHERE queue = :queue AND front <= :now AND name NOT IN (SELECT value FROM json_each(:full_lanes))
        ORDER BY front LIMIT :limit
    )
    UNION ALL
    SELECT next.due_at, next.id, next.lane FROM walk CROSS JOIN message AS next ON next.id = coalesce((
        SELECT id FROM message
        WHERE state = 0 AND queue = :queue AND lane = walk.lane AND due_at = walk.due_at AND id > walk.id
        ORDER BY id LIMIT 1
    ), (
        SELECT id FROM message
        WHERE state = 0 AND queue = :queue AND lane = walk.lane AND due_at > walk.due_at
        ORDER BY due_at, id LIMIT 1
    ))
    WHERE next.due_at <= :now
    ORDER BY 1, 2 LIMIT :limit
)
SELECT json_group_array(json_array(message.due_at, message.id, message.lane, attempts, unsettled, body, body_is_file))
FROM walk CROSS JOIN message ON message.id = walk.id"""
"""A merge of the lanes: the first message of each lane, then, whenever one is taken, the next of its lane. SQLite keeps
the rows of a recursion in the order asked for and stops at the limit, so nothing is read that is not claimed, but for
the first message of at most `limit` lanes."""

FIND_SUSPECT: Final = """
SELECT id, lane, attempts, unsettled, body, body_is_file FROM message
WHERE state = 4 AND state <> 0 AND queue = :queue AND due_at <= :now ORDER BY unsettled, due_at, id LIMIT 1"""

HAS_SUSPECT: Final = """
SELECT EXISTS (SELECT 1 FROM message WHERE state = 4 AND state <> 0 AND queue = :queue AND due_at <= :now)"""

CLAIM: Final = """
UPDATE message SET state = 1, attempts = attempts + 1 WHERE id IN (SELECT value FROM json_each(:ids))"""
NEXT_DUE: Final = "SELECT front FROM lane WHERE queue = :queue AND front > :now ORDER BY front LIMIT 1"

# What an operator does

FIND_AMENDABLE: Final = """
SELECT json_group_array(json_array(id, queue, state, body, body_is_file))
FROM message WHERE id IN (SELECT value FROM json_each(:ids)) AND state <> 1
    AND state IN (SELECT value FROM json_each(:states)) AND coalesce(:attempts, attempts) = attempts"""
HOLD: Final = """
UPDATE message SET state = 2, held = 'held by an operator'
WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN (0, 4)"""
RELEASE_HELD: Final = """
UPDATE message SET state = 0, held = '', unsettled = 0, must_bounce = 0
WHERE id IN (SELECT value FROM json_each(:ids)) AND state <> 0"""
DUE_NOW: Final = """
UPDATE message SET due_at = :now WHERE id IN (SELECT value FROM json_each(:ids)) AND due_at > :now"""
BOUNCE: Final = """
UPDATE message SET state = 0, held = '', unsettled = 0, due_at = min(due_at, :now), must_bounce = 1
WHERE id IN (SELECT value FROM json_each(:ids))"""

# Reading

_ENTRY: Final = "id, queue, lane, due_at, state, held, attempts, body_size, envelope, progress"
PAGE: Final = f"SELECT {_ENTRY} FROM message WHERE id > :after ORDER BY id LIMIT :limit"
NAMED: Final = f"SELECT {_ENTRY} FROM message WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY id"
MESSAGE: Final = """
SELECT message.id, must_bounce, envelope, progress, message.body, body_is_file, body_size, body.crc, body.data
FROM message LEFT JOIN body ON body.id = message.body AND NOT body_is_file WHERE message.id = :id"""
USES_OF_BODY: Final = """
SELECT EXISTS (SELECT 1 FROM message WHERE id = :body)
    OR EXISTS (SELECT 1 FROM message WHERE body = :body AND body <> id)"""
CHECK: Final = "PRAGMA quick_check(1)"

# The write-ahead log

NEVER_WAIT: Final = "PRAGMA busy_timeout = 0"
"""A checkpoint that finds a reader in its way comes again."""

CHECKPOINT: Final = "PRAGMA wal_checkpoint(PASSIVE)"
RESTART_LOG: Final = "PRAGMA wal_checkpoint(RESTART)"
EMPTY_LOG: Final = "PRAGMA wal_checkpoint(TRUNCATE)"


def _rows(row: str, count: int) -> str:
    return ", ".join([row] * count)
