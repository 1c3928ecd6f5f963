// memory.js - the figures, and memory over time.

// The parts of the heap in the order in which they are stacked; resident is a line over them.
const parts = [
  { key: "resident", name: "Resident", line: true, colour: "resident" },
  { key: "live", name: "Live objects", colour: "live" },
  { key: "slack", name: "Slack", colour: "slack" },
  { key: "free", name: "Free", colour: "free" },
  { key: "released", name: "Released", colour: "released" },
  { key: "metadata", name: "Metadata", colour: "meta", apart: true },
  { key: "limit", name: "Limit", apart: true, optional: true },
];
const stacked = parts.filter(p => !p.line && !p.apart);

// The samples, oldest first: {time, live, slack, ...} in ms and bytes. When there are too many,
// every second one of the older half goes: an old hour needs no seconds.
const samples = [];
const SAMPLES_MAX = 2400;
let chartCursor = -1;

function addSample(stats, time) {
  const sample = { time };
  for (const part of parts) sample[part.key] = stats[part.key + "_bytes"];
  samples.push(sample);
  if (samples.length > SAMPLES_MAX) {
    const half = samples.splice(0, samples.length >> 1);
    samples.unshift(...half.filter((_, i) => i % 2 === 0));
  }
}

// Shows the numbers of one sample, beside the change in the minute before it.
function showFigures() {
  const at = chartCursor >= 0 && chartCursor < samples.length ? chartCursor : samples.length - 1;
  const now = samples[at];
  if (!now) return;
  const list = $("figures");
  const shown = parts.filter(p => now[p.key] !== undefined && !(p.optional && !now[p.key]));
  if (list.childElementCount !== shown.length) {
    list.replaceChildren(...shown.map(part => make("div", {}, make("dt", {},
      part.key === "limit" ? null : make("i", { className: "key" + (part.line ? " line" : "") +
        (part.key === "released" ? " edge" : ""), style: "background:var(--" + part.colour + ")" }),
      part.name), make("dd", {}), make("dd", { className: "delta" }))));
  }
  let before = samples.findIndex(s => s.time >= now.time - 60500);
  before = before < 0 ? at : before;
  const seconds = Math.round((now.time - samples[before].time) / 1000);
  shown.forEach((part, i) => {
    const [n, unit] = sizeParts(now[part.key]);
    const [, value, delta] = list.children[i].children;
    value.replaceChildren(n, make("small", {}, unit));
    const change = now[part.key] - samples[before][part.key];
    delta.textContent = part.key === "limit" ? share(now.resident / now.limit) + " resident" :
      seconds < 1 ? "" : change === 0 ? "unchanged in " + seconds + "\u00a0s" :
      signed(change) + " in " + seconds + "\u00a0s";
  });
  $("moment").textContent = chartCursor >= 0 ? "at " + clock(now.time) : "";
  const total = stacked.reduce((sum, p) => sum + now[p.key], 0) || 1;
  const bar = $("bar");
  if (bar.childElementCount !== stacked.length) {
    bar.replaceChildren(...stacked.map(p => make("i",
      { style: "background:var(--" + p.colour + ")" })));
  }
  stacked.forEach((p, i) => { bar.children[i].style.flexGrow = now[p.key] / total; });
  bar.setAttribute("aria-label", "How the heap is divided: " +
    stacked.map(p => p.name + " " + share(now[p.key] / total)).join(", "));
}

// Returns a step for about n lines up to top: a power of two.
function roundStep(top, n) {
  let unit = 1;
  while (top / unit / n >= 1024) unit *= 1024;
  let step = 1;
  while (step < top / unit / n) step *= 2;
  return step * unit;
}

// Returns a round number of seconds for about n marks in a span of time.
function timeStep(seconds, n) {
  for (const s of [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200]) {
    if (s >= seconds / n) return s;
  }
  return 14400;
}

