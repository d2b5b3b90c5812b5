// The views of a job at work and of its result, and the claim.

// ---- processing, ready, claimed

function processing() {
  const { progress, left, right, nodes } = bar("Conversion");
  return {
    nodes,
    update() {
      const begun = job.progress > 0;
      if (begun) progress.value = job.progress; else progress.removeAttribute("value");
      left.textContent = begun ? `${Math.floor(job.progress * 100)} %` : "";
      const source = job.source;
      right.textContent = source?.duration_seconds ? `${clock(source.duration_seconds)} of audio` : "";
      if (begun) quarters(job.progress, "Converted");
    },
  };
}

function facts() {
  const { source, result } = job;
  if (!result) return [];
  const from = source || {};
  const known = (value, words) => (value == null ? "" : words(value));
  const rows = [
    ["Length", known(from.duration_seconds, clock), clock(result.duration_seconds)],
    ["Size", known(from.size_bytes, size), size(result.size_bytes)],
    ["Sample rate", known(from.sample_rate, kilohertz), kilohertz(result.sample_rate)],
    ["Channels", known(from.channels, channels), channels(result.channels)],
    ["Format", known(from.container, (name) => format(name, from.codec)), `MP3, ${Math.round(result.bit_rate / 1000)}\u00a0kb/s`],
  ];
  return [element("table", {},
    element("caption", { class: "unseen" }, "The file before and after"),
    element("thead", {}, element("tr", {}, element("td"), element("th", { scope: "col" }, "Uploaded"),
      element("th", { scope: "col" }, "Your MP3"))),
    element("tbody", {}, ...rows.map(([name, before, after]) => element("tr", {},
      element("th", { scope: "row" }, name), element("td", {}, before), element("td", {}, after)))))];
}

function format(container, codec) {
  const words = codec && codec !== container ? `${container}, ${codec}` : container;
  return words.replace(/^[a-z0-9]+/, (name) => name.toUpperCase());
}

function warnings() {
  return (job.warnings || []).map((warning) => paragraph(warning.detail, "warning"));
}

function ready() {
  const download = job.passphrase_required ? claimForm() : button("Download", () => take(download), "wide");
  const unchanged = job.result?.passthrough ? [paragraph(texts.passthrough, "good")] : [];
  const inApp = IN_APP.test(navigator.userAgent) ? [paragraph(texts.inApp, "warning")] : [];
  const slow = slowSeconds() > 60 ? ` ${filled(texts.slow)}` : "";
  return { nodes: [...problemNodes(), ...warnings(), ...inApp, ...facts(), ...unchanged, download,
    paragraph(filled(texts.once) + slow, "note")] };
}

// Asks for the passphrase; its submission is caught below.
function claimForm() {
  return element("form", {},
    element("label", { for: "passphrase" }, texts.passphrase.label),
    element("input", { type: "password", id: "passphrase", required: true, autocomplete: "off", maxlength: 128, "aria-describedby": "passphrase-note" }),
    element("p", { class: "note", id: "passphrase-note" }, texts.passphrase.note),
    element("button", { class: "wide" }, "Download"));
}

// The form that came with the page is for browsers without scripts; pressed early, it does the same as our button.
addEventListener("submit", (event) => {
  event.preventDefault();
  take(event.submitter || $("view").querySelector("button"));
});

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

// The browsers inside mail and chat apps, by what they call themselves; many of them can't save an attachment.
const IN_APP = /FBAN|FBAV|Instagram|Line\/|MicroMessenger|WhatsApp|Snapchat|TikTok|BytedanceWebview|LinkedInApp|GSA\/|; wv\)/;

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
  pressed.textContent = "Starting ...";
  message = "";
  let wanted = null;
  try {
    const answer = await postClaim(claimKey);
    if (answer.status === 200) wanted = await answer.json();
    else if (answer.status === 403) message = (await answer.json()).detail;
    else message = answer.status < 500 ? "" : "The server could not answer. Please try again.";
  } catch {
    message = "The answer did not arrive. If the button is still here, the link has not been used: please try again.";
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
  Object.assign(pressed, { disabled: false, textContent: "Download" });
  $("passphrase")?.focus();
}

function claimedHere() {
  const left = element("strong");
  const again = element("a", { id: "again", class: "button", href: claim.url, rel: "noreferrer", click: startAgain }, "Start the download again");
  return {
    nodes: [paragraph("Find it in your browser's downloads. If it breaks off, resume it there, or start it again here:"),
      element("div", { class: "row" }, again),
      element("p", { class: "note" }, "This works for another ", left, ". Then the file is deleted."),
      ...(IN_APP.test(navigator.userAgent) ? copyableAddress() : []), ...facts()],
    update() { left.textContent = span((claim.endsAt - now()) / 1000); },
  };
}
setInterval(() => { if (shown.key === "claimed-here") show(); }, 1000);

function copyableAddress() {
  const address = element("input", { readonly: true, value: claim.url, "aria-label": "Address of the MP3", click() { address.select(); } });
  return [paragraph(texts.inAppClaimed), address];
}

// The claim outlives a reload of this tab, but not the tab.
function keepClaim(value) {
  claim = value;
  try { sessionStorage.setItem(address, JSON.stringify(value)); } catch { /* the tab has it in memory */ }
}
try { claim = JSON.parse(sessionStorage.getItem(address)); } catch { /* no storage, nothing kept */ }
