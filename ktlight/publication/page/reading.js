// What the writer packed into the page, and elements to show it with.

async function read(name) {
  if (!byId(`${name}-data`)) return null;
  const stream = new Blob([bytesOf(name)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

// Takes packed data out of the page.
function bytesOf(name) {
  const packed = byId(`${name}-data`);
  const letters = atob(packed.textContent);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  packed.remove();
  return bytes;
}

const byId = (id) => document.getElementById(id);

// An element; its children are elements or plain text, never HTML.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const fixed = (value, decimals = 2) =>
  value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }).replace("-", "−");

// A packed figure of a measure in words.
const said = ({ unit, decimals }, value, most = 2) => fixed(value * unit, Math.min(decimals, most));

const signed = (value) => (value > 0 ? "+" : "") + fixed(value);

const whole = (value) => fixed(value, 0);
