#!/usr/bin/env python3
# ctest-timeout: 600
# The flame graph in headless Chromium: what is drawn, zoom, search, keys, comparison; names that look like HTML.
import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent / "lib"))
from profiles import Proto, check, end, equal, run  # noqa: E402

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = '</script><script>document.title = "wrong"</script><img src=x onerror="document.title = 1">'
WIDTH = 1000


class Page(html.parser.HTMLParser):
    """The page as it was drawn: frames by node, other elements by id."""

    def __init__(self, text):
        super().__init__()
        self.frames, self.ids, self.open = {}, {}, []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        element = dict(attributes, tag=tag, text="")
        if tag not in ("meta", "input", "img", "link", "br"):
            self.open.append(element)
        if "id" in element:
            self.ids[element["id"]] = element
        if "data-node" in element:
            self.frames[int(element["data-node"])] = element

    def handle_endtag(self, tag):
        while self.open and self.open.pop()["tag"] != tag:
            pass

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def named(self, name):
        return next((f for f in self.frames.values() if f["data-name"] == name), None)

    def width(self, name):
        frame = self.named(name)
        return float(re.search(r"width: ([\d.]+)px", frame["style"])[1]) if frame else 0

    def found(self):
        return {f["data-name"] for f in self.frames.values() if "found" in f["class"].split()}


def browse(folder, page, fragment="", script=""):
    """The page after `script` ran in it, as `text` of the element `result` if it sets one."""
    path = page
    if script:
        path = folder / "scripted.html"
        extra = ('<pre id="result"></pre><script>(() => { const result = (() => {' + script +
                 '})(); document.getElementById("result").textContent = JSON.stringify(result); })();</script></body>')
        path.write_text(page.read_text().replace("</body>", extra, 1))
    done = subprocess.run([BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                           f"--user-data-dir={folder}/browser", f"--window-size={WIDTH},700", "--virtual-time-budget=2000",
                           "--dump-dom", f"file://{path}{fragment}"], capture_output=True, text=True, timeout=120, check=False)
    check(done.returncode == 0 and "</html>" in done.stdout, f"the browser: {done.returncode} {done.stderr[-500:]}")
    return Page(done.stdout)


def profile(grown=0, shrunk=0):
    made = Proto([("inuse_objects", "count"), ("inuse_space", "bytes")])
    for id, name in enumerate(["main", "serve", "parse", "copy", "cache", EVIL], 1):
        made.function(id, name, f"{name[:5]}.c" if id < 6 else "evil.c")
        made.location(id, id, 0, [(id, id)])
    made.sample([4, 3, 2, 1], [1, 500000 + grown])
    made.sample([5, 2, 1], [30, 300000 - shrunk])
    made.sample([6, 1], [9, 200000])
    return made


def check_drawn(folder, page):
    drawn = browse(folder, page)
    equal([drawn.frames[n]["data-name"] for n in sorted(drawn.frames)], ["all", "main", "serve", "parse", "copy", "cache", EVIL],
          "frames in order, names as they are")
    room = drawn.width("all")
    check(room > WIDTH / 2, f"the graph is as wide as the page: {room}")
    for name, share in (("main", 1), ("serve", 0.8), ("parse", 0.5), ("cache", 0.3), (EVIL, 0.2)):
        check(abs(drawn.width(name) / room - share) < 0.005, f"{name} is {share} wide: {drawn.width(name)}")
    equal(drawn.ids["title"]["text"], str(page.with_suffix(".pb")), "the title")
    check(drawn.named("parse")["text"] == "parse" and "parse" in drawn.named("parse")["aria-label"], "texts in frames")
    check("488.28 KiB, 50.00 % of all, 62.50 % of its caller" in drawn.named("parse")["aria-label"],
          f"what the tip says: {drawn.named('parse')['aria-label']}")
    text = page.read_text()
    check(not re.search(r"https?:|\bsrc=[^x]|href=|@import|url\(|fetch\(|<script src|<img", text), "nothing is loaded")
    objects = browse(folder, page, "#type=inuse_objects")
    check(abs(objects.width("cache") / room - 0.75) < 0.005, "another type of value")


