// The state of the page: what came with it, asking the server for what follows, and showing the view of what it said.

const $ = (id) => document.getElementById(id);
const texts = JSON.parse($("texts").textContent);
const state = JSON.parse($("state").textContent);
const settings = Object.fromEntries(Object.entries(document.body.dataset).map(([name, value]) => [name, Number(value)]));
const address = location.pathname;

let job = state.job;      // what the server said last
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

function start() {
  if (state.stays) return;
  if (!job) return void look();
  if (state.now) setClock(state.now * 1000);
  const early = $("view").querySelector("input[type=file]")?.files[0];  // chosen before this script was there
  show();
  // A page that the browser kept (back, a tab opened again) may be of any age.
  if (performance.getEntriesByType("navigation")[0]?.type === "back_forward") look();
  else schedule();
  if (early && takesFile()) begin(early);
}
addEventListener("pageshow", (event) => { if (event.persisted) look(); });

function setClock(milliseconds) {
  clockOffset = Math.abs(milliseconds - Date.now()) > 5000 ? milliseconds - Date.now() : 0;
}

async function look() {
  clearTimeout(timer);
  const mine = ++round;
  try {
    const answer = await fetch(address, { headers: { Accept: "application/json" }, cache: "no-store" });
    const date = Date.parse(answer.headers.get("Date") || "");
    if (!answer.ok && answer.status !== 404) throw new Error(`status ${answer.status}`);
    const document = answer.ok ? await answer.json() : { status: "unknown" };
    if (mine !== round) return;
    if (date) setClock(date);
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
  claimed, purged, failed, expired, unknown,
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
    $("title").textContent = $("title").title = job.filename || texts.refusals["job-not-found"][0];
    $("title").classList.toggle("clamped", Boolean(job.filename));
    $("lead").textContent = lead(key);
    $("foot").hidden = ["unknown", "purged"].includes(key);
    if (focused !== null) (sameButton(focused) || $("title")).focus();
    if (!opening) say(view.said || lead(key));
  }
  shown.update();
  $("until").replaceChildren(...until(key));
  document.title = fill(texts.titles.document, { title: tab(key) });
}

// Who had reached a button that is still there has it again; else the title, and never the top of the document.
const sameButton = (text) => [...$("view").querySelectorAll("button")].find((one) => one.textContent === text);

function viewKey() {
  if (takesFile()) return transfer ? transfer.state : "choose";
  if (job.status === "claimed") return claim && claim.endsAt > now() ? "claimed-here" : "claimed";
  return views[job.status] ? job.status : "unknown";
}

function lead(key) {
  if (key === "unknown") return texts.refusals["job-not-found"][1];
  if (key === "expired") return texts.leads[expiredKey()];
  if (key === "purged" && deletedHere) return texts.leads["deleted-here"];
  if (key === "choose") return texts.leads[job.status];
  return texts.leads[{ sending: "uploading", sent: "uploaded" }[key] || key];
}

function tab(key) {
  const title = job.filename || texts.refusals["job-not-found"][0];
  const done = { sending: () => transfer.loaded / transfer.file.size || 0, processing: () => job.progress }[key];
  if (done) return fill(texts.titles.progress, { title, percent: percent(done()) });
  return fill(texts.titles[key] || "{title}", { title });
}

function until(key) {
  const offline = failures ? [`${texts.until.offline} `] : [];
  const at = Date.parse(job.expires_at);
  const told = { moment: moment(at || 0), span: span((at - now()) / 1000) };
  if (key === "ready") return [...offline, ...filledWith(texts.until.ready, told)];
  if (["choose", "checking", "sending", "paused", "conflict", "broken"].includes(key)) {
    return [...offline, ...filledWith(texts.until.waiting, told)];
  }
  return offline;
}

function problemNodes() {
  return message ? [element("p", { class: "problem", role: "alert" }, message)] : [];
}

// ---- the ends

const expiredKey = () => (job.result ? "expired-result" : "expired-upload");

function expired() {
  return { nodes: [...problemNodes(), paragraph(texts.hints[expiredKey()])] };
}

function unknown() {
  return { nodes: [...problemNodes(), paragraph(texts.refusals.compare)] };
}

function purged() {
  const told = filledWith(texts.hints.record, { moment: moment(Date.parse(job.expires_at) + settings.recordSeconds * 1000) });
  return { nodes: [...problemNodes(), paragraph(texts.hints.purged), element("p", { class: "note" }, ...told)] };
}

function failed() {
  const { error } = job;
  const nodes = [...problemNodes(), ...(error ? [problem(error)] : []), paragraph(texts.hints[error?.code] || texts.hints.failed)];
  if (isWrongFile()) nodes.push(button(texts.upload["button-another"], chooseAnother, "wide"));
  return { nodes };
}

function chooseAnother() {
  another = job.updated_at;
  show();
  schedule();
}

// ---- the forms that came with the page are for browsers without scripts; pressed early, they do the same as our buttons

addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.target === $("delete")) $("confirm").showModal();
  else if (job?.status === "ready") take(event.submitter || $("view").querySelector("button"));
});

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
    message = texts.delete.failed;
  }
  shown.key = "again";
  await look();
  $("title").focus();
});
