// map.js - the map of the heap: a cell for each page, in rows. Arenas begin in rows of their own.
//
// The whole heap is one small picture with a pixel for each page, which the canvas scales. Spans
// are drawn one by one only where cells are large enough to show more than a colour.

const FREE = -1, RELEASED = -2, HOLE = -3, HELD = -4;
const DETAIL = 7;         // from this many CSS pixels a cell on, spans are drawn with their fill
const SCALE_MAX = 72;

// The groups of the legend, by the size of a slot.
const groups = [
  { name: "\u2264 64 B", colour: "size0", holds: s => s.size > 0 && s.size <= 64 },
  { name: "\u2264 512 B", colour: "size1", holds: s => s.size > 64 && s.size <= 512 },
  { name: "\u2264 4 KiB", colour: "size2", holds: s => s.size > 512 && s.size <= 4096 },
  { name: "\u2264 32 KiB", colour: "size3", holds: s => s.size > 4096 },
  // Above 32 KiB, or smaller ones with a span of their own: realloc grew them, or they are aligned
  // to more than 8 KiB.
  { name: "big", colour: "big", holds: s => s.size === 0 },
];

const map = {
  mode: "size", pageSize: 8192, arenas: [], spans: null, picture: null,
  columns: 0, rows: 0, scale: 1, fit: 1, x: 0, y: 0, hover: -1, only: -1, lit: [],
  mark: null, markTime: 0, cells: 0, heap: null, time: 0,
};

// The slot size of each class, by its number; 0 stands for big objects.
const classSizes = [@class_sizes@];

// Takes a heap.json apart into typed arrays: per page the number of its span or what it is
// otherwise, per span its place and numbers. Pages are counted from the first one of the arena that
// is in use; page0 is that one's number among all addresses.
function readHeap(heap) {
  map.pageSize = heap.page_size;
  let nspans = 0;
  for (const a of heap.arenas) nspans += a.spans.length;
  const s = { n: nspans, arena: new Uint32Array(nspans), first: new Uint32Array(nspans),
    pages: new Uint32Array(nspans), cls: new Uint8Array(nspans), scan: new Uint8Array(nspans),
    live: new Uint32Array(nspans), slots: new Uint32Array(nspans) };
  let i = 0;
  map.arenas = heap.arenas.map((arena, number) => {
    let begin = Infinity, end = 0;
    const held = arena.held || [];
    for (const row of [...arena.spans, ...arena.free, ...held]) {
      begin = Math.min(begin, row[0]);
      end = Math.max(end, row[0] + row[1]);
    }
    begin = Math.min(begin - begin % 64, end);
    end -= begin;
    const cells = new Int32Array(end).fill(HOLE);
    // A free run says how many of its pages are released, not which: they are shown at its end.
    for (const [page, pages, released] of arena.free) {
      const first = page - begin;
      cells.fill(FREE, first, first + pages);
      cells.fill(RELEASED, first + pages - Math.min(pages, released), first + pages);
    }
    for (const [page, pages] of held) cells.fill(HELD, page - begin, page - begin + pages);
    for (const row of arena.spans) {
      const first = row[0] - begin;
      cells.fill(i, first, first + row[1]);
      s.arena[i] = number;
      s.first[i] = first;
      s.pages[i] = row[1];
      s.cls[i] = row[2];
      s.scan[i] = row[3] ? 1 : 0;
      s.live[i] = row[4];
      s.slots[i] = row[5];
      i++;
    }
    return { address: arena.address, cells, end,
      page0: Number(arena.address) / map.pageSize + begin };
  });
  map.spans = s;
}

const spanFill = (s, i) => s.slots[i] ? s.live[i] / s.slots[i] : s.live[i] ? 1 : 0;

function groupOf(i) {
  const slot = { size: classSizes[map.spans.cls[i]] };
  return groups.findIndex(g => g.holds(slot));
}

// The number of a span's first page among all addresses.
const pageOf = i => map.arenas[map.spans.arena[i]].page0 + map.spans.first[i];

// Returns the spans of this moment by their pages, to compare later ones with.
function takeMark() {
  const marked = new Map(), s = map.spans;
  for (let i = 0; i < s.n; i++) {
    marked.set(pageOf(i), { pages: s.pages[i], cls: s.cls[i], live: s.live[i] });
  }
  return { spans: marked, time: map.time, arenas: new Map(map.arenas.map(a => [a.address, a])) };
}

