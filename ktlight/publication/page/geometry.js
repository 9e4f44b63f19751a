// Where things are on the map, as pure functions. Positions count rows and columns in the order shown.

const SMALLEST_CELL = 1;
const LARGEST_CELL = 56;
const LABELLED_CELL = 11;
const WRITTEN_CELL = 40;

// Side of a cell and width of the margin for names, in pixels.
function layout(width, columns, longestName) {
  const margin = Math.min(longestName + 8, Math.max(60, width * 0.3));
  const labelled = Math.floor((width - margin) / columns);
  if (labelled >= LABELLED_CELL) return { cell: Math.min(labelled, LARGEST_CELL), margin };
  return { cell: Math.max(Math.floor(width / columns), SMALLEST_CELL), margin: 0 };
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
function moved([row, column], key, rows, columns) {
  if (!(key in STEPS)) return null;
  const [down, right] = STEPS[key];
  const inside = (place, count) => Math.max(0, Math.min(count - 1, place));
  return [inside(row + down, rows), inside(column + right, columns)];
}

// Row and column under a point, or null.
function cellAt(x, y, { cell, margin }, rows, columns) {
  const column = Math.floor((x - margin) / cell);
  const row = Math.floor((y - margin) / cell);
  return row >= 0 && column >= 0 && row < rows && column < columns ? [row, column] : null;
}

const bySize = (name) => (a, b) => (b[name] ?? -Infinity) - (a[name] ?? -Infinity);
const byName = (name) => (a, b) => String(a[name] ?? "").localeCompare(String(b[name] ?? ""), "en", { numeric: true });
const ORDERS = {
  acc: bySize("acc"),
  num_params: bySize("num_params"),
  family: (a, b) => byName("family")(a, b) || bySize("acc")(a, b),
  name: byName("name"),
};

// Which models have any figure as teachers, and which as students: the others need no row and no column.
function occupied(count, measures) {
  const [rows, columns] = [new Set(), new Set()];
  for (const { values } of measures) {
    for (let i = 0; i < values.length; i++) {
      if (values[i] === null) continue;
      rows.add(Math.floor(i / count));
      columns.add(i % count);
    }
  }
  return { rows, columns };
}

// Indices of the models in the order to show them.
function ordered(models, by) {
  return models.map((_, i) => i).sort((a, b) => ORDERS[by](models[a], models[b]));
}
