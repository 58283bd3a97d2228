"use strict";
(() => {
  const HEIGHT = 32;
  const SPARE = 12;
  const PRINTED = 2000;
  const quiet = new Set(["done", "corrected", "nothing to correct"]);
  const { columns, texts, rows } = JSON.parse(document.getElementById("data").textContent);
  const count = columns.length;
  const box = document.getElementById("big");
  const table = document.getElementById("table");
  const [head, body] = [table.tHead, table.tBodies[0]];
  const filter = document.getElementById("text");
  const suffix = document.getElementById("suffix");
  const standout = document.getElementById("standout");
  const told = document.getElementById("count");
  const search = rows.map((row) => row.slice(0, texts).join(" ").toLowerCase());
  let shown = rows.map((_, i) => i);
  let sorted = { column: 0, ascending: true };
  let drawn = [-1, -1];

  const order = new Intl.Collator("en", { numeric: true });
  const write = (value) => {
    if (value === null) return "–";
    if (value === 0 || Math.abs(value) >= 1000) return value.toFixed(0);
    return value.toPrecision(3);
  };

  const line = document.createElement("tr");
  columns.forEach((title, i) => {
    const cell = document.createElement("th");
    cell.scope = "col";
    if (i < texts) cell.className = "text";
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = title;
    button.addEventListener("click", () => {
      sorted = { column: i, ascending: sorted.column === i ? !sorted.ascending : i < texts };
      sort();
      draw(true);
    });
    cell.append(button);
    line.append(cell);
  });
  head.append(line);

  function sort() {
    const { column, ascending } = sorted;
    const sign = ascending ? 1 : -1;
    shown.sort((i, j) => {
      const [a, b] = [rows[i][column], rows[j][column]];
      if (a === null || b === null) return (a === null) - (b === null) || i - j;
      if (a === b) return i - j;
      return sign * (column < texts ? order.compare(a, b) : a - b) || i - j;
    });
    [...line.cells].forEach((cell, i) => {
      const button = cell.firstChild;
      button.textContent = columns[i] + (i === column ? (ascending ? " ▲" : " ▼") : "");
      if (i === column) cell.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      else cell.removeAttribute("aria-sort");
    });
  }

  function select() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    shown = [];
    rows.forEach((row, i) => {
      if (suffix.value && row[3] !== suffix.value) return;
      if (standout.checked && quiet.has(row[4]) && !row[count + 1].length) return;
      if (words.every((word) => search[i].includes(word))) shown.push(i);
    });
    told.textContent = `${shown.length} of ${rows.length} images`;
    box.scrollTop = 0;
    sort();
    draw(true);
  }

  function space(height) {
    const row = document.createElement("tr");
    row.className = "space";
    row.setAttribute("aria-hidden", "true");
    const cell = row.insertCell();
    cell.colSpan = count;
    cell.style.height = `${height}px`;
    return row;
  }

  function element(place) {
    const row = rows[shown[place]];
    const result = document.createElement("tr");
    result.setAttribute("aria-rowindex", place + 2);
    for (let i = 0; i < count; i++) {
      const cell = result.insertCell();
      if (i === 0) {
        const link = document.createElement("a");
        link.href = `${encodeURIComponent(row[1])}.html#${row[count]}`;
        link.textContent = row[0];
        cell.append(link);
      } else {
        cell.textContent = i < texts ? row[i] : write(row[i]);
      }
      if (i < texts) cell.className = "text";
      if (row[count + 1].includes(i - texts) || (i === 4 && !quiet.has(row[i]))) {
        cell.classList.add("out");
        if (i >= texts) cell.title = "outlier";
      }
    }
    return result;
  }

  function draw(again, all) {
    const most = Math.ceil(innerHeight / HEIGHT) + 2 * SPARE;
    let first = Math.max(0, Math.floor(box.scrollTop / HEIGHT) - SPARE);
    first = Math.max(0, Math.min(first - (first % 2), shown.length - most));
    let last = Math.min(shown.length, first + most);
    if (all) [first, last] = [0, Math.min(shown.length, PRINTED)];
    if (!again && first === drawn[0] && last === drawn[1]) return;
    drawn = [first, last];
    // A row that has the keyboard's focus may be drawn anew: its link gets the focus back.
    const focused = body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const lines = [];
    if (first > 0) lines.push(space(first * HEIGHT));
    for (let place = first; place < last; place++) lines.push(element(place));
    if (last < shown.length && !all) lines.push(space((shown.length - last) * HEIGHT));
    body.replaceChildren(...lines);
    table.setAttribute("aria-rowcount", shown.length + 1);
    if (focused !== null) {
      const same = [...body.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused);
      (same || box).focus({ preventScroll: true });
    }
  }

  let waiting = false;
  const later = () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      draw(false);
    });
  };
  box.addEventListener("scroll", later, { passive: true });
  addEventListener("resize", later);
  addEventListener("beforeprint", () => draw(true, true));
  addEventListener("afterprint", () => draw(true));
  filter.addEventListener("input", select);
  suffix.addEventListener("change", select);
  standout.addEventListener("change", select);
  select();
})();
