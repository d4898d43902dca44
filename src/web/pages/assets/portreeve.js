// What pages do better with a script. All of them are whole without it.
"use strict";

// "/" leads to the search field, as long as nothing is being written elsewhere.
const search = document.getElementById("search");
document.addEventListener("keydown", (event) => {
  const writes = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !writes && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search.focus();
    search.select();
  }
});

// Copying. Where the connection is not safe browsers keep the clipboard from scripts, but not from what is selected.
async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) {
    return navigator.clipboard.writeText(text);
  }
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "hidden";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) {
    throw new Error("the browser does not copy");
  }
}

function prepare(part) {
  for (const button of part.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
  }
}
prepare(document);

document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button[data-copy]");
  if (!button) {
    return;
  }
  try {
    await copy(button.dataset.copy);
    button.classList.add("done");
    button.title = "Copied";
  } catch {
    button.title = "Not copied: select it, and copy it by hand";
  }
  button.focus();
  setTimeout(() => {
    button.classList.remove("done");
    button.removeAttribute("title");
  }, 1500);
});

// Search as it is typed: what the page of the search shows, below the field, or in its place on that page.
const panel = document.getElementById("suggestions");
const isSearchPage = location.pathname === "/ui/search";
let typed = 0;
let asking = null;

async function suggest(text) {
  asking?.abort();
  const own = (asking = new AbortController());
  const url = `/ui/search?${new URLSearchParams({ q: text })}`;
  let results;
  try {
    const answer = await fetch(url, { signal: own.signal, headers: { accept: "text/html" } });
    if (!answer.ok || answer.redirected) {
      return hide();
    }
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    results = page.getElementById("results");
  } catch (error) {
    if (error.name !== "AbortError") {
      hide();
    }
    return;
  }
  if (!results || own.signal.aborted || search.value.trim() !== text) {
    return;
  }
  if (isSearchPage) {
    document.getElementById("results").replaceChildren(...results.childNodes);
    document.querySelector("main .pager")?.remove();
    history.replaceState(null, "", url);
  } else {
    const list = results.querySelector(".found");
    [...(list?.children ?? [])].slice(8).forEach((item) => item.remove());
    panel.replaceChildren(...results.childNodes);
    panel.hidden = false;
  }
}

function hide() {
  asking?.abort();
  panel.hidden = true;
}

search?.addEventListener("input", () => {
  clearTimeout(typed);
  const text = search.value.trim();
  if (text.length < 2) {
    hide();
    return;
  }
  typed = setTimeout(() => suggest(text), 120);
});

// With the arrows from the field into what was found, and back.
search?.form.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    hide();
    search.focus();
    return;
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const stops = [search, ...panel.querySelectorAll("a")];
  if (step && !panel.hidden) {
    event.preventDefault();
    const at = stops.indexOf(document.activeElement);
    stops[(at + step + stops.length) % stops.length].focus();
  }
});
document.addEventListener("click", (event) => {
  if (!event.target.closest?.(".search")) {
    hide();
  }
});
search?.form.addEventListener("focusout", (event) => {
  if (event.relatedTarget && !search.form.contains(event.relatedTarget)) {
    hide();
  }
});

