"""What the tests of `ashlar profile` share: running it, checks, and profile.proto written and read by hand."""
import gzip
import os
import pathlib
import re
import subprocess
import sys

TOOL = os.path.join(os.environ["BUILD"], "ashlar")
DATA = pathlib.Path(os.environ["SOURCE"]) / "test" / "tool" / "data"
problems = []


def check(condition, text):
    if not condition:
        problems.append(text)
        print("FAILED:", text)


def equal(found, wanted, text):
    check(found == wanted, f"{text}: {found!r}, wanted {wanted!r}")


def end():
    print(f"{len(problems)} problems")
    sys.exit(1 if problems else 0)


def run(*arguments, status=0, input=None, **environment):
    """Runs the tool and returns (stdout, stderr); a wrong status is a problem."""
    done = subprocess.run([TOOL, "profile", *map(str, arguments)], input=input, capture_output=True, timeout=120,
                          env={**os.environ, "DEBUGINFO_PATH": "", "DEBUGINFOD_URLS": "", **environment}, check=False)
    out, err = done.stdout.decode(), done.stderr.decode()
    check(done.returncode == status, f"{arguments}: status {done.returncode}, wanted {status}: {err}")
    return out, err


def top(*arguments, **more):
    """{function: (flat, cumulated)} and the total, as whole numbers."""
    out, _ = run("--top", "--bytes", "-n", "0", *arguments, **more)
    lines = out.splitlines()
    rows = {}
    for line in lines[2:]:
        flat, _, _, cumulated, _, name = line.split(None, 5)
        rows[name] = (int(flat), int(cumulated))
    return rows, int(re.search(r"total ([-+]?\d+)", lines[0]).group(1))


def folded(*arguments, **more):
    """{stack: number} or, in a comparison, {stack: (base, new)}."""
    stacks = {}
    for line in run("--folded", "-", *arguments, **more)[0].splitlines():
        if re.fullmatch(r".* \d+ \d+", line):
            stacks[line.rsplit(" ", 2)[0]] = tuple(map(int, line.rsplit(" ", 2)[1:]))
        else:
            stacks[line.rsplit(" ", 1)[0]] = int(line.rsplit(" ", 1)[1])
    return stacks


# -- profile.proto ------------------------------------------------------------------------------------------


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def blob(field, data):
    data = data.encode() if isinstance(data, str) else data
    return varint(field << 3 | 2) + varint(len(data)) + data


class Proto:
    """A profile that is put together; texts get their numbers as they come."""

    def __init__(self, types, default=None):
        self.texts = [""]
        self.out = bytearray()
        for name, unit in types:
            self.out += blob(1, number(1, self.text(name)) + number(2, self.text(unit)))
        if default:
            self.out += number(14, self.text(default))

    def text(self, text):
        if text not in self.texts:
            self.texts.append(text)
        return self.texts.index(text)

    def mapping(self, id, start, limit, offset, file, build_id=""):
        self.out += blob(3, number(1, id) + number(2, start) + number(3, limit) + number(4, offset) +
                         number(5, self.text(file)) + number(6, self.text(build_id)))

    def function(self, id, name, file=""):
        self.out += blob(5, number(1, id) + number(2, self.text(name)) + number(3, self.text(name)) +
                         number(4, self.text(file)))

    def location(self, id, address, mapping=0, lines=()):
        self.out += blob(4, number(1, id) + number(2, mapping) + number(3, address) +
                         b"".join(blob(4, number(1, function) + number(2, line)) for function, line in lines))

    def sample(self, locations, values, labels=(), packed=True):
        if packed:
            body = blob(1, b"".join(map(varint, locations))) + blob(2, b"".join(map(varint, values)))
        else:
            body = b"".join(number(1, l) for l in locations) + b"".join(number(2, v) for v in values)
        for key, value in labels:
            what = number(3, value) if isinstance(value, int) else number(2, self.text(value))
            body += blob(3, number(1, self.text(key)) + what)
        self.out += blob(2, body)

    def data(self):
        return bytes(self.out) + b"".join(blob(6, text) for text in self.texts)

    def write(self, path, packed=False):
        path = pathlib.Path(path)
        path.write_bytes(gzip.compress(self.data()) if packed else self.data())
        return path


def fields(data):
    """[(number, value)] of a message, value an int or bytes."""
    at, found = 0, []

    def take():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        head = take()
        assert head & 7 in (0, 2), "only numbers and bytes are written"
        value = take()
        if head & 7 == 2:
            value, at = data[at:at + value], at + value
        found.append((head >> 3, value))
    return found


def varints(data):
    return [value for _, value in fields(b"".join(b"\x08" + piece for piece in split(data)))]


def split(data):
    """The varints of a packed field, each as its bytes."""
    piece = b""
    for byte in data:
        piece += bytes([byte])
        if byte < 0x80:
            yield piece
            piece = b""


def signed(value):
    return value - (1 << 64) if value >> 63 else value


class Read:
    """A profile.proto, taken apart far enough to compare: types, and samples as (functions, values, labels)."""

    def __init__(self, path):
        data = pathlib.Path(path).read_bytes()
        assert data[:2] == b"\x1f\x8b", "it is compressed"
        parts = fields(gzip.decompress(data))
        texts = [value.decode() for field, value in parts if field == 6]
        pick = lambda number: [fields(value) for field, value in parts if field == number]
        self.types = [tuple(texts[dict(t).get(i, 0)] for i in (1, 2)) for t in pick(1)]
        self.mappings = [dict(m) for m in pick(3)]
        names = {dict(f)[1]: texts[dict(f).get(2, 0)] for f in pick(5)}
        self.files = {texts[dict(f).get(4, 0)] for f in pick(5)}
        self.locations = {}
        for location in pick(4):
            lines = [dict(fields(value)) for field, value in location if field == 4]
            self.locations[dict(location)[1]] = [(names[l[1]], l.get(2, 0)) for l in lines]
        self.samples = []
        for sample in pick(2):
            stack = [l for field, value in sample if field == 1 for l in varints(value)]
            values = [signed(v) for field, value in sample if field == 2 for v in varints(value)]
            labels = [dict(fields(value)) for field, value in sample if field == 3]
            self.samples.append((stack, values, {texts[l[1]]: texts[l[2]] if 2 in l else l.get(3, 0) for l in labels}))
        single = {field: value for field, value in parts if isinstance(value, int)}
        self.default = texts[single.get(14, 0)]
        self.period = single.get(12, 0)
