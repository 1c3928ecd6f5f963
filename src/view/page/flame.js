// flame.js - the flame graph of live and of allocated memory, from the sampled call stacks.

const FLAME_ROW = 21;
const flame = { data: null, mode: "live", unit: "bytes", root: null, zoom: null, boxes: [],
  focus: null, search: "", total: 0 };

// Adds the stacks up to a tree: a node for each function below its caller.
function growTree() {
  const value = flame.mode + "_" + flame.unit;
  const root = { name: "all", value: 0, self: 0, children: new Map(), parent: null, depth: 0 };
  for (const stack of flame.data.stacks) {
    const n = stack[value] || 0;
    if (n <= 0) continue;
    let node = root;
    root.value += n;
    for (const frame of stack.frames) {
      const name = typeof frame === "string" ? frame : frame.name;
      let child = node.children.get(name);
      if (!child) {
        child = { name, value: 0, self: 0, children: new Map(), parent: node,
          depth: node.depth + 1, place: null };
        if (frame.file) child.place = frame.file + (frame.line ? ":" + frame.line : "");
        node.children.set(name, child);
      }
      child.value += n;
      node = child;
    }
    node.self += n;
  }
  flame.root = root;
}

const amount = n => flame.unit === "bytes" ? size(n) : count(n);

// Finds the place of each function that is wide enough to be seen. Those above the zoomed one get
// the whole width.
function layFlame(width) {
  const boxes = [], path = new Set();
  for (let n = flame.zoom; n; n = n.parent) path.add(n);
  const place = (node, x, w) => {
    boxes.push({ node, x, w, y: node.depth * FLAME_ROW });
    const inPath = [...node.children.values()].find(c => path.has(c));
    if (inPath) {
      place(inPath, x, w);
      return;
    }
    let at = x;
    const children = [...node.children.values()].sort((a, b) => b.value - a.value);
    for (const child of children) {
      const cw = w * child.value / node.value;
      if (cw < 0.6) break;
      place(child, at, cw);
      at += cw;
    }
  };
  if (flame.root.value > 0) place(flame.root, 0, width);
  flame.boxes = boxes;
}

