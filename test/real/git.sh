#!/bin/bash
# git: a generated history is cloned, repacked with threads and checked; nothing in it changes.
source "$(dirname "$0")/common.bash"
need git
export HOME=$work GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0
export GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@example.org GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@example.org

# 200 commits of 5 files each, as a stream that every run turns into the same objects.
stream() {
	local i j
	for ((i = 1; i <= 200; i++)); do
		printf 'commit refs/heads/main\nmark :%d\ncommitter t <t@example.org> %d +0000\ndata 9\ncommit %02d\n' \
			"$i" $((1000000000 + i)) $((i % 100))
		for ((j = 0; j < 5; j++)); do
			text=$(printf "line %d\n" $(seq $((i * j)) $((i * j + 60))))
			printf 'M 100644 inline dir%d/file%d\ndata %d\n%s\n' $((i % 7)) "$j" "${#text}" "$text"
		done
	done
}

stream >"$work/stream"
git init -q -b main "$work/origin"
cd "$work/origin"
on_ashlar git fast-import --quiet <"$work/stream"
expect_loaded git git cat-file --batch
head=$(git rev-parse main)
[ "$(git rev-list --count main)" = 200 ] || fail "not all commits were imported"

on_ashlar git clone -q "file://$work/origin" "$work/clone" || fail "clone"
cd "$work/clone"
[ "$(git rev-parse HEAD)" = "$head" ] || fail "the clone has another head"
on_ashlar git -c pack.threads=4 -c pack.window=50 gc -q --aggressive --prune=now || fail "gc"
on_ashlar git fsck --full --strict >"$work/fsck" 2>&1 || fail "fsck: $(cat "$work/fsck")"
git fsck --full --strict >/dev/null 2>&1 || fail "fsck without the library"
on_ashlar git log --stat -p --all >"$work/log.ashlar"
git log --stat -p --all >"$work/log.plain"
same "$work/log.plain" "$work/log.ashlar"
on_ashlar git blame -s dir3/file4 >"$work/blame.ashlar"
git blame -s dir3/file4 >"$work/blame.plain"
same "$work/blame.plain" "$work/blame.ashlar"
on_ashlar git checkout -q HEAD~100
on_ashlar git grep -c line >/dev/null || fail "grep"
[ "$(git count-objects -v | sed -n 's/^count: //p')" = 0 ] || fail "gc left loose objects"