def check_zoom(folder, page):
    drawn = browse(folder, page)
    node = drawn.named("serve")["data-node"]
    zoomed = browse(folder, page, f"#zoom={node}")
    equal({f["data-name"] for f in zoomed.frames.values()}, {"all", "main", "serve", "parse", "copy", "cache"}, "callers stay")
    check(zoomed.width("serve") == zoomed.width("all") and abs(zoomed.width("parse") / zoomed.width("all") - 0.625) < 0.005,
          "what is zoomed to is as wide as the page")
    check("above" in zoomed.named("main")["class"] and "above" not in zoomed.named("serve")["class"], "callers are pale")
    equal(zoomed.ids["path"]["text"].split(" \u203a "), ["all", "main", "serve"], "the way there")
    equal(len(browse(folder, page, "#zoom=99999").frames), 7, "no such frame")


def check_search(folder, page):
    for text, names, share in (("par", {"parse"}, "50.00 %"), ("SERVE", {"serve"}, "80.00 %"), ("/^(copy|cache)$/", {"copy", "cache"}, "80.00 %"),
                               ("e", {"serve", "parse", "cache", EVIL}, "100.00 %"), ("nonsense", set(), "0.00 %")):
        drawn = browse(folder, page, "#search=" + "".join(f"%{byte:02x}" for byte in text.encode()))
        equal(drawn.found(), names, f"search {text}")
        equal(drawn.ids["matched"].get("data-share"), share, f"share of {text}")
    wrong = browse(folder, page, "#search=/(/")
    check("wrong" in wrong.ids["search"].get("class", "") and not wrong.found(), "a broken expression")


KEYS = """
	const press = (key) => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
	const named = (name) => document.querySelector(`[data-name="${name}"]`);
	const here = () => document.activeElement.dataset.name;
	const way = [];
	document.querySelector('[data-node="0"]').focus();
	for (const key of %s) {
		press(key);
		way.push(here() || document.activeElement.id);
	}
	return {way, hash: location.hash, title: document.title, frames: document.querySelectorAll(".frame").length};
"""


def keys(folder, page, *pressed):
    return json.loads(browse(folder, page, script=KEYS % json.dumps(pressed)).ids["result"]["text"])


def check_keys(folder, page):
    result = keys(folder, page, "ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight", "ArrowLeft", "ArrowDown", "ArrowDown", "ArrowUp", "Home")
    equal(result["way"], ["main", "serve", "parse", "cache", "parse", "copy", "copy", "parse", "all"], "arrows")
    result = keys(folder, page, "ArrowDown", "ArrowDown", "Enter")
    equal((result["way"][-1], result["hash"], result["frames"]), ("serve", "#zoom=2", 6), "Enter zooms")
    result = keys(folder, page, "ArrowDown", "ArrowDown", "Enter", "Backspace", "/")
    equal((result["way"], result["hash"], result["frames"]), (["main", "serve", "serve", "main", "search"], "#zoom=1", 7), "out, and to the search")
    result = keys(folder, page, "ArrowDown", "ArrowDown", "ArrowDown", " ", "Escape")
    equal((result["way"][-1], result["hash"], result["frames"]), ("all", "", 7), "Escape")
    equal(result["title"], str(page.with_suffix(".pb")), "a name is not run")


MOUSE = """
	const frame = (name) => document.querySelector(`[data-name="${name}"]`);
	const tip = document.getElementById("tip"), before = tip.hidden;
	frame("cache").dispatchEvent(new MouseEvent("mousemove", {bubbles: true, clientX: 50, clientY: 50}));
	const shown = tip.textContent, during = tip.hidden;
	document.getElementById("graph").dispatchEvent(new MouseEvent("mouseleave", {}));
	const after = tip.hidden;
	frame("cache").dispatchEvent(new MouseEvent("click", {bubbles: true, ctrlKey: true}));
	const found = document.querySelectorAll(".found").length;
	frame("parse").click();
	const zoomed = location.hash;
	document.getElementById("reset").click();
	const search = document.getElementById("search");
	search.value = "copy";
	search.dispatchEvent(new Event("input", {bubbles: true}));
	const matched = document.getElementById("matched").textContent;
	const type = document.getElementById("type");
	type.value = "0";
	type.dispatchEvent(new Event("change", {bubbles: true}));
	return {tips: [before, during, after], shown, found, zoomed, matched, hash: location.hash};
"""