// What became of a span since the mark: "new", "more", "less" or "same".
function changeOf(i) {
  const s = map.spans;
  const old = map.mark && map.mark.spans.get(pageOf(i));
  if (!old || old.pages !== s.pages[i] || old.cls !== s.cls[i]) return map.mark ? "new" : "same";
  return s.live[i] > old.live ? "more" : s.live[i] < old.live ? "less" : "same";
}

// Sets the colour of each span, and counts what the legend says.
function colourSpans() {
  const s = map.spans, ground = rgb(colours.map);
  const tones = groups.map(g => rgb(colours[g.colour]));
  const live = rgb(colours.live), pale = rgb(colours.released);
  const changes = { new: 0, more: 0, less: 0, same: 0 };
  const change = {};
  for (const name in changes) change[name] = rgb(colours[name]);
  map.colour = new Uint8ClampedArray(3 * s.n);
  map.full = new Uint8ClampedArray(3 * s.n);
  map.group = new Int8Array(s.n);
  map.changes = changes;
  const words = ["new", "more", "less", "same"];
  for (let i = 0; i < s.n; i++) {
    const group = map.group[i] = groupOf(i), fill = spanFill(s, i);
    let full, mixed;
    if (map.mode === "size") {
      full = tones[group];
      mixed = between(ground, full, 0.3 + 0.7 * fill);
    } else if (map.mode === "fill") {
      full = live;
      mixed = between(pale, live, fill);
    } else {
      const word = changeOf(i);
      changes[word] += s.pages[i] * map.pageSize;
      full = mixed = change[word];
      map.group[i] = words.indexOf(word);
    }
    if (map.only >= 0 && map.group[i] !== map.only) {
      full = between(ground, full, 0.14);
      mixed = between(ground, mixed, 0.14);
    }
    map.full.set(full, 3 * i);
    map.colour.set(mixed, 3 * i);
  }
}

// The colour of a page without a span; with the changes, a page that had one at the mark.
function colourOfFree(arena, page, kind) {
  if (map.mode === "change" && map.mark) {
    const old = map.mark.arenas.get(arena.address);
    if (old && old.cells[arena.page0 + page - old.page0] >= 0) {
      map.gone += map.pageSize;
      return colours.gone;
    }
  }
  return kind === FREE || kind === HELD ? colours.free :
    kind === RELEASED ? colours.released : colours.hole;
}

// Chooses how many pages a row has: so that the whole fills the canvas best, and the same as before
// unless that has become worse. While a part is looked at, it has to be much worse.
function arrange() {
  const canvas = $("map"), w = canvas.clientWidth, h = innerWidth <= 760 ? 380 : 460;
  const scaleOf = columns => {
    const rows = map.arenas.reduce((sum, a) => sum + Math.ceil(a.end / columns), 0) || 1;
    return Math.min(w / columns, h / rows);
  };
  let best = 16;
  for (let columns = 16; columns <= 4096; columns += columns < 512 ? 8 : 64) {
    if (scaleOf(columns) > scaleOf(best)) best = columns;
  }
  const much = map.scale > map.fit * 1.001 ? 0.5 : 0.985;
  const keep = map.columns && map.width === w && scaleOf(map.columns) > much * scaleOf(best);
  if (!keep) map.columns = best;
  map.width = w;
  let row = 0;
  for (const a of map.arenas) {
    a.row = row;
    row += Math.ceil(a.end / map.columns);
  }
  map.rows = row || 1;
  const wasFit = !keep || map.scale <= map.fit * 1.001;
  map.fit = Math.min(scaleOf(map.columns), 24);
  canvas.style.height = Math.max(60, Math.min(h, Math.ceil(map.rows * map.fit))) + 2 + "px";
  if (wasFit) fitMap();
}

function fitMap() {
  const canvas = $("map");
  map.scale = map.fit;
  map.x = (map.columns * map.fit - canvas.clientWidth) / 2;
  map.y = 0;
  clampMap();
}

// Keeps the picture inside the canvas as far as it is larger, and in the middle otherwise.
function clampMap() {
  const canvas = $("map"), w = canvas.clientWidth, h = canvas.clientHeight;
  map.scale = Math.max(map.fit, Math.min(SCALE_MAX, map.scale));
  const pw = map.columns * map.scale, ph = map.rows * map.scale;
  map.x = pw <= w ? (pw - w) / 2 : Math.max(0, Math.min(map.x, pw - w));
  map.y = ph <= h ? Math.min(0, (ph - h) / 2) : Math.max(0, Math.min(map.y, ph - h));
  canvas.classList.toggle("zoomed", map.scale > map.fit * 1.001);
}

