// main.js - the page's clock: asks for the statistics each second and for the heap less often.

let paused = false, pid = 0, process = "the process";

function showStats(stats, time) {
  pid = stats.pid;
  process = stats.program || "the process";
  document.title = process + " \u00b7 goalloc-view";
  $("program").textContent = process;
  $("process").textContent = (stats.core ? "core of " : "") + "pid " + stats.pid;
  $("footer").textContent = "goalloc " + stats.version + ", read from outside by goalloc-view. " +
    "Pages of " + wholeSize(stats.page_size) + ". Slack is memory of spans that no object uses.";
  addSample(stats, time);
  showFigures();
  drawChart();
  showClasses(stats);
  showThreads(stats);
  showMetrics(stats);
}

// Says what a failed request means, and keeps the picture.
function failed(error) {
  if (error instanceof Refused && error.gone) {
    setState("ended", process + " has ended (seen at " + clock(Date.now()) +
      "); this is its last picture");
    for (const id of ["pause", "leaks-look", "flame-again", "map-mark"]) $(id).disabled = true;
  } else if (error instanceof Refused) {
    setState("lost", error.message);
  } else if (status_.state !== "ended") {
    const since = status_.state === "lost" ? status_.since : Date.now();
    setState("lost", "no answer from goalloc-view since " + clock(since) +
      "; this is the last picture");
  }
}

const wait = ms => new Promise(done => setTimeout(done, ms));

async function watchStats() {
  while (status_.state !== "ended") {
    const start = performance.now();
    if (!paused) {
      try {
        const stats = await load("stats");
        showStats(stats, Date.now());
        setState("live", "live");
      } catch (error) {
        failed(error);
      }
    }
    await wait(Math.max(100, 1000 - (performance.now() - start)));
  }
}

// A large heap takes longer to read, so that it is asked for less often: a tenth of the time goes
// into it.
async function watchHeap() {
  while (status_.state !== "ended") {
    let pause = 2000;
    if (!paused && !document.hidden) {
      const start = performance.now();
      try {
        showHeap(await load("heap"), Date.now());
        pause = Math.max(2000, 10 * (performance.now() - start));
      } catch (error) {
        if (!map.spans && error instanceof Refused) $("map-sum").textContent = error.message;
      }
    }
    await wait(pause);
  }
}

async function loadFlame() {
  try {
    const data = await load("flame");
    showFlame(data, pid);
  } catch (error) {
    if (error instanceof Refused && error.gone) return;
    if (error instanceof Refused && error.status === 404) sayHowToSample(pid);
    else showNoFlame(make("p", {}, "No call stacks: " + error.message));
  }
}

// The theme: the system's, or the one that was chosen.
const themes = ["auto", "light", "dark"];
let theme = "auto";
const wantsDark = matchMedia("(prefers-color-scheme: dark)");

function showTheme() {
  document.documentElement.toggleAttribute("data-dark",
    theme === "dark" || theme === "auto" && wantsDark.matches);
  $("theme").textContent = "Theme: " + theme;
  readColours();
  repaintMap();
  drawChart();
  drawFlame();
}

function startTheme() {
  try {
    theme = localStorage.getItem("goalloc-theme") || "auto";
  } catch (error) { /* storage is refused to files and private windows */ }
  const asked = new URLSearchParams(location.search).get("theme");
  if (themes.includes(asked)) theme = asked;
  if (!themes.includes(theme)) theme = "auto";
  showTheme();
  wantsDark.addEventListener("change", showTheme);
  $("theme").addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try {
      localStorage.setItem("goalloc-theme", theme);
    } catch (error) { /* the choice lasts as long as the page */ }
    showTheme();
  });
}

function startPause() {
  $("pause").hidden = isSaved;
  $("pause").addEventListener("click", () => {
    paused = !paused;
    $("pause").setAttribute("aria-pressed", String(paused));
    $("pause").textContent = paused ? "Paused" : "Pause";
    if (paused) setState("paused", "paused at " + clock(Date.now()));
  });
}

async function start() {
  readColours();
  startTheme();
  startPause();
  startMemory();
  startMap();
  startFlame(loadFlame);
  startLeaks();
  startTables();
  new ResizeObserver(() => {
    repaintMap();
    drawChart();
    drawFlame();
  }).observe(document.querySelector("main"));
  if (isSaved) {
    const time = 1000 * saved.stats.time;
    showStats(saved.stats, time);
    if (saved.heap) showHeap(saved.heap, time);
    setState("saved", "saved " + new Date(time).toLocaleString("en-GB"));
    await loadFlame();
    return;
  }
  watchStats().catch(failed);
  watchHeap().catch(failed);
  await wait(50);
  await loadFlame();
}

start();
