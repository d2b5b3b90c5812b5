// The views of a job at work and of its result, and the claim.

// ---- processing, ready, claimed

function processing() {
  const { progress, left, right, nodes } = bar(texts.conversion.bar);
  return {
    nodes,
    update() {
      const begun = job.progress > 0;
      if (begun) progress.value = job.progress; else progress.removeAttribute("value");
      left.textContent = begun ? percent(job.progress) : "";
      const length = job.source?.duration_seconds;
      right.textContent = length ? fill(texts.conversion.length, { length: clock(length) }) : "";
      if (begun) quarters(job.progress, texts.conversion.said);
    },
  };
}

const downloadWords = () => fill(texts.download.button, { size: size(job.result?.size_bytes || 0) });

function ready() {
  const download = job.passphrase_required ? claimForm() : button(downloadWords(), () => take(download), "wide");
  const unchanged = job.result?.passthrough ? [paragraph(texts.download.unchanged, "good")] : [];
  const inApp = state.in_app ? [paragraph(texts.download["in-app"], "warning")] : [];
  const slow = slowSeconds() > 60 ? [paragraph(fill(texts.download.slow, { slow: span(slowSeconds()) }), "note")] : [];
  const warnings = (job.warnings || []).map((warning) => paragraph(warningText(warning), "warning"));
  return { nodes: [...problemNodes(), ...warnings, ...inApp, ...facts(), ...unchanged, download,
    paragraph(fill(texts.download.once, { window: span(windowOfJob()) }), "note"), ...slow] };
}

// Asks for the passphrase; its submission is caught with that of the other forms.
function claimForm() {
  const words = texts.passphrase;
  return element("form", {},
    element("label", { for: "passphrase" }, words.label),
    element("input", { type: "password", id: "passphrase", required: true, autocomplete: "off", maxlength: 128, "aria-describedby": "passphrase-note" }),
    element("p", { class: "note", id: "passphrase-note" }, words.note),
    element("button", { class: "wide" }, downloadWords()));
}

// The answer to a claim can get lost. Asked again with the same key, which nobody else has, it is the same claim.
const claimKey = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

async function postClaim(key, tries = 3) {
  const headers = { Prefer: "return=representation", "Idempotency-Key": key };
  const passphrase = $("passphrase")?.value;
  const body = passphrase ? JSON.stringify({ passphrase }) : null;
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(address, { method: "POST", headers, body }).catch((error) => { if (tries === 1) throw error; });
  if (answer?.status < 500 || (answer && tries === 1)) return answer;
  await new Promise((resolve) => setTimeout(resolve, 1000));
  return postClaim(key, tries - 1);
}

const RENEWED_MILLISECONDS = 30 * 60000;
const FRESH_MILLISECONDS = 60000;
let renewedAt = -Infinity;  // unknown after a reload

// An address dies with the credentials that signed it, which may be before the window ends: the claim's key gets another.
async function renewClaim() {
  if (!claim?.key || claim.endsAt <= now()) return;
  const answer = await postClaim(claim.key).catch(() => null);
  if (answer?.status !== 200) return;
  renewedAt = performance.now();
  keepClaim({ ...claim, url: (await answer.json()).download.url });
  if (shown.key === "claimed-here") $("again").href = claim.url;
}
setInterval(renewClaim, RENEWED_MILLISECONDS);

async function startAgain(event) {
  if (!claim.key || performance.now() - renewedAt < FRESH_MILLISECONDS) return;
  event.preventDefault();
  await renewClaim();
  location.assign(claim.url);
}

async function take(pressed) {
  clearTimeout(timer);
  round += 1;  // an answer that is still on its way would be an old one
  pressed.disabled = true;
  pressed.textContent = texts.download.starting;
  message = "";
  let wanted = null;
  try {
    const answer = await postClaim(claimKey);
    if (answer.status === 200) wanted = await answer.json();
    else if (answer.status === 403) message = refusalText(await answer.json());
    else message = answer.status < 500 ? "" : texts.download["no-answer"];
  } catch {
    message = texts.download["lost-answer"];
  }
  if (wanted) {
    job = wanted;
    renewedAt = performance.now();
    keepClaim({ url: wanted.download.url, endsAt: Date.parse(wanted.download.expires_at), key: claimKey });
    show();
    schedule();
    $("again").click();
    return;
  }
  shown.key = "again";
  await look();
  Object.assign(pressed, { disabled: false, textContent: downloadWords() });
  $("passphrase")?.focus();
}

function claimedHere() {
  const left = element("strong");
  const again = element("a", { id: "again", class: "button", href: claim.url, rel: "noreferrer", click: startAgain }, texts.download.again);
  return {
    nodes: [...problemNodes(), paragraph(texts.download.find), row(again),
      element("p", { class: "note" }, ...filledWith(texts.download.left, { left })),
      ...(state.in_app ? copyableAddress() : []), ...facts()],
    update() { left.textContent = span((claim.endsAt - now()) / 1000); },
  };
}

// Claimed by somebody else, or in another window.
function claimed() {
  const window = element("p");
  return {
    nodes: [...problemNodes(), window, paragraph(texts.hints["claimed-by-another"]), ...facts()],
    update() {
      const seconds = Date.parse(job.claimed_at) / 1000 + windowOfJob() - now() / 1000;
      const left = element("strong", {}, span(seconds));
      window.replaceChildren(...filledWith(seconds > 0 ? texts.hints.claimed : texts.hints["claimed-over"], { left }));
    },
  };
}
setInterval(() => { if (["claimed-here", "claimed"].includes(shown.key)) show(); }, 1000);

function copyableAddress() {
  const url = element("input", { readonly: true, value: claim.url, "aria-label": texts.download.address, click() { url.select(); } });
  return [paragraph(texts.download["in-app-claimed"]), url];
}

// The claim outlives a reload of this tab, but not the tab.
function keepClaim(value) {
  claim = value;
  try { sessionStorage.setItem(address, JSON.stringify(value)); } catch { /* the tab has it in memory */ }
}
try { claim = JSON.parse(sessionStorage.getItem(address)); } catch { /* no storage, nothing kept */ }
