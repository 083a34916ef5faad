"use strict";
// The page's own script: filters, sorting, copy buttons. It reads what the page holds and loads nothing.
document.documentElement.classList.add("live");
const every = (selector, within = document) => Array.from(within.querySelectorAll(selector));

// Tables: rows that hold all words of the filter
for (const input of every("input[data-filter]")) {
  const table = document.getElementById(input.dataset.filter);
  const count = input.closest(".tools").querySelector("output");
  const rows = every("tbody tr", table);
  input.addEventListener("input", () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = shown;
  });
}

// Tables: sorting by a column, numbers as numbers
for (const button of every("th button")) {
  button.addEventListener("click", () => {
    const head = button.parentElement;
    const column = Array.from(head.parentElement.children).indexOf(head);
    const up = head.getAttribute("aria-sort") !== "ascending";
    every("th", head.parentElement).forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const body = head.closest("table").tBodies[0];
    const key = (row) => row.cells[column].textContent;
    const compare = new Intl.Collator(undefined, { numeric: true }).compare;
    const sign = up ? 1 : -1;
    const order = (a, b) => {
      const [left, right] = [key(a), key(b)];
      const [x, y] = [Number(left), Number(right)];
      const numbers = left !== "" && right !== "" && !Number.isNaN(x) && !Number.isNaN(y);
      return sign * (numbers ? x - y : compare(left, right));
    };
    body.append(...Array.from(body.rows).sort(order));
  });
}

// The log: search, level, the fatal report
for (const tools of every("section#log .tools")) {
  const part = (name) => tools.querySelector("[data-log=" + name + "]");
  const [text, level, fatal] = [part("text"), part("level"), part("fatal")];
  const count = tools.querySelector("output");
  const messages = every("section#log .m");
  const levelOf = (message) => {
    const name = Array.from(message.classList).find((one) => /^l[0-7]$/.test(one));
    return name ? Number(name[1]) : 0;
  };
  const show = () => {
    const word = text.value.toLowerCase();
    let shown = 0;
    for (const message of messages) {
      message.hidden =
        levelOf(message) > Number(level.value) ||
        (fatal.checked && !message.classList.contains("fatal")) ||
        !message.textContent.toLowerCase().includes(word);
      shown += message.hidden ? 0 : 1;
    }
    count.textContent = shown;
  };
  [text, level, fatal].forEach((input) => input.addEventListener("input", show));
}

// Copy buttons: the command before the button
const copy = async (text) => {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return;
    } catch {
      // a page from a file may not: the old way
    }
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
};
for (const button of every("button[data-copy]")) {
  button.addEventListener("click", async () => {
    await copy(button.previousElementSibling.textContent);
    button.textContent = "copied";
    setTimeout(() => (button.textContent = "copy"), 1500);
  });
}

// A link into something that is folded or filtered away shows it
const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let at = target; at; at = at.parentElement) {
    if (at.tagName === "DETAILS") at.open = true;
    if (at.hidden) at.hidden = false;
  }
  target.scrollIntoView();
};
addEventListener("hashchange", reveal);
reveal();

// On paper everything is open
addEventListener("beforeprint", () => every("details").forEach((one) => (one.open = true)));
