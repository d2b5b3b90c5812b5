// The upload of a large file in parts: several at a time, each sent again by itself, and gone on with after a reload.

const PARTS_FROM_BYTES = 16 * 2 ** 20;
const PARTS_AT_A_TIME = 3;  // what is under way is lost when the line breaks: with more, too much of a large file
const ADDRESSES_AT_A_TIME = 12;
const HASHED_BYTES = 8 * 2 ** 20;
const PART_TRIES = 3;
const STALLED_MILLISECONDS = 30000;

const goesInParts = (file) => file.size > PARTS_FROM_BYTES && Boolean(crypto.subtle);

class PartsRefused extends Error {
  constructor(problem) {
    super(problem.detail);
    this.type = problem.type;
  }
}

async function askForParts(mine, path, method, body) {
  const answer = await fetch(`${address.replace(/\/$/, "")}/upload${path}`, {
    method, signal: mine.abort.signal, headers: { Accept: "application/json", "Content-Type": "application/json" },
    body: body && JSON.stringify(body),
  });
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  if (answer.status >= 500 || answer.status === 429) throw new Error(`status ${answer.status}`);
  throw new PartsRefused(await answer.json());
}

// The hash of the whole file tells it from every other, whoever sends it: parts of two files are never mixed.
async function fingerprint(mine) {
  const { file } = mine;
  const digests = [];
  for (let start = 0; start < file.size; start += HASHED_BYTES) {
    const piece = await file.slice(start, start + HASHED_BYTES).arrayBuffer();
    digests.push(new Uint8Array(await crypto.subtle.digest("SHA-256", piece)));
    if (transfer !== mine) return;
    mine.checked = Math.min(file.size, start + HASHED_BYTES);
    show();
  }
  const all = await crypto.subtle.digest("SHA-256", await new Blob(digests).arrayBuffer());
  mine.fingerprint = `sha256-8m-${[...new Uint8Array(all)].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

async function sendInParts() {
  const mine = transfer;
  mine.abort = new AbortController();
  mine.under = new Map();  // number of a part under way -> bytes of it that were sent
  try {
    if (!mine.fingerprint) {
      Object.assign(mine, { state: "checking", checked: 0 });
      show();
      await fingerprint(mine);
      if (transfer !== mine) return;
    }
    Object.assign(mine, { state: "sending", samples: [] });
    show();
    const upload = await askForParts(mine, "", "POST", { size_bytes: mine.file.size, fingerprint: mine.fingerprint });
    if (transfer !== mine) return;
    mine.partBytes = upload.part_size_bytes;
    const there = new Map(upload.parts.map((part) => [part.number, part]));
    mine.done = upload.parts.reduce((sum, part) => sum + part.size_bytes, 0);
    mine.missing = Array.from({ length: upload.part_count }, (_, index) => index + 1).filter((number) => !there.has(number));
    mine.addresses = new Map();
    noteProgress(mine);
    await Promise.all(Array.from({ length: PARTS_AT_A_TIME }, () => sendMissing(mine)));
    if (transfer !== mine || mine.state !== "sending") return;
    await askForParts(mine, "/complete", "POST");
    if (transfer !== mine) return;
    Object.assign(mine, { state: "sent", sentAt: performance.now() });
    show();
    look();
  } catch (error) {
    if (transfer !== mine || mine.state === "paused") return;
    mine.abort.abort();
    if (error instanceof PartsRefused) return refusedParts(mine, error);
    if (error.name === "NotReadableError" || error.name === "NotFoundError") return refuse(texts.upload.changed);
    if (error.status === 0 && isShutOut(mine)) return refuse(texts.upload["not-allowed"]);
    breakOff();
  }
}

function refusedParts(mine, error) {
  if (error.type === "upload-conflict") {
    mine.state = "conflict";
    return show();
  }
  if (error.type === "upload-not-awaited") {  // it was complete already: only the answer had got lost
    Object.assign(mine, { state: "sent", sentAt: performance.now() });
    show();
    return look();
  }
  if (error.type === "upload-incomplete" || error.type === "upload-not-found") return breakOff();
  message = refusalText({ type: error.type, detail: error.message });
  dropTransfer();
  shown.key = "again";
  look();
}

async function sendMissing(mine) {
  while (mine.missing.length && transfer === mine && mine.state === "sending") {
    const number = mine.missing.shift();
    await sendPatiently(mine, number);
    mine.done += partSize(mine, number);
    mine.tries = 0;
    noteProgress(mine);
  }
}

// A part that fails alone is sent again alone; where the whole connection is gone, all begin again together.
async function sendPatiently(mine, number) {
  for (let triesLeft = PART_TRIES; ; ) {
    try {
      return await sendPart(mine, number, await addressOf(mine, number));
    } catch (error) {
      triesLeft -= 1;
      if (!triesLeft || !navigator.onLine || mine.abort.signal.aborted || error instanceof PartsRefused) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1000));
    } finally {
      mine.under.delete(number);
    }
  }
}

const partSize = (mine, number) => Math.min(mine.partBytes, mine.file.size - (number - 1) * mine.partBytes);

// Addresses are asked for a few at a time: the calls of all who wait for one share the answer.
async function addressOf(mine, number) {
  if (!mine.addresses.has(number)) {
    const numbers = [number, ...mine.missing.filter((one) => !mine.addresses.has(one))].slice(0, ADDRESSES_AT_A_TIME);
    const answer = askForParts(mine, "/parts", "POST", { numbers });
    for (const one of numbers) {
      mine.addresses.set(one, answer.then((found) => found.parts.find((part) => part.number === one)));
    }
  }
  const found = mine.addresses.get(number);
  mine.addresses.delete(number);
  return found;
}

async function sendPart(mine, number, { method, url, headers }) {
  const start = (number - 1) * mine.partBytes;
  const piece = mine.file.slice(start, start + partSize(mine, number));
  await new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    let changedAt = performance.now();
    const watch = setInterval(() => { if (performance.now() - changedAt > STALLED_MILLISECONDS) xhr.abort(); }, 1000);
    const stop = () => xhr.abort();
    mine.abort.signal.addEventListener("abort", stop);
    xhr.open(method, url);
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
    xhr.upload.addEventListener("progress", (event) => {
      changedAt = performance.now();
      mine.taken ||= event.loaded > 0;
      mine.under.set(number, event.loaded);
      noteProgress(mine);
    });
    xhr.addEventListener("loadend", () => {
      clearInterval(watch);
      mine.abort.signal.removeEventListener("abort", stop);
      if (xhr.status >= 200 && xhr.status < 300) resolve();
      else reject(Object.assign(new Error(`part ${number}: status ${xhr.status}`), { status: xhr.status }));
    });
    xhr.send(piece);
  });
}

function noteProgress(mine) {
  if (transfer !== mine) return;
  mine.loaded = mine.done + [...mine.under.values()].reduce((sum, bytes) => sum + bytes, 0);
  mine.samples.push([performance.now(), mine.loaded]);
  while (mine.samples.length > 2 && performance.now() - mine.samples[0][0] > 8000) mine.samples.shift();
  show();
}

// Whoever gives up leaves nothing; what this call can't delete goes with the link.
function abortUpload() {
  fetch(`${address.replace(/\/$/, "")}/upload`, { method: "DELETE", keepalive: true }).catch(() => {});
}

function pauseParts() {
  transfer.state = "paused";
  transfer.abort.abort();
  show();
}

async function startOver() {
  const mine = transfer;
  mine.abort = new AbortController();
  try {
    await askForParts(mine, "", "DELETE");
  } catch (error) {
    if (transfer === mine) refusedParts(mine, error);
    return;
  }
  if (transfer === mine) sendInParts();
}

function checking() {
  const words = texts.upload;
  const { progress, left, nodes } = bar(words["bar-checking"]);
  return {
    nodes: [named(words.checking, transfer.file.name), ...nodes, row(button(words["button-cancel"], cancel, "plain"))],
    update() {
      progress.value = transfer.checked / transfer.file.size;
      left.textContent = fill(words.part, { done: size(transfer.checked), all: size(transfer.file.size) });
    },
  };
}

function paused() {
  const words = texts.upload;
  const { loaded, file } = transfer;
  return {
    nodes: [named(words.paused, file.name, { done: size(loaded), all: size(file.size) }),
      row(button(words["button-resume"], sendInParts), button(words["button-cancel"], cancel, "plain"))],
  };
}

function conflict() {
  const words = texts.upload;
  return {
    said: words.conflict,
    nodes: [paragraph(words.conflict, "warning"),
      row(button(words["button-over"], startOver), button(words["button-another"], cancel, "plain"))],
  };
}
