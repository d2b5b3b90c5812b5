// What views are made of: nodes, and what is said aloud. Text is text, never markup.

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
const row = (...children) => element("div", { class: "row" }, ...children);

// A sentence with a file's name in it, which may be long.
const named = (text, name, values = {}, kind = "clamped") => element("p", { class: kind, title: name }, fill(text, { name, ...values }));

// The text with nodes at its placeholders.
const filledWith = (text, nodes) => text.split(/\{([a-z]+)\}/).map((part, index) => (index % 2 ? nodes[part] : part));

function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

function bar(label) {
  const progress = element("progress", { max: 1, value: 0, "aria-label": label });
  const left = element("span");
  const right = element("span");
  return { progress, left, right, nodes: [progress, element("p", { class: "figures" }, left, right)] };
}

// ---- what the job says about itself

// In English as the service says it; in other languages what its code means, with the English behind it.
function problem(error) {
  const words = texts.errors;
  if (error.declared_seconds) return paragraph(fill(words.declared, { declared: clock(error.declared_seconds) }), "problem");
  if (language === "en" || !words[error.code]) return paragraph(error.detail, "problem");
  return element("div", { class: "problem" }, paragraph(words[error.code]),
    element("details", {}, element("summary", {}, words.original), element("p", { lang: "en" }, error.detail)));
}

// What the API refused: in English as it says it, with the figures.
function refusalText({ type, detail }) {
  const [title, text] = texts.refusals[type] || texts.refusals["internal-error"];
  return language === "en" ? detail : fill(texts.refusals.both, { title, text });
}

function warningText(warning) {
  if (warning.declared_seconds && job.result) {
    const text = texts.warnings[warning.code === "shorter-than-declared" ? "cut" : "partial"];
    return fill(text, twoLengths(warning.declared_seconds, job.result.duration_seconds));
  }
  return (language !== "en" && texts.warnings[warning.code]) || warning.detail;
}

function facts() {
  const { source, result } = job;
  if (!result) return [];
  const words = texts.facts;
  const known = (value, say) => (value == null ? "" : say(value));
  const rows = [
    [words.length, known(source?.duration_seconds, clock), clock(result.duration_seconds)],
    [words.size, known(source?.size_bytes, size), size(result.size_bytes)],
    [words.rate, known(source?.sample_rate, kilohertz), kilohertz(result.sample_rate)],
    [words.channels, known(source?.channels, channels), channels(result.channels)],
    [words.format, known(source, format), `MP3, ${kilobits(result.bit_rate)}`],
  ];
  return [element("table", {},
    element("caption", { class: "unseen" }, words.caption),
    element("thead", {}, element("tr", {}, element("td"), element("th", { scope: "col" }, words.before),
      element("th", { scope: "col" }, words.after))),
    element("tbody", {}, ...rows.map(([name, before, after]) => element("tr", {},
      element("th", { scope: "row" }, name), element("td", {}, before), element("td", {}, after)))))];
}

// ---- what the page says aloud

let lastSaid = "";
function say(text) {
  if (text === lastSaid) return;
  lastSaid = text;
  $("announcer").textContent = text;
}

function quarters(value, text) {
  const quarter = Math.floor(value * 4);
  if (quarter > 0 && quarter < 4) say(fill(text, { percent: percent(quarter / 4) }));
}
