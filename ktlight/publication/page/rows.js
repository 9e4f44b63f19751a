// Rows of a table, as pure functions: order, filters, text. A cell of null is empty and comes last either way.

const middle = (cell) => (Array.isArray(cell) ? (cell[0] + cell[1]) / 2 : cell);
const text = (cell, kind) => (cell === null ? "" : kind === "link" ? cell[0] : String(cell));
const isWord = (kind) => kind === "text" || kind === "link";

function compare(a, b, kind, descending) {
  if (a === null || b === null) return ((a === null) - (b === null)) * (descending ? -1 : 1);
  if (isWord(kind)) return text(a, kind).localeCompare(text(b, kind), "en", { numeric: true });
  return middle(a) - middle(b);
}

// Whether a cell passes what was typed above its column.
function passes(cell, typed, kind) {
  const wanted = typed.trim().toLowerCase();
  if (!wanted) return true;
  if (isWord(kind)) {
    const words = text(cell, kind).toLowerCase();
    return wanted.startsWith("=") ? words === wanted.slice(1).trim() : words.includes(wanted);
  }
  return cell !== null && inRange(middle(cell), wanted);
}

function inRange(value, wanted) {
  const range = wanted.split("..").map((end) => (end === "" ? NaN : Number(end)));
  if (range.length === 2) return !(value < range[0] || value > range[1]);
  const [, sign, number] = wanted.match(/^(>=?|<=?|=?)\s*(.*)$/);
  const bound = Number(number.replace("−", "-"));
  if (number === "" || Number.isNaN(bound)) return true;
  return { ">": value > bound, ">=": value >= bound, "<": value < bound, "<=": value <= bound }[sign] ?? value === bound;
}

// Whether a row's text has all words of the search.
const found = (words, search) => search.toLowerCase().split(/\s+/).every((word) => words.includes(word));

function shown(cell, kind) {
  if (cell === null) return "–";
  if (kind === "interval") return `${fixed(cell[0])} to ${fixed(cell[1])}`;
  if (kind === "count") return whole(cell);
  return kind === "number" ? fixed(cell) : text(cell, kind);
}

// All rows as text with separators; an interval is two columns.
function separated(columns, rows, separator) {
  const quoted = (value) => (/["\n\r]/.test(value) || value.includes(separator) ? `"${value.replaceAll('"', '""')}"` : value);
  const headings = columns.flatMap(({ name, kind }) => (kind === "interval" ? [`${name}_low`, `${name}_high`] : [name]));
  const cells = (row) =>
    columns.flatMap(({ kind }, i) => (kind === "interval" ? (row[i] ?? ["", ""]).map(String) : [text(row[i], kind)]));
  return [headings, ...rows.map(cells)].map((line) => line.map(quoted).join(separator)).join("\n") + "\n";
}
