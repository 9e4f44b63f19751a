// Puts the parts together.

function startMap(data) {
  const { models } = data;
  const names = models.map((model) => model.name);
  const measure = byId("measure");
  const order = byId("order");
  const some = byId("models");
  const [teacher, student] = [byId("teacher"), byId("student")];
  measure.append(...data.measures.map(({ heading }) => element("option", { value: heading }, heading)));
  const sorted = ordered(models, "name").map((i) => names[i]);
  for (const select of [teacher, student]) select.append(...sorted.map((name) => element("option", { value: name }, name)));

  const open = (first, second) => {
    state.set({ pair: `${names[first]},${names[second]}` });
    render(first, second);
    map.mark([first, second]);
  };
  const map = createMap(data, open);
  let opened = best(data);

  function render(first, second) {
    opened = [first, second];
    [teacher.value, student.value] = [names[first], names[second]];
    byId("pair-heading").textContent = `${names[first]} → ${names[second]}`;
    byId("pair-body").replaceChildren(...pairBody(data, first, second));
  }
  function restore() {
    measure.value = state.get("measure");
    order.value = state.get("order");
    if (some.value !== state.get("models")) some.value = state.get("models");
    if (measure.selectedIndex < 0) measure.selectedIndex = 0;
    if (order.selectedIndex < 0) order.selectedIndex = 0;
    opened = named(names, state.get("pair")) ?? opened;
    render(...opened);
    map.show(data.measures[measure.selectedIndex], order.value, some.value, opened);
  }
  for (const select of [measure, order]) {
    select.addEventListener("change", () => {
      state.set({ [select.id]: select.selectedIndex ? select.value : "" });
      restore();
    });
  }
  some.addEventListener("input", () => {
    state.set({ models: some.value });
    restore();
  });
  for (const select of [teacher, student]) {
    select.addEventListener("change", () => {
      if (teacher.value !== student.value) open(names.indexOf(teacher.value), names.indexOf(student.value));
    });
  }
  byId("reverse").addEventListener("click", () => open(opened[1], opened[0]));
  restore();
  return { restore, isPair: (first, second) => first !== second && names.includes(first) && names.includes(second) };
}

// The pair with the highest figure of the first measure, open at first.
function best({ models, measures }) {
  const count = models.length;
  const { values } = measures[0];
  let highest = 1;
  for (let i = 0; i < values.length; i++) {
    if (i % (count + 1) && (values[i] ?? -Infinity) > (values[highest] ?? -Infinity)) highest = i;
  }
  return [Math.floor(highest / count), highest % count];
}

// Indices of the models of "teacher,student"; names may have commas themselves.
function named(names, pair) {
  for (let i = pair.indexOf(","); i >= 0; i = pair.indexOf(",", i + 1)) {
    const found = [pair.slice(0, i), pair.slice(i + 1)].map((name) => names.indexOf(name));
    if (found.every((index) => index >= 0) && found[0] !== found[1]) return found;
  }
  return null;
}

async function start() {
  const [library, pairs, tables] = await Promise.all(["tabulator", "pair-map", "tables"].map(read));
  if (library) document.head.append(element("script", {}, library));
  const map = pairs && startMap(JSON.parse(pairs));
  const made = [];
  for (const [number, table] of JSON.parse(tables).entries()) {
    made.push(await createTable(table, number, map ? map.isPair : () => false));
  }
  followLinks(() => [map, ...made].forEach((part) => part?.restore()));
  document.documentElement.dataset.ready = Math.round(performance.now()); // milliseconds since it was asked for
}

start().catch((error) => {
  const words = `The map and the tables need a browser of 2023 or newer (${error.message}).`;
  document.querySelector("main").prepend(element("p", { role: "alert" }, words));
  throw error;
});
