// tables.js - the tables of size classes, of threads and of metrics.

// A table that can be sorted by each column. A column is {name, value(row), show(row), ...}.
class Table {
  constructor(id, columns, sort, down) {
    this.table = $(id);
    this.columns = columns;
    this.sort = sort;
    this.down = down;
    this.rows = [];
    this.body = make("tbody", {});
    this.heads = columns.map((c, i) => make("th", { scope: "col", className: c.style || "" },
      make("button", { type: "button", onclick: () => this.sortBy(i) }, c.name)));
    this.table.append(make("thead", {}, make("tr", {}, ...this.heads)), this.body);
  }

  sortBy(i) {
    this.down = this.sort === i ? !this.down : !this.columns[i].text;
    this.sort = i;
    this.show(this.rows, this.most);
  }

  // Shows the first rows in the chosen order, at most so many. Rows and cells are used again, so
  // that what is selected or hovered stays.
  show(rows, most = rows.length) {
    this.rows = rows;
    this.most = most;
    const value = this.columns[this.sort].value, sign = this.down ? -1 : 1;
    const sorted = rows.slice().sort((a, b) => {
      const x = value(a), y = value(b);
      return sign * (x < y ? -1 : x > y ? 1 : 0);
    }).slice(0, most);
    this.heads.forEach((th, i) => {
      if (i === this.sort) th.setAttribute("aria-sort", this.down ? "descending" : "ascending");
      else th.removeAttribute("aria-sort");
    });
    while (this.body.rows.length > sorted.length) this.body.lastElementChild.remove();
    sorted.forEach((row, r) => {
      const tr = this.body.rows[r] || this.body.appendChild(make("tr", {},
        ...this.columns.map(c => make("td", { className: c.style || "" }))));
      this.columns.forEach((c, i) => {
        const shown = c.show ? c.show(row) : count(c.value(row));
        if (shown instanceof Node) tr.cells[i].replaceChildren(shown);
        else if (tr.cells[i].textContent !== shown) tr.cells[i].textContent = shown;
      });
    });
  }
}

function meter(part) {
  const percent = Math.round(100 * part);
  return make("span", { className: "meter", title: percent + " %", role: "img",
    "aria-label": percent + " % live" }, make("i", { style: "width:" + percent + "%" }));
}

// A change since the page was opened, or a dash.
function changed(bytes) {
  return bytes === 0 ? "\u2013" : signed(bytes);
}

const classRows = { first: null, table: null, stats: null, all: false };
const CLASSES_FEW = 12;

function showClasses(stats) {
  const key = c => c.size + (c.scan ? "s" : "n");
  const rows = stats.classes.filter(c => c.spans > 0 || c.live > 0).map(c => ({
    key: key(c), size: c.size, scan: c.scan, spans: c.spans, live: c.live, slots: c.slots,
    bytes: c.live_bytes === undefined ? c.size * c.live : c.live_bytes, tiny: c.tiny,
    free: c.size * (c.slots - c.live) }));
  if (stats.big && stats.big.objects > 0) {
    rows.push({ key: "big", size: Infinity, scan: null, spans: stats.big.objects,
      live: stats.big.objects, slots: stats.big.objects, bytes: stats.big.bytes, free: 0 });
  }
  classRows.first = classRows.first || new Map(rows.map(r => [r.key, r.bytes]));
  for (const r of rows) r.change = r.bytes - (classRows.first.get(r.key) || 0);
  classRows.table = classRows.table || new Table("classes", [
    { name: "Size", value: r => r.size, show: r => r.size === Infinity ? "big" : slotSize(r.size) },
    { name: "Contents", value: r => String(r.scan), style: "left soft narrow-off", text: true,
      show: r => r.scan === null ? "" : r.tiny ? "tiny" : r.scan ? "pointers" : "no pointers" },
    { name: "Live", value: r => r.bytes, show: r => size(r.bytes) },
    { name: "Objects", value: r => r.live },
    { name: "Since opened", value: r => r.change, show: r => changed(r.change),
      style: "narrow-off" },
    { name: "Free slots", value: r => r.free, show: r => r.free ? size(r.free) : "\u2013",
      style: "narrow-off" },
    { name: "Spans", value: r => r.spans, style: "narrow-off" },
    { name: "Full", value: r => r.slots ? r.live / r.slots : 0,
      show: r => meter(r.slots ? r.live / r.slots : 0) },
  ], 2, true);
  classRows.stats = stats;
  const few = !classRows.all && rows.length > CLASSES_FEW + 3;
  classRows.table.show(rows, few ? CLASSES_FEW : rows.length);
  $("classes-all").hidden = rows.length <= CLASSES_FEW + 3;
  $("classes-all").textContent = few ? "Show all " + rows.length : "Show " + CLASSES_FEW;
  $("classes-sum").textContent = count(rows.length) +
    (rows.length === 1 ? " class in use" : " classes in use");
}

