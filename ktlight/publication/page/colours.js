// Colours of the map: from little to much, or, for figures of either sign, from one hue through grey to another.

const SCALES = {
  light: {
    rising: ["#fbfbe4", "#c7e9b4", "#7fcdbb", "#41b6c4", "#1d91c0", "#225ea8", "#0c2c84"],
    signed: ["#8c4506", "#d98f3a", "#f6dcb5", "#f2f2f2", "#cfe0ef", "#67a9cf", "#1c5a9e"],
  },
  dark: {
    rising: ["#1b2230", "#1c3a5e", "#1d5f8a", "#1f8aa3", "#3db59c", "#8fd89a", "#e6f5a8"],
    signed: ["#f9ae62", "#b8681f", "#563a22", "#262a31", "#20405f", "#3a80bd", "#93cdff"],
  },
};

// Canvases are drawn for paper in light colours, whatever the screen.
const dark = matchMedia("screen and (prefers-color-scheme: dark)");

const channels = (hex) => [1, 3, 5].map((start) => parseInt(hex.slice(start, start + 2), 16));

// 256 colours [r, g, b] between the stops of a scale.
function palette(low) {
  const stops = SCALES[dark.matches ? "dark" : "light"][low < 0 ? "signed" : "rising"].map(channels);
  return Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (stops.length - 1);
    const left = Math.min(Math.floor(place), stops.length - 2);
    return stops[left].map((value, c) => value + (stops[left + 1][c] - value) * (place - left));
  });
}

// The lowest and highest figure; around zero if there are both signs.
function bounds(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value === null) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (low > high) return [0, 1];
  if (low >= 0) return [low, high > low ? high : low + 1];
  const most = Math.max(-low, high);
  return [-most, most];
}

const shade = (value, [low, high]) => Math.round((255 * (value - low)) / (high - low));

const legible = ([r, g, b]) => (0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#111" : "#fff");