def check_mouse(folder, page):
    result = json.loads(browse(folder, page, script=MOUSE).ids["result"]["text"])
    equal(result["tips"], [True, False, True], "the tip is there while the mouse is")
    check(result["shown"].startswith("cache\ncache.c\ninuse_objects: 30, 75.00 % of all"), f"the tip: {result['shown']}")
    equal(result["found"], 1, "Ctrl-click searches")
    equal(result["zoomed"], "#zoom=3&search=cache", "click zooms")
    equal(result["matched"], "Found: 488.28 KiB, 50.00 % of what is shown", "search")
    equal(result["hash"], "#type=inuse_objects&search=copy", "the address says what is shown")


def check_difference(folder):
    old, new, page = folder / "old.pb", folder / "new.pb", folder / "diff.html"
    profile().write(old)
    profile(250000, 100000).write(new)
    run("--flame", page, "--diff", old, new)
    drawn = browse(folder, page)
    equal({f["data-name"]: f["data-change"] for f in drawn.frames.values()},
          {"all": "grown", "main": "grown", "serve": "grown", "parse": "grown", "copy": "grown", "cache": "shrunk", EVIL: "same"}, "changes")
    colour = lambda name: [int(c) for c in re.findall(r"\d+", re.search(r"rgb\(([^)]*)\)", drawn.named(name)["style"])[1])]
    check(colour("copy")[0] > colour("copy")[2] and colour("cache")[2] > colour("cache")[0], "red has grown, blue has shrunk")
    check(colour("copy")[1] < colour("main")[1] + 60 and len(set(colour(EVIL))) == 1, "grey is the same")
    check("base 488.28 KiB, +244.14 KiB" in drawn.named("copy")["aria-label"], f"the tip: {drawn.named('copy')['aria-label']}")
    base = browse(folder, page, "#side=1")
    check(abs(base.width("cache") / base.width("all") - 0.3) < 0.005, "widths of the base")
    check(abs(drawn.width("cache") / drawn.width("all") - 200 / 1150) < 0.005, "widths of the profile")


def check_large(folder):
    """Many frames: only those that can be seen are drawn, and of very many the smallest are not there."""
    made = Proto([("inuse_space", "bytes")])
    made.function(1, "f")
    for id in range(1, 2001):
        made.function(id, f"function_{id}") if id > 1 else None
        made.location(id, id, 0, [(id, 1)])
    for id in range(2, 2001):
        for other in range(2, 72):
            made.sample([other, id, 1], [1000000 if id == 777 else 1])
    made.write(folder / "large.pb")
    run("--flame", folder / "large.html", folder / "large.pb")
    drawn = browse(folder, folder / "large.html")
    check(drawn.width("function_777") > WIDTH / 2 and len(drawn.frames) < 100, f"{len(drawn.frames)} frames are drawn")
    equal(drawn.ids["left-out"]["text"], f"{1998 * 71:,} calls that are less than 0.002 % of everything are left out.", "left out")


if BROWSER is None:
    print("no Chromium (Debian: chromium)")
    sys.exit(77)
with tempfile.TemporaryDirectory() as name:
    here = pathlib.Path(name)
    graph = here / "graph.html"
    profile().write(graph.with_suffix(".pb"))
    run("--flame", graph, graph.with_suffix(".pb"))
    for test in (check_drawn, check_zoom, check_search, check_keys, check_mouse):
        test(here, graph)
    check_difference(here)
    check_large(here)
end()
