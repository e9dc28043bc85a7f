#!/bin/bash
# sqlite3: a file of 60,000 rows, indexed, joined, updated, vacuumed; the same answers and a sound file.
source "$(dirname "$0")/common.bash"
need sqlite3
expect_loaded sqlite3 sqlite3
cat >"$work/statements" <<'SQL'
PRAGMA journal_mode=wal;
CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, size INTEGER, body BLOB);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)
	INSERT INTO item SELECT i, 'name-' || (i * 7919 % 60000), i % 977, zeroblob(i % 400) FROM n;
CREATE INDEX by_name ON item(name);
CREATE INDEX by_size ON item(size, name);
SELECT count(*), sum(size), sum(length(body)) FROM item;
SELECT a.name, b.name FROM item a JOIN item b ON b.id = a.size ORDER BY a.name DESC, b.name LIMIT 20;
BEGIN;
UPDATE item SET body = zeroblob(900) WHERE size % 5 = 0;
DELETE FROM item WHERE id % 3 = 0;
COMMIT;
SELECT size, count(*), group_concat(substr(name, 6), ' ') FROM (SELECT * FROM item ORDER BY id)
	GROUP BY size HAVING size < 40 ORDER BY size;
SELECT length(json_group_array(json_object('id', id, 'name', name))) FROM item;
VACUUM;
PRAGMA integrity_check;
SQL
sqlite3 "$work/plain.db" <"$work/statements" >"$work/plain"
on_ashlar sqlite3 "$work/ashlar.db" <"$work/statements" >"$work/ashlar"
same "$work/plain" "$work/ashlar"
tail -1 "$work/ashlar" | has -x ok || fail "integrity check"
on_ashlar sqlite3 "$work/plain.db" .dump >"$work/dump.plain"
sqlite3 "$work/ashlar.db" .dump >"$work/dump.ashlar"
same "$work/dump.plain" "$work/dump.ashlar"
