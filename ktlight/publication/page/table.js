// Tables, by Tabulator: sorted, filtered, searched, copied, saved.

const TALL = 15; // rows, from which on a table scrolls
const FILTERED = 6; // rows, from which on its columns have filters
const PRINTED = 200; // rows
const SUGGESTED = 40; // different words, up to which a column's filter suggests them

function createTable(data, number, isPair) {
  const host = byId(`table-${number}`);
  const search = byId(`search-${number}`);
  const { columns } = data;
  const rows = Array.from({ length: columns[0]?.cells.length ?? 0 }, (_, i) => {
    const row = {};
    columns.forEach(({ cells }, c) => (row[c] = cells[i]));
    row.words = columns.map(({ kind }, c) => (isWord(kind) ? text(row[c], kind) : "")).join(" ").toLowerCase();
    return row;
  });
  const link = pairLink(columns, isPair);
  const filtered = rows.length >= FILTERED;
  host.nextElementSibling.hidden = !filtered || number > 0; // the hint on filters
  const restored = tableState(columns, number);
  const table = new Tabulator(host, {
    data: rows,
    columns: columns.map((column, c) => ({ ...tableColumn(column, c, link), headerFilter: filtered && "input" })),
    maxHeight: rows.length > TALL ? "34rem" : false,
    layout: "fitDataFill",
    nestedFieldSeparator: false,
    headerSortClickElement: "header",
    columnDefaults: { headerSortTristate: true, minWidth: 84, maxInitialWidth: 300 },
    placeholder: "No row passes the filters.",
    initialSort: restored.sort,
    initialHeaderFilter: restored.filters,
    printAsHtml: true,
    printStyled: false,
    printRowRange: () => table.getRows("active").slice(0, PRINTED),
  });

  const chosen = () => table.getData("active").map((row) => columns.map((_, c) => row[c]));
  const searched = () => (search.value ? table.setFilter((row) => found(row.words, search.value)) : table.clearFilter());
  function remember() {
    const sort = table.getSorters()[0];
    const changes = { [`search${number}`]: search.value };
    changes[`sort${number}`] = sort ? (sort.dir === "desc" ? "-" : "") + columns[sort.field].name : "";
    columns.forEach(({ name }, c) => (changes[`filter${number}.${name}`] = table.getHeaderFilterValue(String(c)) ?? ""));
    state.set(changes);
  }
  function describe() {
    const active = table.getDataCount("active");
    byId(`rows-${number}`).textContent =
      active === rows.length ? `${whole(active)} rows` : `${whole(active)} of ${whole(rows.length)} rows`;
    if (active > PRINTED) byId(`rows-${number}`).append(element("span", { class: "printed" }, `; printed: the first ${PRINTED}`));
    host.setAttribute("aria-rowcount", active + 1);
    host.setAttribute("aria-colcount", columns.length);
    host.querySelector(".tabulator-headers")?.setAttribute("aria-rowindex", 1);
    for (const row of table.getRows("visible")) row.getElement().setAttribute("aria-rowindex", row.getPosition() + 1);
  }

  return new Promise((built) => {
    table.on("tableBuilt", () => {
      search.value = state.get(`search${number}`);
      if (search.value) searched();
      describe();
      table.on("dataSorted", remember);
      table.on("dataFiltered", remember);
      table.on("renderComplete", describe);
      table.on("scrollVertical", () => requestAnimationFrame(describe));
      search.addEventListener("input", searched);
      byId(`copy-${number}`).addEventListener("click", (event) => copy(separated(columns, chosen(), "\t"), event.target));
      byId(`csv-${number}`).addEventListener("click", () => save(separated(columns, chosen(), ","), `${data.name}.csv`));
      built({ restore: () => restoreTable(table, columns, number, search) });
    });
  });
}

function tableColumn({ heading, kind, cells }, c, link) {
  const suggestions = isWord(kind) ? suggested(cells, kind, `words-${Math.random().toString(36).slice(2)}`) : {};
  return {
    title: heading,
    field: String(c),
    titleFormatter: () => element("button", { type: "button" }, heading),
    formatter: (cell) => link(cell.getRow().getData(), c) ?? shownCell(cell.getValue(), kind),
    formatterPrint: (cell) => printedCell(shown(cell.getValue(), kind), kind),
    tooltip: (_, cell) => shown(cell.getValue(), kind),
    hozAlign: isWord(kind) ? "left" : "right",
    headerHozAlign: isWord(kind) ? "left" : "right",
    sorter: (a, b, _a, _b, _column, direction) => compare(a, b, kind, direction === "desc"),
    headerSortStartingDir: isWord(kind) ? "asc" : "desc",
    headerFilterFunc: (typed, cell) => passes(cell, String(typed), kind),
    headerFilterParams: { elementAttributes: { "aria-label": `Filter ${heading}`, ...suggestions } },
  };
}

// A list of a column's words for the browser to suggest, if there are few.
function suggested(cells, kind, id) {
  const words = new Set(cells.filter((cell) => cell !== null).map((cell) => text(cell, kind)));
  if (words.size < 2 || words.size > SUGGESTED || words.size === cells.length) return {};
  document.body.append(element("datalist", { id }, ...[...words].sort().map((word) => element("option", { value: word }))));
  return { list: id };
}

function shownCell(cell, kind) {
  const words = shown(cell, kind);
  const safe = kind === "link" && cell?.[1] && !/^\s*[a-z][a-z0-9+.-]*:/i.test(cell[1]);
  return safe ? element("a", { href: cell[1] }, words) : document.createTextNode(words);
}

const LONG = 30; // characters, such as a SHA-256, which may be broken on paper
const printedCell = (words, kind) =>
  element("span", { class: isWord(kind) ? (words.length > LONG ? "long" : "") : "figure" }, words);

// Makes the teacher of a row a link to the pair, where the map has it.
function pairLink(columns, isPair) {
  const [teacher, student] = ["teacher", "student"].map((name) => columns.findIndex((column) => column.name === name));
  return (row, c) => {
    if (c !== teacher || student < 0 || !isPair(row[teacher], row[student])) return null;
    const pair = encodeURIComponent(`${row[teacher]},${row[student]}`);
    return element("a", { href: `#pair=${pair}` }, row[teacher]);
  };
}

function tableState(columns, number) {
  const sorted = state.get(`sort${number}`);
  const field = columns.findIndex(({ name }) => name === sorted.replace(/^-/, ""));
  const filters = columns.map(({ name }, c) => ({ field: String(c), value: state.get(`filter${number}.${name}`) }));
  return {
    sort: field < 0 ? [] : [{ column: String(field), dir: sorted.startsWith("-") ? "desc" : "asc" }],
    filters: filters.filter(({ value }) => value),
  };
}

function restoreTable(table, columns, number, search) {
  const { sort, filters } = tableState(columns, number);
  const wanted = state.get(`search${number}`);
  if (sort.length) table.setSort(sort);
  else table.clearSort();
  columns.forEach((_, c) => {
    const value = filters.find(({ field }) => field === String(c))?.value ?? "";
    if ((table.getHeaderFilterValue(String(c)) ?? "") !== value) table.setHeaderFilterValue(String(c), value);
  });
  if (search.value !== wanted) {
    search.value = wanted;
    search.dispatchEvent(new Event("input"));
  }
}

function save(content, name) {
  const address = URL.createObjectURL(new Blob([content], { type: "text/csv" }));
  element("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

async function copy(content, button) {
  try {
    await navigator.clipboard.writeText(content);
  } catch {
    const area = element("textarea", {}, content); // where a page from a file may not use the clipboard
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const label = button.textContent;
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = label), 1500);
}
