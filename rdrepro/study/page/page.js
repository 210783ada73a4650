// Sorting of tables and folding of contents. Without it, the page has the same text.
"use strict";

// The value of a cell to sort by: the number that the page gives it, or else its text.
function keyOf(row, column) {
  const cell = row.cells[column];
  if (cell.dataset.sort !== undefined) return Number(cell.dataset.sort);
  return cell.textContent.trim();
}

// Numbers come before texts, and empty cells and dashes last in both directions.
function ordered(a, b, sign) {
  const empty = (key) => key === "" || /^[-\u2013_]$/.test(key);
  if (empty(a) || empty(b)) return empty(a) - empty(b);
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return sign * (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
}

// A click sorts upwards, the next one downwards, and the third restores the order of the page.
function makeSortable(table) {
  const body = table.tBodies[0];
  if (!table.tHead || !body || body.rows.length < 2) return;
  const before = [...body.rows];
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => {
    if (!head.textContent.trim()) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { ascending: "descending", descending: null }[head.getAttribute("aria-sort")];
      const direction = next === undefined ? "ascending" : next;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      const rows = [...before];
      if (direction) {
        head.setAttribute("aria-sort", direction);
        const sign = direction === "ascending" ? 1 : -1;
        rows.sort((a, b) => ordered(keyOf(a, column), keyOf(b, column), sign));
      }
      body.append(...rows);
    });
  });
}

// A link into a folded part opens it.
function openTarget() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  for (let part = target; part; part = part.parentElement) {
    if (part.tagName === "DETAILS") part.open = true;
  }
  target.scrollIntoView();
}

document.querySelectorAll("main .rd table").forEach(makeSortable);
document.querySelectorAll(".hint").forEach((hint) => { hint.hidden = false; });
if (!matchMedia("(min-width: 68rem)").matches) document.querySelector("nav details").open = false;
addEventListener("hashchange", openTarget);
addEventListener("beforeprint", () => {
  document.querySelectorAll("main details").forEach((part) => { part.open = true; });
});
if (location.hash) openTarget();
