// Words for figures, in the language of the page: the same that figures.py says, which a test compares.

const language = document.documentElement.lang;
const locale = document.body.dataset.locale;
const formats = JSON.parse($("formats").textContent);
const pluralOf = new Intl.PluralRules(language);

const fill = (text, values) => text.replace(/\{([a-z]+)\}/g, (placeholder, name) => values[name] ?? placeholder);

// Rounded first: Intl rounds what it takes for the decimal meant, 4.35 to 4.4.
const rounded = (value, decimals, least = decimals) => new Intl.NumberFormat(locale, {
  minimumFractionDigits: least, maximumFractionDigits: decimals, useGrouping: false,
}).format(Number(value.toFixed(decimals)));

const withUnit = (unit, value) => fill(texts.units[unit], { value });

function counted(unit, count) {
  const forms = texts.units[unit];
  return fill(forms[pluralOf.select(count)] || forms.other, { count: new Intl.NumberFormat(locale).format(count) });
}

function size(bytes) {
  if (bytes < 1000) return counted("bytes", bytes);
  const [divisor, unit] = bytes < 999500 ? [1e3, "kB"] : bytes < 999.5e6 ? [1e6, "MB"] : [1e9, "GB"];
  const value = bytes / divisor;
  return withUnit(unit, rounded(value, value < 9.95 && value % 1 ? 1 : 0));
}

function clock(seconds) {
  const whole = Math.round(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (!parts[0]) parts.shift();
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
}

// Two lengths that differ, as exactly as it takes to see that.
function twoLengths(declared, there) {
  const exact = clock(declared) === clock(there);
  const words = (seconds) => (exact ? withUnit("s", rounded(seconds, 3, 0)) : clock(seconds));
  return { declared: words(declared), there: words(there) };
}

function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return counted("seconds", whole);
  if (whole < 7200) return counted("minutes", Math.round(whole / 60));
  if (whole < 172800) return counted("hours", Math.round(whole / 3600));
  return counted("days", Math.round(whole / 86400));
}

// Where the browser is, and with the day only if it is not today; the server says UTC, because it does not know where.
function moment(milliseconds) {
  const date = new Date(milliseconds - clockOffset);
  const sameDay = date.toDateString() === new Date().toDateString();
  const style = sameDay ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" };
  return element("time", { datetime: `${date.toISOString().slice(0, 19)}Z` }, new Intl.DateTimeFormat(locale, style).format(date));
}

const percent = (share) => withUnit("percent", Math.floor(share * 100));
const kilohertz = (rate) => withUnit("kHz", rounded(rate / 1000, 3, 0));
const kilobits = (rate) => withUnit("kb/s", rounded(rate / 1000, 0));
const channels = (count) => texts.units[{ 1: "mono", 2: "stereo" }[count]] || counted("channels", count);

const restOf = (name) => name.replaceAll("_", " ").toUpperCase();

function pcm(codec) {
  const [, kind, count] = /^pcm_([suf])(\d+)(?:le|be)?(?:_planar)?$/.exec(codec) || [];
  return count && fill(texts.units[kind === "f" ? "float" : "bits"], { count });
}

function format(source) {
  const container = formats.containers[source.container] || restOf(source.container);
  const codec = formats.codecs[source.codec] || pcm(source.codec) || restOf(source.codec);
  return codec === container ? container : `${container}, ${codec}`;
}

// On a slow line; a large file's download window is as long as that takes.
const slowSeconds = () => Math.ceil((8 * (job.result?.size_bytes || 0)) / settings.slowBitsASecond);
const isLarge = () => (job.result?.size_bytes || 0) > settings.largeResultBytes;
const windowOfJob = () => (isLarge() ? Math.max(settings.downloadWindowSeconds, Math.min(slowSeconds(), settings.longestWindowSeconds))
  : settings.downloadWindowSeconds);
