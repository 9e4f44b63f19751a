// The map of pairs: a canvas with a cursor for mouse and keyboard.

function createMap(data, open) {
  const canvas = byId("map");
  const count = data.models.length;
  const map = { measure: data.measures[0], order: [], cursor: [0, 0], cells: document.createElement("canvas") };
  let place = layout(canvas.parentElement.clientWidth, count, 0);

  const value = ([row, column]) => map.measure.values[map.order[row] * count + map.order[column]];
  const pair = ([row, column]) => [map.order[row], map.order[column]];

  function paintCells() {
    const limits = bounds(map.measure.values);
    map.colours = palette(limits[0]);
    map.limits = limits;
    map.cells.width = map.cells.height = count;
    const image = new ImageData(count, count);
    for (let i = 0; i < count * count; i++) {
      const figure = value([Math.floor(i / count), i % count]);
      if (figure !== null) image.data.set([...map.colours[shade(figure, limits)], 255], i * 4);
    }
    map.cells.getContext("2d").putImageData(image, 0, 0);
    paintScale(map.colours, limits.map((limit) => fixed(limit * map.measure.unit)));
  }

  function draw() {
    const context = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    context.font = `12px ${style.fontFamily}`;
    const names = data.models.map((model) => model.name);
    place = layout(canvas.parentElement.clientWidth, count, Math.max(...names.map((n) => context.measureText(n).width)));
    const side = place.margin + place.cell * count;
    const ratio = devicePixelRatio || 1;
    canvas.width = canvas.height = Math.ceil((side + 1) * ratio);
    canvas.style.width = canvas.style.height = `${side + 1}px`;
    context.scale(ratio, ratio);
    context.imageSmoothingEnabled = false;
    context.drawImage(map.cells, place.margin, place.margin, side - place.margin, side - place.margin);
    context.font = `12px ${style.fontFamily}`;
    if (place.margin) drawNames(context, map.order.map((i) => names[i]), place, style.color);
    if (place.cell >= WRITTEN_CELL) drawFigures(context);
    if (map.opened) outline(context, map.opened.map((i) => map.order.indexOf(i)), style.color, false);
    if (document.activeElement === canvas || map.hovered) outline(context, map.cursor, style.color, true);
  }

  function drawFigures(context) {
    context.textAlign = "center";
    for (let i = 0; i < count * count; i++) {
      const at = [Math.floor(i / count), i % count];
      const figure = value(at);
      if (figure === null) continue;
      context.fillStyle = legible(map.colours[shade(figure, map.limits)]);
      const [y, x] = at.map((k) => place.margin + (k + 0.5) * place.cell);
      context.fillText(fixed(figure * map.measure.unit, place.cell > 50 ? 2 : 1), x, y);
    }
  }

  function outline(context, [row, column], colour, dashed) {
    const [y, x] = [row, column].map((k) => place.margin + k * place.cell);
    const out = Math.max(0, 3 - place.cell / 2);
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.setLineDash(dashed ? [3, 2] : []);
    context.strokeRect(x - out, y - out, place.cell + 2 * out, place.cell + 2 * out);
  }

  function say() {
    const [teacher, student] = pair(map.cursor).map((i) => data.models[i].name);
    const figure = value(map.cursor);
    const said = figure === null ? "none" : fixed(figure * map.measure.unit);
    byId("map-cell").textContent =
      teacher === student ? teacher : `${teacher} → ${student}: ${map.measure.heading.toLowerCase()} ${said}`;
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

  canvas.addEventListener("keydown", (event) => {
    const at = moved(map.cursor, event.key, count);
    if (at) point(at);
    else if (event.key === "Enter" || event.key === " ") choose();
    else return;
    event.preventDefault();
  });
  const under = (event) => cellAt(event.offsetX, event.offsetY, place, count);
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

  return {
    // Shows a measure in an order, with the open pair marked.
    show(measure, order, opened) {
      map.measure = measure;
      map.order = ordered(data.models, order);
      map.opened = opened;
      map.cursor = opened.map((i) => map.order.indexOf(i));
      paintCells();
      draw();
      say();
    },
    mark(opened) {
      map.opened = opened;
      map.cursor = opened.map((i) => map.order.indexOf(i));
      draw();
    },
  };
}

function drawNames(context, names, { cell, margin }, colour) {
  context.fillStyle = colour;
  context.textBaseline = "middle";
  names.forEach((name, i) => {
    const middle = margin + (i + 0.5) * cell;
    const text = shortened(context, name, margin - 6);
    context.textAlign = "right";
    context.fillText(text, margin - 6, middle);
    context.save();
    context.translate(middle, margin - 6);
    context.rotate(-Math.PI / 2);
    context.textAlign = "left";
    context.fillText(text, 0, 0);
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