// Zooms by a factor, so that the page under the point stays there.
function zoomMap(factor, px, py) {
  const canvas = $("map");
  if (px === undefined) {
    px = canvas.clientWidth / 2;
    py = canvas.clientHeight / 2;
  }
  const before = map.scale;
  map.scale = Math.max(map.fit, Math.min(SCALE_MAX, map.scale * factor));
  map.x = (map.x + px) * map.scale / before - px;
  map.y = (map.y + py) * map.scale / before - py;
  clampMap();
  drawMap();
}

// Paints the picture with a pixel for each page.
function paintPicture() {
  const image = new ImageData(map.columns, map.rows), out = image.data;
  map.gone = 0;
  const hole = rgb(colours.hole), known = {};
  for (let i = 0; i < out.length; i += 4) {
    out[i] = hole[0];
    out[i + 1] = hole[1];
    out[i + 2] = hole[2];
    out[i + 3] = 255;
  }
  for (const arena of map.arenas) {
    let o = arena.row * map.columns * 4;
    for (let page = 0; page < arena.end; page++, o += 4) {
      const i = arena.cells[page];
      if (i >= 0) {
        out[o] = map.colour[3 * i];
        out[o + 1] = map.colour[3 * i + 1];
        out[o + 2] = map.colour[3 * i + 2];
      } else {
        const name = colourOfFree(arena, page, i);
        const c = known[name] || (known[name] = rgb(name));
        out[o] = c[0];
        out[o + 1] = c[1];
        out[o + 2] = c[2];
      }
    }
  }
  map.picture = map.picture || document.createElement("canvas");
  map.picture.width = map.columns;
  map.picture.height = map.rows;
  map.picture.getContext("2d").putImageData(image, 0, 0);
}

// Calls draw(x, y, width, page) for each piece of a run of pages that lies in one row.
function eachPiece(arena, first, pages, draw) {
  for (let page = first; page < first + pages;) {
    const column = page % map.columns;
    const n = Math.min(map.columns - column, first + pages - page);
    draw(column * map.scale - map.x,
      (arena.row + Math.floor(page / map.columns)) * map.scale - map.y, n * map.scale, page);
    page += n;
  }
}

const css = (from, i) => "rgb(" + from[3 * i] + "," + from[3 * i + 1] + "," + from[3 * i + 2] + ")";

// Draws the spans in sight: a bar as high as the span is full, over a pale ground.
function drawDetail(g, w, h) {
  const s = map.spans, gap = map.scale >= 14 ? 2 : 1;
  for (const arena of map.arenas) {
    const from = Math.max(0, Math.floor(map.y / map.scale) - arena.row) * map.columns;
    const to = Math.min(arena.end,
      (Math.ceil((map.y + h) / map.scale) - arena.row) * map.columns);
    for (let page = from; page < to; page++) {
      const i = arena.cells[page];
      if (i < 0) continue;
      const first = Math.max(s.first[i], from), end = s.first[i] + s.pages[i];
      const fill = map.mode === "change" ? 1 : spanFill(s, i);
      eachPiece(arena, first, Math.min(end, to) - first, (x, y, width, piece) => {
        if (x > w || x + width < 0) return;
        const inner = map.scale - gap, bar = Math.max(fill > 0 ? 1 : 0, Math.round(inner * fill));
        g.fillStyle = colours.map;
        g.fillRect(x, y, width, map.scale);
        g.globalAlpha = 0.28;
        g.fillStyle = css(map.full, i);
        g.fillRect(x, y, width - (piece + Math.round(width / map.scale) === end ? gap : 0), inner);
        g.globalAlpha = 1;
        g.fillRect(x, y + inner - bar,
          width - (piece + Math.round(width / map.scale) === end ? gap : 0), bar);
      });
      page = Math.min(end, to) - 1;
    }
  }
}

const drawMap = oncePerFrame(() => {
  if (!map.spans) return;
  const canvas = $("map"), g = prepare(canvas);
  const w = canvas.clientWidth, h = canvas.clientHeight;
  g.imageSmoothingEnabled = map.scale < 1;
  g.imageSmoothingQuality = "high";
  g.drawImage(map.picture, -map.x, -map.y, map.columns * map.scale, map.rows * map.scale);
  if (map.scale >= DETAIL) drawDetail(g, w, h);
  g.fillStyle = colours.ink;
  g.globalAlpha = 0.35;
  for (const a of map.arenas) {
    if (a.row > 0) {
      g.fillRect(-map.x, Math.round(a.row * map.scale - map.y) - 0.5,
        map.columns * map.scale, 1);
    }
  }
  g.globalAlpha = 1;
  if (map.hover >= 0) outline(g);
});

