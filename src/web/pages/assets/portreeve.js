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
