// leaks.js - the lost objects, looked for on request.

const frameText = f => typeof f === "string" ? f :
  f.name + (f.file ? "  " + f.file + (f.line ? ":" + f.line : "") : "");

function showLeaks(data) {
  const list = data.leaks.slice().sort((a, b) => b.bytes - a.bytes);
  const bytes = list.reduce((sum, l) => sum + l.bytes, 0);
  const objects = list.reduce((sum, l) => sum + l.objects, 0);
  $("leaks-sum").textContent = (list.length === 0 ? "none" : size(bytes) + " in " +
    plural(objects, "object")) + (data.likely ? " (likely: the process ran on)" : "") +
    (isSaved ? "" : ", at " + clock(Date.now()));
  const lines = [];
  if (data.note) {
    lines.push(make("p", { className: "hint" },
      data.note[0].toUpperCase() + data.note.slice(1) + (data.note.endsWith(".") ? "" : ".")));
  }
  if (list.length === 0) {
    lines.push(make("p", { className: "hint" }, "Every object can be reached" +
      (data.reachable_bytes ? ": " + size(data.reachable_bytes) + "." : ".")));
  }
  const shown = list.slice(0, 200);
  if (shown.length > 0) {
    lines.push(make("ol", { className: "leaks" }, ...shown.map(leak => {
      // Stacks have the outermost frame first; the one that allocates says the most.
      const frames = (leak.frames || []).slice().reverse();
      return make("li", {}, make("details", {}, make("summary", {},
        make("span", {}, size(leak.bytes)), make("span", {}, plural(leak.objects, "object")),
        make("code", {}, frames.length ? frameText(frames[0]) : "no stack: it was not sampled")),
      make("pre", { className: "mono" }, frames.length ? frames.map(frameText).join("\n") :
        "goalloc-run --all-leak-stacks records the stack of every allocation.")));
    })));
  }
  if (list.length > shown.length) {
    lines.push(make("p", { className: "hint" },
      "The largest " + shown.length + " of " + count(list.length) + "."));
  }
  $("leaks").replaceChildren(...lines);
}

function startLeaks() {
  const button = $("leaks-look");
  if (isSaved) {
    button.hidden = true;
    if (saved.leaks) showLeaks(saved.leaks);
    else {
      $("leaks").replaceChildren(make("p", { className: "hint" },
        "This page was saved without a search for leaks."));
    }
    return;
  }
  button.addEventListener("click", async () => {
    button.disabled = true;
    button.textContent = "Looking\u2026";
    try {
      showLeaks(await load("leaks"));
    } catch (error) {
      $("leaks").replaceChildren(make("p", { className: "note" }, error instanceof Refused ?
        error.message : "The search got no answer: " + error.message));
    }
    button.disabled = status_.state === "ended";
    button.textContent = "Look again";
  });
}
