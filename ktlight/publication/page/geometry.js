// Where things are on the map, as pure functions. Positions count rows and columns in the order shown.

const SMALLEST_CELL = 2;
const LARGEST_CELL = 56;
const LABELLED_CELL = 11;
const WRITTEN_CELL = 40;

// Side of a cell and width of the margin for names, in pixels.
function layout(width, count, longestName) {
  const margin = Math.min(longestName + 8, Math.max(60, width * 0.3));
  const labelled = Math.floor((width - margin) / count);
  if (labelled >= LABELLED_CELL) return { cell: Math.min(labelled, LARGEST_CELL), margin };
  return { cell: Math.max(Math.floor(width / count), SMALLEST_CELL), margin: 0 };
}

const STEPS = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  PageUp: [-10, 0],
  PageDown: [10, 0],
  Home: [0, -Infinity],
  End: [0, Infinity],
};

// The cursor after a key, or null if the key does not move it.
function moved([row, column], key, count) {
  if (!(key in STEPS)) return null;
  const inside = (place) => Math.max(0, Math.min(count - 1, place));
  const [down, right] = STEPS[key];
  return [inside(row + down), inside(column + right)];
}

// Row and column under a point, or null.
function cellAt(x, y, { cell, margin }, count) {
  const column = Math.floor((x - margin) / cell);
  const row = Math.floor((y - margin) / cell);
  return row >= 0 && column >= 0 && row < count && column < count ? [row, column] : null;
}

const bySize = (name) => (a, b) => (b[name] ?? -Infinity) - (a[name] ?? -Infinity);
const byName = (name) => (a, b) => String(a[name] ?? "").localeCompare(String(b[name] ?? ""), "en", { numeric: true });
const ORDERS = {
  acc: bySize("acc"),
  num_params: bySize("num_params"),
  family: (a, b) => byName("family")(a, b) || bySize("acc")(a, b),
  name: byName("name"),
};

// Indices of the models in the order to show them.
function ordered(models, by) {
  return models.map((_, i) => i).sort((a, b) => ORDERS[by](models[a], models[b]));
}