// Draws a line round the pages of the span, or the run of free pages, under the pointer.
function outline(g) {
  const at = pageAt(map.hover);
  if (!at) return;
  g.strokeStyle = colours.ink;
  g.lineWidth = 2;
  eachPiece(at.arena, at.first, at.pages, (x, y, width) =>
    g.strokeRect(x - 1, y - 1, width + 2, Math.max(map.scale, 2) + 2));
  g.lineWidth = 1;
}

// Returns what lies at a cell of the picture: its arena and page, and its span or run.
function pageAt(cell) {
  const row = Math.floor(cell / map.columns);
  let arena = null;
  for (const a of map.arenas) {
    if (a.row <= row) arena = a; else break;
  }
  if (!arena || row >= map.rows || cell < 0) return null;
  const page = (row - arena.row) * map.columns + cell % map.columns;
  if (page >= arena.end) return null;
  const i = arena.cells[page];
  if (i >= 0) {
    return { arena, page, span: i, first: map.spans.first[i], pages: map.spans.pages[i] };
  }
  let first = page, end = page + 1;
  while (first > 0 && arena.cells[first - 1] === i) first--;
  while (end < arena.end && arena.cells[end] === i) end++;
  return { arena, page, kind: i, first, pages: end - first };
}

// Returns the title and the rows that describe it.
function describe(at) {
  const address = "0x" + ((at.arena.page0 + at.first) * map.pageSize).toString(16);
  const bytes = at.pages * map.pageSize;
  const place = [["Address", address], ["Pages", count(at.pages) + ", " + wholeSize(bytes)]];
  if (at.span === undefined) {
    const words = { [FREE]: "Free pages", [RELEASED]: "Free pages, released",
      [HOLE]: "Not in use", [HELD]: "Free pages that a thread holds" };
    return [words[at.kind], place];
  }
  const s = map.spans, i = at.span, slot = classSizes[s.cls[i]];
  const pointers = s.scan[i] ? "may hold pointers" : "no pointers";
  const rows = slot === 0 ? [["Contents", pointers]] :
    [["Live", count(s.live[i]) + " of " + count(s.slots[i]) + " slots, " + share(spanFill(s, i))],
      ["Contents", pointers]];
  const old = map.mark && map.mark.spans.get(pageOf(i));
  if (map.mode === "change" && map.mark) {
    const word = changeOf(i);
    rows.push(["Since " + clock(map.mark.time), word === "new" ? "new" : word === "same" ?
      "unchanged" : (s.live[i] > old.live ? "+" : "\u2212") +
      count(Math.abs(s.live[i] - old.live)) + " objects"]);
  }
  if (slot === 0 && s.live[i] === 0) return ["Big object, freed and kept", place];
  return [slot === 0 ? "Big object" : "Objects of " + slotSize(slot), rows.concat(place)];
}

function hoverMap(cell, x, y) {
  const at = cell < 0 ? null : pageAt(cell);
  map.hover = at ? cell : -1;
  drawMap();
  if (!at) {
    hideTip();
    return;
  }
  const [title, rows] = describe(at);
  showTip(x, y, title, rows);
  return title + ". " + rows.map(r => r.join(" ")).join(". ");
}

const cellAt = (px, py) => {
  const column = Math.floor((px + map.x) / map.scale), row = Math.floor((py + map.y) / map.scale);
  return column < 0 || column >= map.columns || row < 0 ? -1 : row * map.columns + column;
};

function showLegend() {
  const rows = map.mode === "size" ? groups.map(g => [g.name, g.colour]) :
    map.mode === "fill" ? [["empty", "released", "edge"], ["full", "live"]] :
    [["new " + size(map.changes.new), "new"], ["fuller " + size(map.changes.more), "more"],
      ["emptier " + size(map.changes.less), "less"],
      ["unchanged " + size(map.changes.same), "same"], ["gone " + size(map.gone), "gone"]];
  const items = rows.map(([name, colour, edge]) => make("li", {}, make("i",
    { className: "key " + (edge || ""), style: "background:var(--" + colour + ")" }), name));
  for (const [name, colour] of [["free", "free"], ["released", "released"]]) {
    items.push(make("li", {}, make("i", { className: "key edge",
      style: "background:var(--" + colour + ")" }), name));
  }
  $("map-legend").replaceChildren(...items);
  $("map-mark").hidden = isSaved || map.mode !== "change";
}

