// The map of pairs: a canvas with a cursor for mouse and keyboard.

function createMap(data, open) {
  const canvas = byId("map");
  const count = data.models.length;
  const names = data.models.map((model) => model.name);
  const searchable = data.models.map(({ name, family }) => `${name} ${family ?? ""}`.toLowerCase());
  const shown = occupied(count, data.measures);
  const map = { rows: [], columns: [], cursor: [0, 0], cells: document.createElement("canvas") };
  let place = null;

  const pair = ([row, column]) => [map.rows[row], map.columns[column]];
  const value = (at) => {
    const [teacher, student] = pair(at);
    return map.measure.values[teacher * count + student];
  };
  const position = ([teacher, student]) => [map.rows.indexOf(teacher), map.columns.indexOf(student)];

  function* everywhere() {
    for (let row = 0; row < map.rows.length; row++) {
      for (let column = 0; column < map.columns.length; column++) yield [row, column];
    }
  }

  const empty = () => !map.rows.length || !map.columns.length;

  function paintCells() {
    map.limits = bounds(map.measure.values);
    map.colours = palette(map.limits[0]);
    paintScale(map.colours, map.limits.map((limit) => said(map.measure, limit)));
    if (empty()) return;
    [map.cells.width, map.cells.height] = [map.columns.length, map.rows.length];
    const image = new ImageData(map.cells.width, map.cells.height);
    let byte = 0;
    for (const at of everywhere()) {
      const figure = value(at);
      if (figure !== null) image.data.set([...map.colours[shade(figure, map.limits)], 255], byte);
      byte += 4;
    }
    map.cells.getContext("2d").putImageData(image, 0, 0);
  }

  function draw() {
    canvas.hidden = empty();
    if (empty()) return;
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    const font = `12px ${style.fontFamily}`;
    context.font = font;
    const longest = Math.max(...names.map((name) => context.measureText(name).width));
    place = layout(canvas.parentElement.clientWidth, map.columns.length, longest);
    const [width, height] = [map.columns.length, map.rows.length].map((cells) => place.cell * cells);
    resize(canvas, place.margin + width + 1, place.margin + height + 1);
    context.font = font;
    context.imageSmoothingEnabled = false;
    context.drawImage(map.cells, place.margin, place.margin, width, height);
    if (place.margin) drawNames(context, map.rows.map((i) => names[i]), map.columns.map((i) => names[i]), place, style.color);
    if (place.cell >= WRITTEN_CELL) drawFigures(context);
    if (map.opened) outline(context, position(map.opened), style.color, false);
    if (document.activeElement === canvas || map.hovered) outline(context, map.cursor, style.color, true);
  }

  function drawFigures(context) {
    context.textAlign = "center";
    for (const at of everywhere()) {
      const figure = value(at);
      if (figure === null) continue;
      context.fillStyle = legible(map.colours[shade(figure, map.limits)]);
      const [y, x] = at.map((k) => place.margin + (k + 0.5) * place.cell);
      context.fillText(said(map.measure, figure, place.cell > 50 ? 2 : 1), x, y);
    }
  }

  function outline(context, at, colour, dashed) {
    if (at.includes(-1)) return;
    const [y, x] = at.map((k) => place.margin + k * place.cell);
    const out = Math.max(0, 3 - place.cell / 2);
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.setLineDash(dashed ? [3, 2] : []);
    context.strokeRect(x - out, y - out, place.cell + 2 * out, place.cell + 2 * out);
  }

  function say() {
    if (empty()) {
      byId("map-cell").textContent = "No model with figures has these words in its name or family.";
      return;
    }
    const [teacher, student] = pair(map.cursor).map((i) => names[i]);
    const figure = value(map.cursor);
    const words = figure === null ? "none" : said(map.measure, figure);
    byId("map-cell").textContent =
      teacher === student ? teacher : `${teacher} → ${student}: ${map.measure.heading.toLowerCase()} ${words}`;
  }

  function point(at) {
    map.cursor = at;
    draw();
    say();
  }

  function choose() {
    const [teacher, student] = pair(map.cursor);
    if (teacher !== student) open(teacher, student);
  }

  function mark(opened) {
    map.opened = opened;
    if (!position(opened).includes(-1)) map.cursor = position(opened);
    draw();
    say();
  }

  canvas.addEventListener("keydown", (event) => {
    const at = moved(map.cursor, event.key, map.rows.length, map.columns.length);
    if (at) point(at);
    else if (event.key === "Enter" || event.key === " ") choose();
    else return;
    event.preventDefault();
  });
  const under = (event) => cellAt(event.offsetX, event.offsetY, place, map.rows.length, map.columns.length);
  canvas.addEventListener("pointermove", (event) => {
    const at = under(event);
    map.hovered = Boolean(at);
    if (at) point(at);
  });
  canvas.addEventListener("pointerleave", () => {
    map.hovered = false;
    draw();
  });
  canvas.addEventListener("click", (event) => {
    const at = under(event);
    if (!at) return;
    point(at);
    choose();
  });
  for (const event of ["focus", "blur"]) canvas.addEventListener(event, () => (draw(), say()));
  new ResizeObserver(() => requestAnimationFrame(draw)).observe(canvas.parentElement);
  dark.addEventListener("change", () => (paintCells(), draw()));

  // Shows a measure of the models whose name or family has some words, in an order, with the open pair marked.
  function show(measure, order, words, opened) {
    const models = ordered(data.models, order).filter((i) => found(searchable[i], words));
    map.measure = measure;
    map.rows = models.filter((i) => shown.rows.has(i));
    map.columns = models.filter((i) => shown.columns.has(i));
    map.cursor = [0, 0];
    paintCells();
    mark(opened);
  }
  return { show, mark };
}

// Gives a canvas its size in pixels of the page, and draws in the pixels of the screen.
function resize(canvas, width, height) {
  const ratio = devicePixelRatio || 1;
  [canvas.width, canvas.height] = [width, height].map((side) => Math.ceil(side * ratio));
  [canvas.style.width, canvas.style.height] = [width, height].map((side) => `${side}px`);
  canvas.getContext("2d").scale(ratio, ratio);
}

function drawNames(context, teachers, students, { cell, margin }, colour) {
  context.fillStyle = colour;
  context.textBaseline = "middle";
  context.textAlign = "right";
  teachers.forEach((name, i) => {
    context.fillText(shortened(context, name, margin - 6), margin - 6, margin + (i + 0.5) * cell);
  });
  context.textAlign = "left";
  students.forEach((name, i) => {
    context.save();
    context.translate(margin + (i + 0.5) * cell, margin - 6);
    context.rotate(-Math.PI / 2);
    context.fillText(shortened(context, name, margin - 6), 0, 0);
    context.restore();
  });
}

function shortened(context, text, width) {
  let kept = text;
  while (context.measureText(kept).width > width && kept.length > 2) kept = `${kept.slice(0, -2)}…`;
  return kept;
}

function paintScale(colours, ends) {
  const image = new ImageData(256, 1);
  colours.forEach((colour, i) => image.data.set([...colour, 255], i * 4));
  byId("scale").getContext("2d").putImageData(image, 0, 0);
  [byId("lowest").textContent, byId("highest").textContent] = ends;
}
