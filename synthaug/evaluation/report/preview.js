"use strict";
// Every few seconds, parts of the page that have changed are replaced by those of the server's page.
const SECONDS = 3;
const seen = new Map([...document.querySelectorAll("[data-part]")].map(part => [part.id, part.outerHTML]));
const news = document.getElementById("news"), stop = document.getElementById("stop");

function replace(fresh) {
  for (const part of fresh.querySelectorAll("[data-part]")) {
    if (seen.get(part.id) === part.outerHTML) continue;
    seen.set(part.id, part.outerHTML);
    const old = document.getElementById(part.id);
    const opened = [...old.querySelectorAll("details")].map(box => box.open);
    part.querySelectorAll("details").forEach((box, i) => { box.open = opened[i] ?? box.open; });
    old.replaceWith(part);
  }
  document.title = fresh.title;
}

function over() {
  stop.disabled = true;
  news.textContent = "The training has ended, or cannot be reached any more. Its last page is preview.html in the run.";
}

async function look() {
  try {
    const answer = await fetch(location.pathname);
    if (!answer.ok) return over();
    replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    setTimeout(look, 1000 * SECONDS);
  } catch { over(); }
}

stop.addEventListener("click", async () => {
  stop.disabled = true;
  news.textContent = "Stopping after this step; the state is saved.";
  try {
    await fetch("stop", {method: "POST", headers: {"Content-Type": "application/json"}, body: "{}"});
  } catch { over(); }
});
setTimeout(look, 1000 * SECONDS);