// Another part of a page, as it is now: read anew, since one place writes it. Says so when it cannot be had.
async function readAnew() {
  // Nobody asked for it: it does not keep a session that is not used.
  const answer = await fetch(location.href, { headers: { accept: "text/html", "portreeve-unattended": "1" } });
  if (answer.redirected || answer.status === 401 || answer.status === 403) {
    throw new Error("You are signed out: reload the page to sign in");
  }
  if (!answer.ok) {
    throw new Error("Connection lost, trying again");
  }
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// Activity: what happens appears on top of the list. A stream tells when to look; the rows are those of the page.
const live = document.getElementById("live");
if (live?.dataset.stream && "EventSource" in window) {
  const [words, button, reload] = [live.querySelector(".live-state"), live.querySelector("button"), live.querySelector("a")];
  const MOST = 300;
  let [stream, paused, failures, timer, looking, again] = [null, false, 0, 0, false, false];

  const say = (is, text) => {
    live.dataset.is = is;
    words.textContent = text;
    words.hidden = false;
    reload.hidden = is === "live";
  };

  // Rows that are not there yet go on top of their day. Where the two have none in common, or it gets too long, all are replaced.
  const merge = (page) => {
    const [list, fresh] = [document.getElementById("events"), page.getElementById("events")];
    const of = (part) => [...part.querySelectorAll("[data-sequence]")];
    const known = new Map(of(list).map((row) => [row.dataset.sequence, row]));
    const added = of(fresh).filter((row) => !known.has(row.dataset.sequence));
    const had = known.size;
    added.forEach((row) => row.classList.toggle("new", had > 0));
    for (const row of of(fresh)) {
      known.get(row.dataset.sequence)?.querySelector("time")?.replaceWith(row.querySelector("time").cloneNode(true));
    }
    if (!had || added.length === of(fresh).length || had + added.length > MOST) {
      list.replaceChildren(...fresh.childNodes);
    } else {
      for (const day of [...fresh.querySelectorAll("[data-day]")].reverse()) {
        const rows = of(day).filter((row) => added.includes(row));
        const same = list.querySelector(`[data-day="${CSS.escape(day.dataset.day)}"]`);
        if (same) {
          same.querySelector(".feed").prepend(...rows);
        } else if (rows.length) {
          list.prepend(day);
        }
      }
    }
    prepare(list);
    const [plots, anew] = [document.getElementById("plots"), page.getElementById("plots")];
    if (plots && anew && !plots.contains(document.activeElement) && !plots.querySelector("details[open]")) {
      plots.replaceWith(anew);
    }
  };

  const look = async () => {
    const page = await readAnew();
    if (!paused) {
      merge(page);
    }
    return page.getElementById("live").dataset.stream;
  };

  // At most once in a second, however much happens.
  const happened = async () => {
    again = true;
    if (looking) {
      return;
    }
    looking = true;
    try {
      while (again && !paused) {
        again = false;
        await look();
        await new Promise((done) => setTimeout(done, 1000));
      }
    } catch (error) {
      lost(error);
    }
    looking = false;
  };

  const stop = () => {
    clearTimeout(timer);
    stream?.close();
    stream = null;
  };

  const open = (url) => {
    stop();
    const own = (stream = new EventSource(url));
    own.addEventListener("history", () => {
      failures = 0;
      say("live", "Live");
    });
    own.onmessage = happened;
    own.onerror = () => own === stream && lost(new Error("Connection lost, trying again"));
  };

  const lost = (error) => {
    stop();
    failures += 1;
    say("lost", navigator.onLine ? error.message.replace("Failed to fetch", "Connection lost, trying again") : "Connection lost, trying again");
    timer = setTimeout(resume, Math.min(30000, 500 * 2 ** failures));
  };

  const resume = async () => {
    try {
      const url = await look();
      if (!url) {
        return say("over", "That day is over");
      }
      if (!paused && !document.hidden) {
        open(url);
      }
    } catch (error) {
      lost(error);
    }
  };

  button.hidden = false;
  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Resume" : "Pause";
    stop();
    if (paused) {
      say("paused", "Paused");
    } else {
      resume();
    }
  });
  // Browsers allow few connections to one door: a page that nobody looks at holds none.
  document.addEventListener("visibilitychange", () => {
    if (paused) {
      return;
    }
    stop();
    if (!document.hidden) {
      resume();
    }
  });
  addEventListener("pagehide", stop);
  open(live.dataset.stream);
}

// What changes by itself is read anew, as often as it says, as long as somebody looks and nobody is about to use it.
function keepUp() {
  const now = document.querySelector("[data-anew]");
  if (!now) {
    return;
  }
  setTimeout(async () => {
    const inUse = now.contains(document.activeElement) || now.querySelector("details[open]");
    if (!document.hidden && !inUse) {
      try {
        const fresh = (await readAnew()).getElementById(now.id);
        if (fresh && now.isConnected && !now.contains(document.activeElement) && !now.querySelector("details[open]")) {
          now.replaceWith(fresh);
          prepare(fresh);
        }
        document.getElementById("stale").hidden = true;
      } catch {
        document.getElementById("stale").hidden = false;
      }
    }
    keepUp();
  }, Number(now.dataset.anew) * 1000);
}
keepUp();
