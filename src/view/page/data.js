// data.js - where the numbers come from: the server, or the data inside a saved page.

// The data that goalloc-view --html put into the page, by name: stats, heap, flame, leaks.
const saved = {};
for (const e of document.querySelectorAll("script[type='application/json'][data-name]")) {
  try {
    saved[e.dataset.name] = JSON.parse(e.textContent);
  } catch (error) {
    console.error("the saved data of '" + e.dataset.name + "' is damaged: " + error);
  }
}
const isSaved = "stats" in saved;

// What the page knows of the process: "loading", "live", "paused", "ended" (the process has ended)
// or "lost" (the server does not answer).
const status_ = { state: "loading", since: 0 };

function setState(state, text) {
  if (status_.state !== state) status_.since = Date.now();
  status_.state = state;
  const line = $("state");
  line.className = state;
  if (line.lastElementChild.textContent !== text) line.lastElementChild.textContent = text;
}

// What a request came to: `gone` when the process has ended (410), else the server's own line.
class Refused extends Error {
  constructor(status, text) {
    super(text || "the server answered " + status);
    this.gone = status === 410;
    this.status = status;
  }
}

// Returns the data of that name: "stats", "heap", "flame" or "leaks". Throws Refused when the
// server says no, and TypeError when it does not answer.
async function load(name) {
  if (isSaved) {
    if (saved[name]) return saved[name];
    throw new Refused(404, "this saved page has no such data");
  }
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), name === "leaks" ? 120000 : 30000);
  try {
    const answer = await fetch("/" + name + ".json",
      { cache: "no-store", signal: patience.signal });
    if (!answer.ok) throw new Refused(answer.status, (await answer.text()).trim());
    return await answer.json();
  } finally {
    clearTimeout(timer);
  }
}
