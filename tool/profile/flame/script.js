"use strict";
(() => {
	const data = JSON.parse(document.getElementById("profile").textContent);
	const types = data.types.length, sides = data.diff ? 2 : 1, stride = 2 + types * sides;
	const count = data.nodes.length / stride;
	const ROW = 18, LEAST = 0.5; // pixels: height of a row, width below which nothing is drawn
	const at = (id) => document.getElementById(id);
	const graph = at("graph"), tip = at("tip"), search = at("search");

	// Nodes are in preorder: the subtree of n is n .. end[n] - 1.
	const depth = new Int32Array(count), parent = new Int32Array(count), end = new Int32Array(count);
	const path = [];
	for (let n = 0; n < count; n++) {
		depth[n] = data.nodes[n * stride];
		while (path.length > depth[n])
			end[path.pop()] = n;
		parent[n] = path.length ? path[path.length - 1] : -1;
		path.push(n);
	}
	for (const n of path)
		end[n] = count;

	const state = { zoom: 0, type: data.type, side: 0, search: "", focus: 0 };
	let found = null; // by frame: does the search match?

	const frame = (n) => data.frames[data.nodes[n * stride + 1]];
	const value = (n, type, side) => data.nodes[n * stride + 2 + side * types + type];
	const width = (n) => Math.max(0, value(n, state.type, state.side));
	const name = (n) => frame(n)[0] + (frame(n)[2] > 0 ? " " + frame(n)[1] + ":" + frame(n)[2] : "");

	// -- texts ------------------------------------------------------------------------------------------

	function amount(number, type, signed) {
		const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
		const sign = signed && number > 0 ? "+" : "";
		if (data.types[type][1] !== "bytes")
			return sign + Math.round(number).toLocaleString("en");
		let unit = 0;
		while (Math.abs(number) >= 1024 && unit < units.length - 1) {
			number /= 1024;
			unit++;
		}
		return sign + (unit ? number.toFixed(2) : Math.round(number)) + " " + units[unit];
	}

	const percent = (part, whole) => whole ? (100 * part / whole).toFixed(2) + " %" : "-";

	function describe(n) {
		const lines = [name(n)];
		if (frame(n)[1] && !frame(n)[2])
			lines.push(frame(n)[1]);
		for (let type = 0; type < types; type++) {
			const now = value(n, type, 0);
			let line = data.types[type][0] + ": " + amount(now, type) + ", " + percent(now, value(0, type, 0)) + " of all";
			if (n > 0 && parent[n] > 0)
				line += ", " + percent(now, value(parent[n], type, 0)) + " of its caller";
			if (data.diff)
				line += "; base " + amount(value(n, type, 1), type) + ", " + amount(now - value(n, type, 1), type, true);
			lines.push(line);
		}
		return lines.join("\n");
	}

	// -- colours ----------------------------------------------------------------------------------------

	function hash(text) {
		let sum = 0;
		for (let i = 0; i < text.length; i++)
			sum = (sum * 31 + text.charCodeAt(i)) >>> 0;
		return sum;
	}

	// In a comparison red has grown and blue has shrunk, the deeper the larger its part of all change.
	function colour(n) {
		if (!data.diff) {
			const sum = hash(frame(n)[0]);
			return n ? `hsl(${20 + sum % 36}, ${72 + (sum >> 8) % 20}%, ${62 + (sum >> 16) % 12}%)` : "#bdbdbd";
		}
		const change = value(n, state.type, 0) - value(n, state.type, 1);
		const whole = Math.max(Math.abs(value(0, state.type, 0)), Math.abs(value(0, state.type, 1)), 1);
		if (change === 0)
			return "#dcdcdc";
		const light = 90 - 38 * Math.min(1, Math.sqrt(Math.abs(change) / whole) * 1.5);
		return `hsl(${change > 0 ? 4 : 214}, 82%, ${light.toFixed(0)}%)`;
	}

	// -- drawing ----------------------------------------------------------------------------------------

	function element(n, left, size, row) {
		const box = document.createElement("div");
		box.className = "frame" + (n !== state.zoom && row < depth[state.zoom] ? " above" : "");
		if (found && found[data.nodes[n * stride + 1]])
			box.classList.add("found");
		box.dataset.node = n;
		box.dataset.name = frame(n)[0];
		box.setAttribute("role", "treeitem");
		box.setAttribute("aria-level", depth[n] + 1);
		box.setAttribute("aria-label", describe(n));
		box.tabIndex = n === state.focus ? 0 : -1;
		box.style.left = left + "px";
		box.style.width = size + "px";
		box.style.top = row * ROW + "px";
		box.style.backgroundColor = colour(n);
		if (data.diff) {
			const change = value(n, state.type, 0) - value(n, state.type, 1);
			box.dataset.change = change > 0 ? "grown" : change < 0 ? "shrunk" : "same";
		}
		if (size > 24)
			box.textContent = name(n);
		return box;
	}

	// Everything from the root down to what is zoomed to is as wide as the page; below it widths are shares.
	function draw() {
		const room = graph.clientWidth || 1000, boxes = document.createDocumentFragment();
		let rows = 0;
		const put = (n, left, size) => {
			rows = Math.max(rows, depth[n] + 1);
			boxes.append(element(n, left, size, depth[n]));
		};
		for (let n = parent[state.zoom]; n >= 0; n = parent[n])
			put(n, 0, room);
		const whole = width(state.zoom) || 1, starts = [];
		starts[depth[state.zoom]] = 0;
		for (let n = state.zoom; n < end[state.zoom];) {
			const size = width(n) / whole * room, left = starts[depth[n]];
			starts[depth[n]] = left + size;
			if (size < LEAST && n !== state.zoom) {
				n = end[n];
				continue;
			}
			put(n, left, n === state.zoom ? room : size);
			starts[depth[n] + 1] = left;
			n++;
		}
		graph.replaceChildren(boxes);
		graph.style.height = rows * ROW + "px";
		drawPath();
		drawMatched();
		if (!graph.querySelector('[tabindex="0"]'))
			box(state.zoom).tabIndex = 0;
	}

	function drawPath() {
		const parts = [];
		for (let n = state.zoom; n >= 0 && state.zoom > 0; n = parent[n]) {
			const button = document.createElement("button");
			button.type = "button";
			button.textContent = frame(n)[0];
			button.addEventListener("click", () => zoom(n));
			parts.unshift(button, n === state.zoom ? "" : " \u203a ");
		}
		at("path").replaceChildren(...parts);
	}

	const box = (n) => graph.querySelector(`[data-node="${n}"]`);

	// -- searching --------------------------------------------------------------------------------------

	// The share of what is zoomed to that lies in or below a match; what is inside of a match counts once.
	function drawMatched() {
		const text = at("matched");
		text.textContent = "";
		delete text.dataset.share;
		if (!found)
			return;
		let sum = 0;
		for (let n = state.zoom; n < end[state.zoom];) {
			const hit = found[data.nodes[n * stride + 1]];
			sum += hit ? width(n) : 0;
			n = hit ? end[n] : n + 1;
		}
		text.dataset.share = percent(sum, width(state.zoom));
		text.textContent = `Found: ${amount(sum, state.type)}, ${text.dataset.share} of what is shown`;
	}

	function matcher(text) {
		const regular = /^\/(.+)\/$/.exec(text), small = text.toLowerCase();
		if (!regular)
			return (words) => words.toLowerCase().includes(small);
		const expression = new RegExp(regular[1]);
		return (words) => expression.test(words);
	}

	function find(text) {
		state.search = text;
		found = null;
		search.classList.remove("wrong");
		if (text) {
			try {
				const matches = matcher(text);
				found = data.frames.map((f) => matches(f[0]) || matches(f[1] + ":" + f[2]));
			} catch (error) {
				search.classList.add("wrong");
			}
		}
		draw();
	}

	// -- moving about -----------------------------------------------------------------------------------

	function remember() {
		const parts = [];
		if (state.zoom)
			parts.push("zoom=" + state.zoom);
		if (state.type !== data.type)
			parts.push("type=" + data.types[state.type][0]);
		if (state.side)
			parts.push("side=1");
		if (state.search)
			parts.push("search=" + encodeURIComponent(state.search));
		try {
			history.replaceState(null, "", "#" + parts.join("&"));
		} catch (error) {
			// a page without an address of its own
		}
	}

	function zoom(n) {
		state.zoom = n;
		state.focus = n;
		tip.hidden = true;
		draw();
		remember();
		box(n).focus();
	}

	function focus(n) {
		const target = n >= 0 && n < count ? box(n) : null;
		if (!target)
			return;
		const old = box(state.focus);
		if (old)
			old.tabIndex = -1;
		state.focus = n;
		target.tabIndex = 0;
		target.focus();
		at("detail").textContent = describe(n);
	}

	// The next or previous sibling that is drawn.
	function sibling(n, step) {
		const boxes = [...graph.children].filter((b) => parent[b.dataset.node] === parent[n]);
		const next = boxes[boxes.findIndex((b) => +b.dataset.node === n) + step];
		return next ? +next.dataset.node : n;
	}

	const keys = {
		ArrowUp: (n) => focus(parent[n]),
		ArrowDown: (n) => focus(end[n] > n + 1 ? n + 1 : n),
		ArrowLeft: (n) => focus(sibling(n, -1)),
		ArrowRight: (n) => focus(sibling(n, 1)),
		Home: () => focus(0),
		Enter: (n) => zoom(n),
		" ": (n) => zoom(n),
		Backspace: () => zoom(Math.max(0, parent[state.zoom])),
		Escape: () => zoom(0),
	};

	graph.addEventListener("keydown", (event) => {
		const key = keys[event.key];
		if (!key || event.ctrlKey || event.metaKey || event.altKey)
			return;
		event.preventDefault();
		key(+event.target.dataset.node);
	});

	document.addEventListener("keydown", (event) => {
		if (event.key === "/" && event.target !== search) {
			event.preventDefault();
			search.focus();
			search.select();
		} else if (event.key === "Escape" && event.target === search) {
			search.value = "";
			find("");
			remember();
			box(state.zoom).focus();
		}
	});

	graph.addEventListener("click", (event) => {
		const node = event.target.dataset.node;
		if (node === undefined)
			return;
		if (event.ctrlKey || event.metaKey) {
			search.value = frame(+node)[0];
			find(search.value);
			remember();
		} else {
			zoom(+node);
		}
	});

	graph.addEventListener("mousemove", (event) => {
		const node = event.target.dataset.node;
		tip.hidden = node === undefined;
		if (tip.hidden)
			return;
		tip.textContent = at("detail").textContent = describe(+node);
		tip.style.left = Math.max(0, Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)) + "px";
		tip.style.top = Math.max(0, Math.min(event.clientY + 18, innerHeight - tip.offsetHeight - 8)) + "px";
	});
	graph.addEventListener("mouseleave", () => { tip.hidden = true; });

	// -- controls ---------------------------------------------------------------------------------------

	function restore() {
		const wanted = new URLSearchParams(location.hash.slice(1));
		const node = Number(wanted.get("zoom")), type = data.types.findIndex((t) => t[0] === wanted.get("type"));
		state.zoom = Number.isInteger(node) && node > 0 && node < count ? node : 0;
		state.focus = state.zoom;
		state.type = type >= 0 ? type : data.type;
		state.side = data.diff && wanted.get("side") === "1" ? 1 : 0;
		at("type").value = state.type;
		at("side").value = state.side;
		search.value = wanted.get("search") || "";
		find(search.value);
	}

	data.types.forEach((type, number) => at("type").append(new Option(type[0].replace(/_/g, " "), number)));
	at("type").addEventListener("change", (event) => { state.type = +event.target.value; draw(); remember(); });
	at("side").addEventListener("change", (event) => { state.side = +event.target.value; draw(); remember(); });
	at("side-label").hidden = !data.diff;
	at("reset").addEventListener("click", () => zoom(0));
	search.addEventListener("input", () => { find(search.value); remember(); });
	addEventListener("resize", draw);
	addEventListener("hashchange", restore);
	at("title").textContent = document.title = data.title + (data.inverted ? " (callers)" : "");
	if (data.leftOut)
		at("left-out").textContent = data.leftOut.toLocaleString("en") + " calls that are less than 0.002 % of everything are left out.";
	restore();
})();
