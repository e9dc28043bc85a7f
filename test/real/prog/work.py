"""Big dicts, json and threads; prints figures that do not depend on the order of anything."""
import hashlib
import json
import re
import sys
import threading
import zlib

with open("/proc/self/maps") as maps:
    if len(sys.argv) > 1 and sys.argv[1] not in maps.read():
        sys.exit("the library is not mapped")

table = {f"key-{i}": [i, str(i) * (i % 17), {"n": i}] for i in range(60000)}
text = json.dumps(table, sort_keys=True)
assert json.loads(text) == table
print("json", len(text), hashlib.sha256(text.encode()).hexdigest())
for i in range(0, 60000, 3):
    del table[f"key-{i}"]
table.update({i: bytes(i % 4000) for i in range(20000)})
print("table", len(table), sum(len(v) for v in table.values()))

results = {}


def work(number):
    parts = []
    for i in range(3000):
        parts.append(f"{number}:{i}:" + "x" * (i % 300))
        if i % 100 == 99:
            blob = "".join(parts).encode()
            packed = zlib.compress(blob, 1)
            assert zlib.decompress(packed) == blob
            parts = parts[50:]
    results[number] = hashlib.sha256("".join(parts).encode()).hexdigest()


threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for number in sorted(results):
    print("thread", number, results[number])

grid = [[(x * y) % 97 for x in range(300)] for y in range(300)]
print("grid", sum(map(sum, grid)), len(sorted(sum(grid, []))))
print("words", len(re.findall(r"[0-9]+", text)))
print("big", (7 ** 30000).bit_length(), len(bytearray(50_000_000)))
