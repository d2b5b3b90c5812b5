// What views are made of: nodes, words for figures, and what is said aloud.

// ---- making nodes: text is text, never markup

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value != null) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child != null));
  return node;
}
const paragraph = (text, kind = "") => element("p", kind ? { class: kind } : {}, text);
const button = (text, click, kind = "") => element("button", { type: "button", class: kind, click }, text);

function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

// ---- words for figures

const plural = (count, unit) => `${count} ${unit}${count === 1 ? "" : "s"}`;

function size(bytes) {
  if (bytes < 1000) return plural(bytes, "byte");
  const [divisor, unit] = bytes < 999500 ? [1e3, "kB"] : bytes < 999.5e6 ? [1e6, "MB"] : [1e9, "GB"];
  const value = bytes / divisor;
  return `${value.toFixed(value < 9.95 && value % 1 ? 1 : 0)}\u00a0${unit}`;
}

function clock(seconds) {
  const whole = Math.round(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (!parts[0]) parts.shift();
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
}

function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return plural(whole, "second");
  if (whole < 7200) return plural(Math.round(whole / 60), "minute");
  return plural(Math.round(whole / 3600), "hour");
}

function moment(milliseconds) {
  const date = new Date(milliseconds - clockOffset);
  const sameDay = date.toDateString() === new Date().toDateString();
  const style = sameDay ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  return element("time", { datetime: date.toISOString() }, new Intl.DateTimeFormat("en-GB", style).format(date));
}

const kilohertz = (rate) => `${rate / 1000}\u00a0kHz`;
const channels = (count) => ({ 1: "mono", 2: "stereo" })[count] || `${count} channels`;
// A line of 1 Mbit/s has 0.75 left for a file; a large one's download window is as long as that takes.
const slowSeconds = () => Math.ceil((8 * (job.result?.size_bytes || 0)) / 0.75e6);
const isLarge = () => (job.result?.size_bytes || 0) > 28.125e6;
const windowOfJob = () => (isLarge() ? Math.max(windowSeconds, Math.min(slowSeconds(), longestWindowSeconds)) : windowSeconds);
const filled = (text) => text.replace("{window}", span(windowOfJob())).replace("{slow}", span(slowSeconds()));

// ---- what the page says aloud

let lastSaid = "";
function say(text) {
  if (text === lastSaid) return;
  lastSaid = text;
  $("announcer").textContent = text;
}
