// base.js - what the parts of the page share: elements, numbers as text, colours, canvases.

const $ = id => document.getElementById(id);

// Makes an element with properties and children; text becomes a text node.
function make(name, props, ...children) {
  const e = document.createElement(name);
  for (const key in props || {}) {
    if (key in e) e[key] = props[key]; else e.setAttribute(key, props[key]);
  }
  e.append(...children.filter(c => c !== null && c !== undefined));
  return e;
}

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

// Returns [number, unit] with three digits that count.
function sizeParts(bytes) {
  let unit = 0, n = Math.abs(bytes);
  while (n >= 1000 && unit < units.length - 1) {
    n /= 1024;
    unit++;
  }
  const digits = unit === 0 || n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2;
  return [(bytes < 0 ? "\u2212" : "") + n.toFixed(digits), units[unit]];
}

const size = bytes => bytes === null || bytes === undefined ? "\u2013" :
  sizeParts(bytes).join("\u00a0");

// The same for lengths that are mostly whole: 8 KiB, not 8.00 KiB.
const wholeSize = bytes => size(bytes).replace(/(\.\d*?)0+(?=\u00a0)/,
  (all, kept) => kept === "." ? "" : kept);
const signed = bytes => (bytes > 0 ? "+" : "") + size(bytes);
const count = n => Math.round(n).toLocaleString("en-US");
const share = x => (100 * x).toFixed(x > 0 && x < 0.0995 ? 1 : 0) + "\u00a0%";
const plural = (n, word) => count(n) + " " + word + (n === 1 ? "" : "s");
const clock = ms => new Date(ms).toLocaleTimeString("en-GB");

// Returns a size class's name: a size that is a multiple of a unit is written in it.
const slotSize = n => n >= 1024 && n % 1024 === 0 ? n / 1024 + "\u00a0KiB" :
  count(n) + "\u00a0B";

// The colours of style.css by name; read again when the theme changes.
let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  colours = new Proxy({}, {
    get: (known, name) => known[name] || (known[name] = style.getPropertyValue("--" + name).trim())
  });
}

// Returns [red, green, blue] of a colour written as #rrggbb.
const rgb = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16));

// Returns a colour between two, as [red, green, blue].
const between = (a, b, t) => a.map((x, i) => x + (b[i] - x) * t);

const fonts = getComputedStyle(document.body).fontFamily;

// Gives a canvas as many pixels as the screen has for it. Returns its context, scaled so that it
// is drawn in CSS pixels.
function prepare(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const w = canvas.clientWidth, h = canvas.clientHeight;
  if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
    canvas.width = Math.round(w * ratio);
    canvas.height = Math.round(h * ratio);
  }
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.clearRect(0, 0, w, h);
  return g;
}

// Returns a function that draws in the next frame, once, however often it is called.
function oncePerFrame(draw) {
  let waits = false;
  return () => {
    if (waits) return;
    waits = true;
    requestAnimationFrame(() => {
      waits = false;
      draw();
    });
  };
}

// Shows a box beside the point: a title, and rows of [name, value].
function showTip(x, y, title, rows) {
  const tip = $("tip");
  tip.replaceChildren(make("b", {}, title), make("table", {}, make("tbody", {},
    ...rows.map(([name, value]) => make("tr", {}, make("td", {}, name), make("td", {}, value))))));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = x + 16 + box.width > innerWidth ? x - 16 - box.width : x + 16;
  const top = y + 16 + box.height > innerHeight ? y - 12 - box.height : y + 16;
  tip.style.left = Math.max(6, Math.min(left, innerWidth - box.width - 6)) + "px";
  tip.style.top = Math.max(6, top) + "px";
}

const hideTip = () => { $("tip").hidden = true; };

// Makes a group of buttons a choice of one, by mouse and arrow keys.
function choice(id, chosen) {
  const buttons = [...$(id).querySelectorAll("button")];
  const choose = b => {
    for (const other of buttons) {
      other.setAttribute("aria-checked", String(other === b));
      other.tabIndex = other === b ? 0 : -1;
    }
    chosen(b.dataset.value);
  };
  buttons.forEach((b, i) => {
    b.tabIndex = b.getAttribute("aria-checked") === "true" ? 0 : -1;
    b.addEventListener("click", () => choose(b));
    b.addEventListener("keydown", event => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = buttons[(i + step + buttons.length) % buttons.length];
      choose(next);
      next.focus();
    });
  });
}
