// What lies behind a pair of models: figures both ways, classes, remarks, images.

const POSITIVE_FLIPS = "Positive flips";
const VALUES = 5; // whole numbers that describe an example
const BARS = 12; // classes shown at once

function pairBody(data, teacher, student) {
  const names = [teacher, student].map((i) => data.models[i].name);
  const key = `${teacher},${student}`;
  return [
    ...identity(data, teacher, student),
    measures(data, teacher, student),
    ...histogram(data, teacher, student),
    ...(data.remarks[key] ?? []).map((sentence) => element("p", {}, sentence)),
    ...examples(data, examplesOf(data, teacher, student), names),
  ];
}

// The difference of accuracies is that of the flips, in whole samples.
function identity(data, teacher, student) {
  const [gaps, reverse] = [flips(data, teacher, student), flips(data, student, teacher)];
  const [first, second] = [teacher, student].map((i) => data.models[i].acc);
  if (gaps === null || reverse === null) return [];
  const alone = ({ percent, samples }) => element("b", {}, samples === null ? "" : `${whole(samples)} `, `(${fixed(percent)}%)`);
  const sentence = element("p", {}, "The teacher alone is right on ", alone(gaps), " of the ");
  sentence.append(`${data.samples ? `${whole(data.samples)} ` : ""}samples, the student alone on `, alone(reverse), ".");
  if (!data.samples) return [sentence];
  const difference = (100 * (gaps.samples - reverse.samples)) / data.samples;
  return [
    sentence,
    element(
      "p",
      { class: "identity" },
      `(${whole(gaps.samples)} − ${whole(reverse.samples)}) / ${whole(data.samples)} = ${signed(difference)}%, `,
      `the difference between their accuracies, ${fixed(first)} and ${fixed(second)}.`,
    ),
  ];
}

// Samples that only the teacher is right on, in percent and, where it is known of how many, in number.
function flips(data, teacher, student) {
  const measure = data.measures.find(({ heading }) => heading === POSITIVE_FLIPS);
  const percent = measure ? at(data, measure, teacher, student) : null;
  return percent === null ? null : { percent, samples: data.samples ? Math.round(percent / measure.unit) : null };
}

function at(data, { unit, values }, teacher, student) {
  const value = values[teacher * data.models.length + student];
  return value === null ? null : value * unit;
}

function measures(data, teacher, student) {
  const cell = (measure, from, to) => {
    const value = measure.values[from * data.models.length + to];
    return element("td", {}, value === null ? "–" : said(measure, value));
  };
  const rows = data.measures.map((measure) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, measure.heading),
      cell(measure, teacher, student),
      cell(measure, student, teacher),
    ),
  );
  const headings = ["Measure", "This pair", "Reverse"].map((text) => element("th", { scope: "col" }, text));
  return element("table", { class: "figures" }, element("thead", {}, element("tr", {}, ...headings)), element("tbody", {}, ...rows));
}

function histogram(data, teacher, student) {
  const start = (teacher * data.models.length + student) * data.classesKept;
  const classes = data.topClasses.slice(start, start + data.classesKept);
  const counts = data.topCounts.slice(start, start + data.classesKept).filter((_, i) => classes[i] >= 0);
  if (!counts.length) return [];
  const rows = counts.map((count, i) => classRow(data.classes[classes[i]] ?? `class ${classes[i]}`, count, counts[0]));
  const table = (shown) => element("table", { class: "histogram" }, element("tbody", {}, ...shown));
  const [first, others] = [rows.slice(0, BARS), rows.slice(BARS)];
  const more = element("summary", {}, `${others.length} more classes`);
  return [
    element("h4", {}, "Classes in which only the teacher is right"),
    table(first),
    ...(others.length ? [element("details", {}, more, table(others))] : []),
    ...share(data, teacher, student, counts),
  ];
}

function classRow(name, count, most) {
  const bar = element("span", { class: "bar" });
  bar.style.width = `${(100 * count) / most}%`;
  const heading = element("th", { scope: "row", title: name }, name);
  return element("tr", {}, heading, element("td", { class: "bars" }, bar), element("td", {}, whole(count)));
}

// How much of all positive flips the classes shown hold.
function share(data, teacher, student, counts) {
  const all = flips(data, teacher, student)?.samples;
  if (!all) return [];
  const shown = counts.reduce((sum, count) => sum + count, 0);
  return [element("p", { class: "hint" }, `These classes hold ${whole(shown)} of the ${whole(Math.max(shown, all))} samples.`)];
}

// Image, label, the student's answer and both confidences of each example.
function examplesOf({ models, examplesKept, examples }, teacher, student) {
  const first = (teacher * models.length + student) * examplesKept;
  const all = Array.from({ length: examplesKept }, (_, i) => examples.slice((first + i) * VALUES, (first + i + 1) * VALUES));
  return all.filter(([image]) => image >= 0);
}

function examples(data, shown, [teacher, student]) {
  if (!shown.length) return [];
  const named = (number) => data.classes[number] ?? `class ${number}`;
  const figures = shown.map(([number, label, answer, sureTeacher, sureStudent]) => {
    const image = data.images[number];
    return element(
      "figure",
      {},
      ...(image ? [element("img", { src: image, alt: named(label) })] : []),
      element(
        "figcaption",
        {},
        element("span", { class: "right" }, `${named(label)} (${sureTeacher}%)`),
        element("span", { class: "wrong" }, `${named(answer)} (${sureStudent}%)`),
      ),
    );
  });
  return [
    element("h4", {}, "Examples"),
    element("p", { class: "hint" }, `✓ the label, as ${teacher} says; ✗ what ${student} says; with their confidence.`),
    element("div", { class: "examples" }, ...figures),
  ];
}

function showPair() {
  byId("pair").scrollIntoView({ block: "nearest" });
  byId("pair").focus({ preventScroll: true });
}
