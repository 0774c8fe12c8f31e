"""What the page of errors adds to the style sheet, and its script: sorting, finding, playing from a word."""

STYLE = """
.controls { display: flex; flex-wrap: wrap; gap: 8px 20px; align-items: center; font-size: 13.5px; margin: 12px 0;
            position: sticky; top: 0; background: #fff; padding: 8px 0; z-index: 1; }
.controls[hidden], article[hidden] { display: none; }
.controls select, .controls input { font: inherit; padding: 3px 6px; border: 1px solid #97a1ac; border-radius: 4px; }
.controls input { width: 220px; } .controls output { color: var(--soft); }
article { border-top: 1px solid var(--line); padding: 4px 0 12px; break-inside: avoid; }
article .utterance { border-top: 0; }
article audio { display: block; height: 34px; width: min(460px, 100%); margin-top: 2px; }
.aligned button { font: inherit; color: inherit; text-align: left; white-space: pre; border: 0; border-radius: 2px;
                  padding: 0; margin: 0; background: none; cursor: pointer; }
.aligned button:hover { text-decoration: underline; } .aligned button.now { background: var(--accent); color: #fff; }
.range { display: inline-block; position: relative; width: 160px; height: 10px; background: var(--pale); }
.range i { position: absolute; top: 2px; height: 6px; background: #a9c6e6; border-radius: 3px; }
.range b { position: absolute; top: 0; width: 3px; height: 10px; margin-left: -1px; background: var(--accent); }
@media print { .controls, article audio { display: none; } }
"""

SCRIPT = """
"use strict";
const list = document.getElementById("worst"), controls = document.getElementById("controls");
if (list) {
  const items = [...list.children], order = document.getElementById("order"), find = document.getElementById("find");
  const byId = (a, b) => a.dataset.id < b.dataset.id ? -1 : 1;
  const byNumber = name => (a, b) => b.dataset[name] - a.dataset[name] || byId(a, b);
  const show = () => {
    const text = find.value.trim().toLowerCase();
    for (const item of items) item.hidden = !item.dataset.text.includes(text);
    list.append(...[...items].sort(order.value === "id" ? byId : byNumber(order.value)));
    const left = items.filter(item => !item.hidden).length;
    document.getElementById("shown").value = left === items.length ? "" : `${left} of ${items.length}`;
  };
  controls.hidden = false;
  controls.addEventListener("submit", event => event.preventDefault());
  order.addEventListener("change", show);
  find.addEventListener("input", show);

  for (const item of items) {
    const player = item.querySelector("audio"), words = [...item.querySelectorAll("button[data-from]")];
    if (!player) continue;
    const light = () => {  // the word that is playing
      const now = player.paused ? undefined : words.findLast(word => word.dataset.from <= player.currentTime);
      for (const word of words) word.classList.toggle("now", word === now);
      if (!player.paused) requestAnimationFrame(light);
    };
    player.addEventListener("play", () => {
      for (const other of list.querySelectorAll("audio")) if (other !== player) other.pause();
      light();
    });
    for (const word of words) word.addEventListener("click", () => {
      player.currentTime = word.dataset.from;
      player.play();
    });
  }
}
"""