// Gives the functions of one module, as far as a name tells, the same tone.
function toneOf(name) {
  let hash = 7;
  const word = name.split(/[:_(<]/)[0] || name;
  for (let i = 0; i < word.length; i++) hash = (hash * 31 + word.charCodeAt(i)) >>> 0;
  return hash % 17;
}

function paintBox(g, box) {
  const node = box.node, found = flame.search && node.name.toLowerCase().includes(flame.search);
  const above = flame.zoom && node !== flame.zoom && node.depth < flame.zoom.depth;
  const hue = Number(colours.flame) + toneOf(node.name) - 8;
  g.globalAlpha = above ? 0.5 : flame.search && !found ? 0.45 : 1;
  g.fillStyle = node.parent === null ? colours.released : found ? colours.found :
    "hsl(" + hue + " " + colours["flame-s"] + " " + colours["flame-l"] + ")";
  g.fillRect(box.x, box.y, Math.max(box.w - 1, 0.6), FLAME_ROW - 1);
  if (node === flame.focus) {
    g.strokeStyle = colours.ink;
    g.lineWidth = 2;
    g.strokeRect(box.x + 1, box.y + 1, Math.max(box.w - 3, 1), FLAME_ROW - 3);
  }
  if (box.w < 28) return;
  const all = node.parent === null ? (flame.mode === "live" ? "live " : "allocated ") +
    amount(node.value) : node.name;
  let text = all, room = box.w - 10;
  if (g.measureText(text).width > room) {
    let low = 0, high = all.length;
    while (low < high) {
      const mid = (low + high + 1) >> 1;
      if (g.measureText(all.slice(0, mid) + "\u2026").width <= room) low = mid; else high = mid - 1;
    }
    text = low > 1 ? all.slice(0, low) + "\u2026" : "";
  }
  g.fillStyle = found ? "#ffffff" : node.parent === null ? colours.ink : colours["flame-ink"];
  g.fillText(text, box.x + 5, box.y + FLAME_ROW / 2);
}

const drawFlame = oncePerFrame(() => {
  const canvas = $("flame");
  if (!flame.root || $("flame-frame").hidden) return;
  layFlame(canvas.clientWidth);
  const rows = flame.boxes.reduce((most, b) => Math.max(most, b.node.depth), 0) + 1;
  canvas.style.height = rows * FLAME_ROW + "px";
  const g = prepare(canvas);
  g.font = "12px " + fonts;
  g.textBaseline = "middle";
  for (const box of flame.boxes) paintBox(g, box);
  g.globalAlpha = 1;
});

function flameTip(node, x, y) {
  const total = flame.root.value, per = share(node.value / total);
  const rows = [[flame.mode === "live" ? "Live" : "Allocated", amount(node.value) + ", " + per]];
  if (node.self > 0 && node.self !== node.value) rows.push(["In itself", amount(node.self)]);
  if (node.place) rows.push(["Place", node.place]);
  showTip(x, y, node.parent ? node.name : "All samples", rows);
  return node.name + ", " + amount(node.value) + ", " + per;
}

// The heaviest functions as a table. A function that calls itself counts once.
function showHeaviest() {
  const by = new Map();
  const walk = (node, seen) => {
    const known = by.get(node.name) || { name: node.name, self: 0, all: 0 };
    known.self += node.self;
    const first = !seen.has(node.name);
    if (first) {
      known.all += node.value;
      seen.add(node.name);
    }
    by.set(node.name, known);
    for (const child of node.children.values()) walk(child, seen);
    if (first) seen.delete(node.name);
  };
  for (const child of flame.root.children.values()) walk(child, new Set());
  const rows = [...by.values()].sort((a, b) => b.self - a.self || b.all - a.all).slice(0, 20);
  $("flame-top").replaceChildren(make("thead", {}, make("tr", {}, make("th", {}, "Itself"),
    make("th", {}, "Share"), make("th", {}, "With callees"),
    make("th", { className: "left" }, "Function"))),
  make("tbody", {}, ...rows.map(r => make("tr", {}, make("td", {}, amount(r.self)),
    make("td", {}, share(r.self / flame.root.value)), make("td", {}, amount(r.all)),
    make("td", { className: "left wide" }, make("code", {}, r.name))))));
  $("flame-details").hidden = rows.length === 0;
}

function showNoFlame(...what) {
  $("flame-frame").hidden = $("flame-details").hidden = true;
  $("flame-note").hidden = false;
  $("flame-note").replaceChildren(...what);
  $("flame-sum").textContent = "";
  for (const id of ["flame-mode", "flame-unit", "flame-search"]) $(id).hidden = true;
}

// What to do when the process takes no samples.
function sayHowToSample(pid) {
  const p = (...c) => make("p", {}, ...c);
  showNoFlame(
    p("No call stacks: this process takes no samples of its allocations."),
    p("Take samples from now on, without a restart:"),
    make("pre", {}, "goalloc-view --pprof heap.pb.gz --seconds 30 " + (pid || "PID")),
    p("or from the start:"),
    make("pre", {}, "goalloc-run --profile heap.pb.gz program"),
    p("Then press Refresh."));
}

function showFlame(data, pid) {
  flame.data = data;
  if (!data || !data.stacks || data.stacks.length === 0) {
    sayHowToSample(pid);
    return;
  }
  for (const id of ["flame-mode", "flame-unit", "flame-search"]) $(id).hidden = false;
  $("flame-note").hidden = true;
  $("flame-frame").hidden = false;
  flame.focus = flame.zoom = null;
  retree();
}

function retree() {
  if (!flame.data) return;
  growTree();
  flame.zoom = flame.focus = null;
  const n = flame.data.stacks.length;
  $("flame-sum").textContent = amount(flame.root.value) + " in " + plural(n, "stack") +
    (flame.data.period > 1 ? ", a sample each " + wholeSize(flame.data.period) : "");
  showHeaviest();
  drawFlame();
}

function flameAt(x, y) {
  return flame.boxes.find(b => x >= b.x && x < b.x + b.w && y >= b.y && y < b.y + FLAME_ROW);
}

function startFlameKeys(canvas) {
  canvas.addEventListener("keydown", event => {
    const boxes = flame.boxes, at = boxes.find(b => b.node === flame.focus) || boxes[0];
    if (!at) return;
    let next = null;
    if (event.key === "ArrowDown") {
      next = boxes.find(b => b.node.parent === at.node) || at;
    } else if (event.key === "ArrowUp") {
      next = boxes.find(b => b.node === at.node.parent) || at;
    } else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      const row = boxes.filter(b => b.y === at.y).sort((a, b) => a.x - b.x);
      next = row[row.indexOf(at) + (event.key === "ArrowRight" ? 1 : -1)] || at;
    } else if (event.key === "Enter") {
      flame.zoom = at.node;
      next = at;
    } else if (event.key === "Escape") {
      flame.zoom = null;
      next = boxes[0];
    } else return;
    event.preventDefault();
    flame.focus = next.node;
    const box = canvas.getBoundingClientRect();
    $("flame-read").textContent = flameTip(next.node, box.left + next.x + next.w / 2,
      box.top + next.y + FLAME_ROW);
    drawFlame();
  });
  canvas.addEventListener("blur", () => {
    flame.focus = null;
    hideTip();
    drawFlame();
  });
}

function startFlame(again) {
  const canvas = $("flame");
  canvas.addEventListener("pointermove", event => {
    const box = flameAt(event.offsetX, event.offsetY);
    flame.focus = box ? box.node : null;
    if (box) flameTip(box.node, event.clientX, event.clientY); else hideTip();
    drawFlame();
  });
  canvas.addEventListener("pointerleave", () => {
    flame.focus = null;
    hideTip();
    drawFlame();
  });
  canvas.addEventListener("click", event => {
    const box = flameAt(event.offsetX, event.offsetY);
    if (!box) return;
    flame.zoom = box.node === flame.zoom || !box.node.parent ? null : box.node;
    drawFlame();
  });
  startFlameKeys(canvas);
  choice("flame-mode", mode => {
    flame.mode = mode;
    retree();
  });
  choice("flame-unit", unit => {
    flame.unit = unit;
    retree();
  });
  $("flame-search").addEventListener("input", event => {
    flame.search = event.target.value.trim().toLowerCase();
    drawFlame();
  });
  $("flame-again").hidden = isSaved;
  $("flame-again").addEventListener("click", again);
}
