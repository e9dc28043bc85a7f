#!/usr/bin/env python3
"""Every exported symbol has its tests: functions.tsv has a row for each name of src/exports.txt and for nothing else, the
test a row names exists, and the file it is in calls the function by its name.

functions.tsv  symbol, file below test/, test function in it
"""
import os
import pathlib
import re
import sys

SOURCE = pathlib.Path(os.environ["SOURCE"])


def exported():
    lines = (SOURCE / "src/exports.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def wrong_with(symbol, file, function):
    path = SOURCE / "test" / file
    if not path.exists():
        return f"there is no {file}"
    text = path.read_text()
    if not re.search(rf"^(static )?[\w ]*\b{re.escape(function)}\b", text, re.M):
        return f"{file} has no {function}"
    body = re.search(rf"^[^\n;]*\b{re.escape(function)}\b[^\n;]*\{{\n(.*?)^\}}", text, re.M | re.S)
    if not body:
        return f"{file}: {function} has no body"
    # Operators are called by the language, under names that are not written out.
    if not symbol.startswith("_Z") and not re.search(rf"\b{re.escape(symbol)}\b", text):
        return f"{file} does not mention it"
    return None


def main():
    rows, failures = {}, []
    for line in (SOURCE / "test/api/functions.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            symbol, file, function = line.split("\t")
            rows.setdefault(symbol, []).append((file, function))
    names = exported()
    failures += [f"{name}: exported, but no test is named" for name in names if name not in rows]
    failures += [f"{name}: not exported" for name in rows if name not in names]
    for symbol, tests in rows.items():
        for test in tests:
            wrong = wrong_with(symbol, *test)
            if wrong:
                failures.append(f"{symbol}: {wrong}")
    for failure in failures:
        print("FAILED", failure)
    print(f"{len(names)} names, {sum(map(len, rows.values()))} tests, {len(failures)} failures")
    return 1 if failures or not names else 0


if __name__ == "__main__":
    sys.exit(main())