function startTables() {
  $("classes-all").addEventListener("click", () => {
    classRows.all = !classRows.all;
    if (classRows.stats) showClasses(classRows.stats);
  });
}

const threadRows = { before: new Map(), time: 0, table: null, counts: false };
const THREADS_MAX = 200;

// Allocations in a second are the difference to the statistics before. They are counted only while
// the process takes samples or keeps statistics.
function showThreads(stats) {
  const seconds = stats.time - threadRows.time, before = threadRows.before;
  const rows = stats.threads.map(t => {
    const old = before.get(t.tid);
    return { ...t, rate: old && seconds > 0 ?
      Math.max(0, (t.objects_allocated - old.objects_allocated) / seconds) : 0 };
  });
  threadRows.before = new Map(stats.threads.map(t => [t.tid, t]));
  threadRows.time = stats.time;
  const counts = rows.some(t => t.objects_allocated > 0);
  if (threadRows.table && threadRows.counts !== counts) {
    $("threads").replaceChildren();
    threadRows.table = null;
  }
  threadRows.counts = counts;
  threadRows.table = threadRows.table || new Table("threads", [
    { name: "Thread", value: t => t.name || "", style: "left", text: true,
      show: t => t.name || "\u2013" },
    { name: "Id", value: t => t.tid, show: t => t.tid ? String(t.tid) : "\u2013",
      style: "soft" },
    { name: "In its spans", value: t => t.live_bytes || 0, show: t => size(t.live_bytes) },
    { name: "In its cache", value: t => t.cached_bytes, show: t => size(t.cached_bytes) },
    ...counts ? [{ name: "Allocated", value: t => t.objects_allocated, style: "narrow-off" }] : [],
    ...counts && !isSaved ? [{ name: "Allocations/s", value: t => t.rate,
      show: t => t.rate ? count(t.rate) : "\u2013", style: "narrow-off" }] : [],
  ], 2, true);
  const weight = t => (t.live_bytes || 0) + t.cached_bytes;
  const most = rows.sort((a, b) => weight(b) - weight(a)).slice(0, THREADS_MAX);
  threadRows.table.show(most);
  $("threads-sum").textContent = plural(rows.length, "thread") +
    (rows.length > most.length ? ", the " + most.length + " with most memory" : "") + ", " +
    size(rows.reduce((sum, t) => sum + t.cached_bytes, 0)) + " in caches";
}

let metricTable = null;

function showMetrics(stats) {
  const rows = Object.entries(stats.metrics || {}).map(([name, n]) => ({ name, n }));
  $("metrics-section").hidden = rows.length === 0;
  metricTable = metricTable || new Table("metrics", [
    { name: "Metric", value: m => m.name, style: "left wide", text: true,
      show: m => make("code", {}, m.name) },
    { name: "Value", value: m => m.n, show: m => typeof m.n !== "number" ? String(m.n) :
      m.name.endsWith(":bytes") ? size(m.n) : Number.isInteger(m.n) ? count(m.n) :
      m.n.toLocaleString("en-US", { maximumFractionDigits: 3 }) },
  ], 0, false);
  metricTable.show(rows);
}