// Where the chart puts times and bytes.
function chartScale(canvas) {
  const w = canvas.clientWidth, h = canvas.clientHeight;
  const last = samples[samples.length - 1].time;
  const first = Math.min(samples[0].time, last - 30000);
  let top = 0;
  for (const s of samples) {
    top = Math.max(top, s.resident || 0, stacked.reduce((sum, p) => sum + (s[p.key] || 0), 0));
  }
  const step = roundStep(top * 1.06 || 1, 4);
  top = Math.ceil((top * 1.04 || 1) / step) * step;
  const box = { left: 0, right: w - 64, top: 6, bottom: h - 22 };
  return {
    box, first, last, top, step,
    x: time => box.left + (time - first) / (last - first) * (box.right - box.left),
    y: bytes => box.bottom - bytes / top * (box.bottom - box.top),
  };
}

function drawGrid(g, to) {
  g.font = "12px " + fonts;
  g.textBaseline = "middle";
  g.textAlign = "left";
  for (let b = 0; b <= to.top; b += to.step) {
    const y = Math.round(to.y(b)) + 0.5;
    g.strokeStyle = colours.line;
    g.beginPath();
    g.moveTo(to.box.left, y);
    g.lineTo(to.box.right, y);
    g.stroke();
    g.fillStyle = colours.soft;
    if (b > 0) g.fillText(wholeSize(b), to.box.right + 8, y);
  }
  const width = to.box.right - to.box.left;
  const step = timeStep((to.last - to.first) / 1000, Math.max(2, width / 110)) * 1000;
  g.textAlign = "center";
  for (let t = Math.ceil(to.first / step) * step; t <= to.last; t += step) {
    const x = to.x(t);
    if (x > to.box.left + 28 && x < to.box.right - 20) g.fillText(clock(t), x, to.box.bottom + 13);
  }
}

const drawChart = oncePerFrame(() => {
  const canvas = $("chart");
  canvas.hidden = isSaved;
  if (isSaved || samples.length === 0) return;
  const g = prepare(canvas), to = chartScale(canvas);
  drawGrid(g, to);
  const below = samples.map(() => 0);
  for (const part of stacked) {
    g.beginPath();
    samples.forEach((s, i) => g.lineTo(to.x(s.time), to.y(below[i])));
    for (let i = samples.length - 1; i >= 0; i--) {
      below[i] += samples[i][part.key] || 0;
      g.lineTo(to.x(samples[i].time), to.y(below[i]));
    }
    g.closePath();
    g.fillStyle = colours[part.colour];
    g.fill();
  }
  g.strokeStyle = colours.resident;
  g.lineWidth = 1.75;
  g.lineJoin = "round";
  g.beginPath();
  samples.forEach(s => g.lineTo(to.x(s.time), to.y(s.resident || 0)));
  g.stroke();
  g.lineWidth = 1;
  if (chartCursor >= 0 && chartCursor < samples.length) {
    const s = samples[chartCursor], x = Math.round(to.x(s.time)) + 0.5;
    g.strokeStyle = colours.ink;
    g.setLineDash([2, 3]);
    g.beginPath();
    g.moveTo(x, to.box.top);
    g.lineTo(x, to.box.bottom);
    g.stroke();
    g.setLineDash([]);
  }
});

function moveCursor(index) {
  chartCursor = index;
  showFigures();
  drawChart();
}

function startMemory() {
  const canvas = $("chart");
  canvas.addEventListener("pointermove", event => {
    if (samples.length < 2) return;
    const to = chartScale(canvas), x = event.offsetX;
    let best = 0;
    samples.forEach((s, i) => {
      if (Math.abs(to.x(s.time) - x) < Math.abs(to.x(samples[best].time) - x)) best = i;
    });
    moveCursor(best);
  });
  canvas.addEventListener("pointerleave", () => moveCursor(-1));
  canvas.addEventListener("blur", () => moveCursor(-1));
  canvas.addEventListener("keydown", event => {
    const end = samples.length - 1, at = chartCursor < 0 ? end : chartCursor;
    const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: end }[event.key];
    if (event.key === "Escape") moveCursor(-1);
    if (next === undefined) return;
    event.preventDefault();
    moveCursor(Math.max(0, Math.min(end, next)));
  });
}
