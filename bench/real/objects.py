"""objects.py ROUNDS: JSON and dictionaries: builds records, prints them as JSON, parses them, groups and
sorts them, and lets them go. The objects of a round die in another order than they were born."""

import json
import sys


def records(count, seed):
    state, out = seed, []
    for i in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2 ** 64
        out.append({"id": i, "name": f"name {state >> 40}", "tags": [f"t{state >> s & 63}" for s in (8, 20, 33)],
                    "value": (state >> 30) / 1024, "nested": {"a": i % 7, "b": str(state % 1009) * 3}})
    return out


def one_round(number):
    parsed = json.loads(json.dumps(records(20000, number + 1)))
    groups = {}
    for record in parsed:
        for tag in record["tags"]:
            groups.setdefault(tag, []).append(record)
    order = sorted(parsed, key=lambda r: (r["nested"]["b"], r["id"]))
    text = ",".join(r["name"] for r in order[::3])
    names = {r["name"]: r for r in order}
    for record in parsed[::2]:
        names.pop(record["name"], None)
    return len(groups), len(text), len(names), sum(len(v) for v in groups.values())


def main():
    for number in range(int(sys.argv[1])):
        print(number, *one_round(number))


main()
