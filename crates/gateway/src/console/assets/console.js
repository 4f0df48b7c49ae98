// What the pages cannot do without a script: ask before what cannot be undone, copy, and say when the gateway does not answer.
// Without it everything still works; only nobody asks, and pages do not refresh by themselves.
"use strict";

document.addEventListener("submit", (event) => {
  const asks = event.target.dataset.sure;
  if (asks && !window.confirm(asks)) {
    event.preventDefault();
  }
});

document.addEventListener("click", (event) => {
  const from = event.target.dataset.copy;
  if (!from) return;
  const field = document.getElementById(from);
  field.select();
  navigator.clipboard?.writeText(field.value).then(() => { event.target.textContent = "Copied"; });
});

let answered = new Date();
const lost = () => {
  const notice = document.getElementById("lost");
  if (!notice || !notice.hidden) return;
  document.getElementById("lost-since").textContent = answered.toLocaleTimeString();
  notice.hidden = false;
};
document.addEventListener("htmx:sendError", lost);
document.addEventListener("htmx:timeout", lost);
document.addEventListener("htmx:responseError", lost);
document.addEventListener("htmx:afterOnLoad", (event) => {
  if (!event.detail.successful) return;
  answered = new Date();
  const notice = document.getElementById("lost");
  if (notice) notice.hidden = true;
});

// What somebody is using is not swapped away under their hands: a part with an open fold, a focus or a selection in it waits.
document.addEventListener("htmx:beforeSwap", (event) => {
  const part = event.detail.target;
  if (!part?.hasAttribute("hx-trigger") || !part.getAttribute("hx-trigger").startsWith("every")) return;
  const used = part.querySelector("details[open]") || part.contains(document.activeElement);
  const selected = document.getSelection();
  const selecting = selected && !selected.isCollapsed && part.contains(selected.anchorNode);
  if (used || selecting) event.detail.shouldSwap = false;
});
