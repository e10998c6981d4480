"use strict";
// One image at a time beside the real ones; below it, all images of the class. The server keeps each decision.
const by = id => document.getElementById(id);
const MARKS = {accepted: "✓", rejected: "✗"};
let classes = [], label = 0, place = 0, queue = Promise.resolve();

function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

const image = () => classes[label].images[place];
const source = (of, at) => `made/${of}/${at}.png`;

async function send(path, message) {
  const answer = await fetch(path, {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(message),
  });
  if (!answer.ok) throw new Error((await answer.text()).split("\n")[0]);
}

function counted(images) {
  const count = decision => images.filter(one => one.decision === decision).length;
  return `${count("accepted")} accepted, ${count("rejected")} rejected, ${count(null)} undecided`;
}

function marked(button, one) {
  button.className = one.decision ?? "";
  button.lastChild.textContent = MARKS[one.decision] ?? "";
  button.setAttribute("aria-label", `image ${one.index}, ${one.decision ?? "undecided"}`);
}

function shownClass() {
  by("classes").replaceChildren(...classes.map((one, at) => {
    const button = make("button", {type: "button", onclick: () => { label = at; place = first(); shownClass(); }}, one.name);
    if (at === label) button.setAttribute("aria-current", "true");
    return button;
  }));
  by("all").replaceChildren(...classes[label].images.map((one, at) => {
    const picture = make("img", {src: source(label, at), alt: "", loading: "lazy"});
    const button = make("button", {type: "button", onclick: () => go(at)}, picture, make("span"));
    marked(button, one);
    return make("li", {}, button);
  }));
  go(place);
}

function go(at) {
  const buttons = by("all").querySelectorAll("button");
  buttons[place]?.removeAttribute("aria-current");
  place = Math.min(Math.max(at, 0), classes[label].images.length - 1);
  buttons[place].setAttribute("aria-current", "true");
  const {index, decision, like} = image(), name = classes[label].name;
  by("made").className = decision ?? "";
  by("made").querySelector("img").src = source(label, place);
  by("made").querySelector("img").alt = `generated image ${index} of ${name}, ${decision ?? "undecided"}`;
  by("made").querySelector("figcaption").textContent =
    `Image ${place + 1} of ${classes[label].images.length} (number ${index} of class ${name}): ${decision ?? "undecided"}`;
  by("like").replaceChildren(...like.map(row => make("img", {src: `real/${row}.png`, alt: `real image of ${name}`})));
  by("counts").textContent = counted(classes[label].images) + ".";
}

const first = () => Math.max(0, classes[label].images.findIndex(one => one.decision === null));

function decide(decision, ahead) {
  const one = image(), before = one.decision, name = classes[label].name, button = by("all").querySelectorAll("button")[place];
  one.decision = decision;
  marked(button, one);
  go(place + ahead);
  // one after the other, so that the last decision about an image is the one that stays
  queue = queue.then(() => send("decide", {class: name, index: one.index, decision})).then(
    () => { by("news").textContent = "kept"; },
    error => {
      one.decision = before;
      by("news").textContent = `not kept: ${error.message}`;
      shownClass();
    },
  );
}

const KEYS = {
  a: () => decide("accepted", 1), r: () => decide("rejected", 1), u: () => decide(null, 0),
  ArrowRight: () => go(place + 1), ArrowLeft: () => go(place - 1),
};

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || by("finish").disabled || !classes.length) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (act) { event.preventDefault(); act(); }
});
by("accept").onclick = KEYS.a;
by("reject").onclick = KEYS.r;
by("undo").onclick = KEYS.u;
by("next").onclick = KEYS.ArrowRight;
by("back").onclick = KEYS.ArrowLeft;
by("finish").onclick = async () => {
  for (const button of document.querySelectorAll("button")) button.disabled = true;
  await queue;
  try { await send("finish", {}); } catch { /* the server has gone already */ }
  by("news").textContent = "finished: all decisions are kept, and this page can be closed";
  document.querySelector("main").hidden = true;
};

(async () => {
  try {
    classes = await (await fetch("images.json")).json();
    document.querySelector("main").hidden = false;
    label = Math.max(0, classes.findIndex(one => one.images.some(image => image.decision === null)));
    place = first();
    shownClass();
  } catch (error) { by("news").textContent = `the images cannot be loaded: ${error.message}`; }
})();
