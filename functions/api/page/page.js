// The state of the page: asking the server, and showing the view of what it said.

const $ = (id) => document.getElementById(id);
const texts = JSON.parse($("texts").textContent);
const windowSeconds = Number(document.body.dataset.downloadWindowSeconds);
const longestWindowSeconds = Number(document.body.dataset.longestWindowSeconds);
const maxUploadBytes = Number(document.body.dataset.maxUploadBytes);
const address = location.pathname + location.search;

let job = null;           // what the server said last
let transfer = null;      // our upload: {file, state: "sending" | "broken" | "sent", ...}
let claim = null;         // our claim: {url, endsAt} in the server's time
let another = null;       // the failure (its moment) after which another file is being chosen
let deletedHere = false;
let message = "";         // what went wrong with the last thing that the user did
let clockOffset = 0;      // server's time - ours, milliseconds
let shown = { key: "", update() {} };

const now = () => Date.now() + clockOffset;

const takesFile = () => job.status === "awaiting-upload" || (isWrongFile() && another === job.updated_at);
const isWrongFile = () => job.status === "failed" && Boolean(job.upload);

// ---- asking the server

let timer = 0;
let round = 0;
let failures = 0;

async function look() {
  clearTimeout(timer);
  const mine = ++round;
  try {
    const answer = await fetch(address, { headers: { Accept: "application/json" }, cache: "no-store" });
    const date = Date.parse(answer.headers.get("Date") || "");
    if (!answer.ok && answer.status !== 404) throw new Error(`status ${answer.status}`);
    const document = answer.ok ? await answer.json() : { status: "unknown" };
    if (mine !== round) return;
    if (date) clockOffset = Math.abs(date - Date.now()) > 5000 ? date - Date.now() : 0;
    job = document;
    failures = 0;
    if (transfer && !takesFile()) dropTransfer();
  } catch {
    if (mine !== round) return;
    failures += 1;
  }
  show();
  schedule();
}

function schedule() {
  clearTimeout(timer);
  const seconds = failures ? Math.min(30, 2 ** failures) : pause();
  if (seconds) timer = setTimeout(look, seconds * 1000 * (document.hidden ? 4 : 1));
}

function pause() {
  switch (job && takesFile() ? "takes-file" : job?.status) {
    case "takes-file": return transfer ? (transfer.state === "sent" ? 1 : 0) : 10;
    case "processing": return 1.5;
    case "ready": return 30;
    case "claimed": return claim ? Math.min(30, Math.max(3, (claim.endsAt - now()) / 1000 + 2)) : 15;
    default: return 0;
  }
}

document.addEventListener("visibilitychange", () => { if (!document.hidden && pause()) look(); });
addEventListener("online", () => { if (transfer?.state === "broken") sendAgain(); else if (failures) look(); });

// ---- showing

const views = {
  choose, checking, sending, paused, conflict, broken, sent, processing, ready, "claimed-here": claimedHere,
  claimed: ended, purged: ended, failed: ended, expired: ended, unknown: ended,
};

function show() {
  if (!job) return;
  const key = viewKey();
  if (key !== shown.key) {
    const focused = $("view").contains(document.activeElement) ? document.activeElement.textContent : null;
    const view = views[key]();
    $("view").replaceChildren(...view.nodes);
    const opening = !shown.key;
    shown = { key, update: view.update || (() => {}) };
    $("title").textContent = job.filename || "There is no such job";
    $("lead").textContent = lead(key);
    $("foot").hidden = ["unknown", "purged"].includes(key);
    if (focused !== null) (sameButton(focused) || $("title")).focus();
    if (!opening) say(view.said || lead(key));
  }
  shown.update();
  $("until").replaceChildren(...until(key));
  document.title = `${titlePrefix(key)}${job.filename || "No such job"} - Audio Resampler`;
}

// Who had reached a button that is still there has it again; else the title, and never the top of the document.
const sameButton = (text) => [...$("view").querySelectorAll("button")].find((one) => one.textContent === text);

function viewKey() {
  if (takesFile()) return transfer ? transfer.state : "choose";
  if (job.status === "claimed") return claim && claim.endsAt > now() ? "claimed-here" : "claimed";
  return views[job.status] ? job.status : "unknown";
}

function textKey(key) {
  if (key === "expired") return job.result ? "expired-result" : "expired-upload";
  if (key === "purged" && deletedHere) return "deleted-here";
  return { choose: "awaiting-upload", sending: "uploading", sent: "uploaded" }[key] || key;
}

const lead = (key) => texts.leads[textKey(key)] || "";

function titlePrefix(key) {
  if (key === "sending") return `${Math.floor((100 * transfer.loaded) / transfer.file.size || 0)}% `;
  if (key === "processing") return `${Math.floor(job.progress * 100)}% `;
  return { ready: "Ready: ", failed: "Failed: " }[key] || "";
}

function until(key) {
  const offline = failures ? ["The server can't be reached; trying again. "] : [];
  const at = Date.parse(job.expires_at);
  if (key === "ready") return [...offline, "Kept until ", moment(at), `, ${span((at - now()) / 1000)} from now.`];
  if (["choose", "checking", "sending", "paused", "conflict", "broken"].includes(key)) return [...offline, "The link waits until ", moment(at), "."];
  return offline;
}

function problemNodes() {
  return message ? [element("p", { class: "problem", role: "alert" }, message)] : [];
}

// ---- the ends

function chooseAnother() {
  another = job.updated_at;
  show();
  schedule();
}

function ended() {
  const key = viewKey();
  const nodes = [...problemNodes()];
  if (key === "failed" && job.error) nodes.push(paragraph(job.error.detail, "problem"));
  const hint = (key === "failed" && texts.hints[job.error?.code]) || texts.hints[textKey(key)];
  if (hint) nodes.push(paragraph(filled(hint)));
  if (key === "failed" && isWrongFile()) nodes.push(button("Choose another file", chooseAnother, "wide"));
  if (key === "claimed") nodes.push(...facts());
  return { nodes };
}

// ---- Delete now

$("delete").addEventListener("click", () => $("confirm").showModal());
$("confirm-no").addEventListener("click", () => $("confirm").close());
$("confirm-yes").addEventListener("click", async () => {
  $("confirm").close();
  dropTransfer();
  message = "";
  try {
    const answer = await fetch(address, { method: "DELETE" });
    if (!answer.ok && answer.status !== 404) throw new Error(`status ${answer.status}`);
    deletedHere = answer.ok;
    try { sessionStorage.removeItem(address); } catch { /* nothing kept */ }
  } catch {
    message = "The file could not be deleted, because the server did not answer. Please try again.";
  }
  shown.key = "again";
  await look();
  $("title").focus();
});
