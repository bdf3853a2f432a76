"use strict";
// Tables sort by a click on a heading (or, on a phone, by a menu), filter by words and menus, and play videos
// in place. Without this script everything is still there to read, and videos are links.

const collator = new Intl.Collator("en", { numeric: true });

function text(row, column) {
  const cell = row.cells[column];
  return cell.dataset.value ?? cell.innerText.trim();
}

function compare(a, b, column) {
  const [x, y] = [text(a, column), text(b, column)];
  const numbers = x !== "" && y !== "" && !isNaN(x) && !isNaN(y);
  return numbers ? x - y : collator.compare(x, y);
}

function sortBy(table, column, descending) {
  closePlayers(table);
  const rows = [...table.tBodies[0].rows];
  const sign = descending ? -1 : 1;
  rows.sort((a, b) => sign * compare(a, b, column));
  table.tBodies[0].append(...rows);
  [...table.tHead.rows[0].cells].forEach((head, index) => {
    if (index === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    else head.removeAttribute("aria-sort");
  });
}

function makeSortable(table) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const order = head.getAttribute("aria-sort");
      const numeric = table.tBodies[0].rows[0]?.cells[column].dataset.value;
      const first = numeric !== undefined && !isNaN(numeric);  // the largest number first, the first word first
      sortBy(table, column, order ? order === "ascending" : first);
    });
  });
  return heads.map(head => head.textContent);
}

function addSorter(tools, table, names) {
  const label = document.createElement("label");
  label.className = "sorter";
  const menu = document.createElement("select");
  menu.append(new Option("as given", ""));
  names.forEach((name, column) => menu.append(new Option(name, column)));
  menu.addEventListener("change", () => {
    if (menu.value !== "") table.tHead.rows[0].cells[menu.value].firstChild.click();
  });
  label.append("Sort by ", menu);
  tools.append(label);
}

function makeFilter(tools, table) {
  const none = document.createElement("p");
  none.className = "none";
  none.textContent = "Nothing fits.";
  none.hidden = true;
  table.after(none);
  const search = tools.querySelector("input");
  const menus = [...tools.querySelectorAll("select[data-column]")];
  const words = new Map();
  const content = row => words.get(row) ?? words.set(row, row.textContent.toLowerCase()).get(row);
  function apply() {
    closePlayers(table);
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const fits = wanted.every(word => content(row).includes(word)) &&
        menus.every(menu => menu.value === "" || row.cells[menu.dataset.column].textContent.trim() === menu.value);
      row.hidden = !fits;
      shown += fits;
    }
    none.hidden = shown > 0;
  }
  search.addEventListener("input", apply);
  menus.forEach(menu => menu.addEventListener("change", apply));
}

function closePlayers(table) {
  table.querySelectorAll("tr.playing").forEach(row => row.remove());
}

function play(link) {
  const row = link.closest("tr"), table = link.closest("table");
  const open = row.nextElementSibling?.classList.contains("playing");
  closePlayers(table);
  if (open) return;
  const video = document.createElement("video");
  Object.assign(video, { src: link.href, controls: true, muted: true, loop: true, playsInline: true });
  const cell = document.createElement("td");
  cell.className = "player";
  cell.colSpan = row.cells.length;
  cell.append(video);
  const place = document.createElement("tr");
  place.className = "playing";
  place.append(cell);
  row.after(place);
  video.play().catch(() => {});
}

for (const table of document.querySelectorAll("table.cards")) {
  const names = makeSortable(table);
  const tools = document.querySelector(`.tools[data-for="${table.id}"]`);
  if (!tools) continue;
  makeFilter(tools, table);
  addSorter(tools, table, names);
  tools.hidden = false;
}
if (matchMedia("(max-width: 46rem)").matches) {
  for (const details of document.querySelectorAll(".drawn")) details.open = false;  // a phone shows tables first
}
document.addEventListener("click", event => {
  const link = event.target.closest("a.play");
  if (!link) return;
  event.preventDefault();
  play(link);
});
for (const video of document.querySelectorAll(".clips video")) {
  video.addEventListener("play", () => {
    for (const other of document.querySelectorAll("video")) if (other !== video) other.pause();
  });
}