function repaintMap() {
  if (!map.spans) return;
  colourSpans();
  arrange();
  paintPicture();
  showLegend();
  drawMap();
  const used = map.arenas.reduce((sum, a) => sum + a.end, 0);
  $("map-sum").textContent = map.mode === "change" && map.mark ?
    "compared with " + clock(map.mark.time) :
    plural(map.arenas.length, "arena") + ", " + plural(map.spans.n, "span") + ", " +
    plural(used, "page");
}

function showHeap(heap, time) {
  readHeap(heap);
  map.time = time;
  if (!map.mark) map.mark = takeMark();
  repaintMap();
}

function startMapPointer(canvas) {
  const down = new Map();
  let moved = false, spread = 0;
  canvas.addEventListener("pointerdown", event => {
    down.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    moved = false;
    spread = 0;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", event => {
    const was = down.get(event.pointerId);
    if (!was) {
      hoverMap(cellAt(event.offsetX, event.offsetY), event.clientX, event.clientY);
      return;
    }
    if (down.size === 1) {
      map.x -= event.offsetX - was.x;
      map.y -= event.offsetY - was.y;
      moved = moved || Math.hypot(event.offsetX - was.x, event.offsetY - was.y) > 2;
      clampMap();
    }
    down.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    if (down.size === 2) {
      const [a, b] = [...down.values()];
      const now = Math.hypot(a.x - b.x, a.y - b.y);
      if (spread > 0) zoomMap(now / spread, (a.x + b.x) / 2, (a.y + b.y) / 2);
      spread = now;
    }
    if (moved) hideTip();
    drawMap();
  });
  const up = event => {
    const was = down.get(event.pointerId);
    down.delete(event.pointerId);
    if (event.type === "pointerup" && was && !moved) {
      hoverMap(cellAt(event.offsetX, event.offsetY), event.clientX, event.clientY);
    }
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => hoverMap(-1));
  canvas.addEventListener("dblclick", event => zoomMap(event.shiftKey ? 0.4 : 2.5,
    event.offsetX, event.offsetY));
  canvas.addEventListener("wheel", event => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    zoomMap(Math.exp(-event.deltaY * 0.004), event.offsetX, event.offsetY);
  }, { passive: false });
}

// Arrow keys step from span to span in a row, and from row to row.
function startMapKeys(canvas) {
  canvas.addEventListener("keydown", event => {
    if (event.key === "+" || event.key === "=") zoomMap(1.6);
    else if (event.key === "-") zoomMap(1 / 1.6);
    else if (event.key === "0") {
      fitMap();
      drawMap();
    } else if (event.key === "Escape") hoverMap(-1);
    else if (event.key.startsWith("Arrow") && map.spans) {
      const at = map.hover >= 0 && pageAt(map.hover);
      const base = at ? at.arena.row * map.columns : 0;
      let cell = !at ? cellAt(Math.max(0, -map.x), Math.max(0, -map.y)) :
        event.key === "ArrowRight" ? base + at.first + at.pages :
        event.key === "ArrowLeft" ? base + at.first - 1 :
        map.hover + (event.key === "ArrowDown" ? map.columns : -map.columns);
      if (!pageAt(cell)) cell = map.hover;
      event.preventDefault();
      showCell(canvas, cell);
      return;
    } else return;
    event.preventDefault();
  });
  canvas.addEventListener("blur", () => hoverMap(-1));
}

// Brings a cell into sight, and says what it is.
function showCell(canvas, cell) {
  const column = cell % map.columns, row = Math.floor(cell / map.columns);
  const x = column * map.scale, y = row * map.scale;
  if (x < map.x || x + map.scale > map.x + canvas.clientWidth) map.x = x - canvas.clientWidth / 2;
  if (y < map.y || y + map.scale > map.y + canvas.clientHeight) map.y = y - canvas.clientHeight / 2;
  clampMap();
  const box = canvas.getBoundingClientRect();
  const text = hoverMap(cell, box.left + x - map.x, box.top + y - map.y + map.scale);
  if (text) $("map-read").textContent = text;
}

function startMap() {
  const canvas = $("map");
  startMapPointer(canvas);
  startMapKeys(canvas);
  $("map-in").addEventListener("click", () => zoomMap(1.6));
  $("map-out").addEventListener("click", () => zoomMap(1 / 1.6));
  $("map-fit").addEventListener("click", () => {
    fitMap();
    drawMap();
  });
  $("map-mark").addEventListener("click", () => {
    if (!map.spans) return;
    map.mark = takeMark();
    repaintMap();
  });
  choice("map-mode", mode => {
    map.mode = mode;
    repaintMap();
  });
}
