// The views of a job that awaits its upload, and the upload itself.

// ---- awaiting-upload

function choose() {
  const words = texts.upload;
  const input = element("input", {
    type: "file", id: "file", class: "unseen", accept: formats.accept,
    change() { if (input.files[0]) begin(input.files[0]); },
  });
  const drop = element("label", { class: "drop", for: "file" },
    icon("M12 16V4m0 0L7 9m5-5 5 5M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3"),
    element("strong", {}, words.drop),
    element("span", { class: "soft" }, fill(words.formats, { size: size(settings.maxUploadBytes) })),
    input);
  const begun = job.upload_in_parts;
  const resumable = begun ? [paragraph(fill(words.begun, { size: size(begun.size_bytes) }), "warning")] : [];
  return { nodes: [...problemNodes(), ...resumable, drop, paragraph(words.private, "note")] };
}

addEventListener("dragover", (event) => {
  if (shown.key !== "choose") return;
  event.preventDefault();
  document.querySelector(".drop").classList.add("over");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.querySelector(".drop")?.classList.remove("over");
});
addEventListener("drop", (event) => {
  if (shown.key !== "choose") return;
  event.preventDefault();
  document.querySelector(".drop").classList.remove("over");
  const files = event.dataTransfer.files;
  if (files.length > 1) refuse(texts.upload["one-file"]);
  else if (files[0]) begin(files[0]);
});

function refuse(text) {
  message = text;
  dropTransfer();
  shown.key = shown.key === "choose" ? "again" : shown.key;
  show();
}

function begin(file) {
  const { name } = file;
  if (!file.size) return refuse(fill(texts.upload.empty, { name }));
  if (settings.maxUploadBytes && file.size > settings.maxUploadBytes) {
    return refuse(fill(texts.upload["too-large"], { name, size: size(file.size), limit: size(settings.maxUploadBytes) }));
  }
  const announced = job.upload?.size_bytes;
  if (announced && file.size !== announced) {
    const sizes = { size: counted("bytes", file.size), announced: counted("bytes", announced) };
    return refuse(fill(texts.upload["not-announced"], { name, ...sizes }));
  }
  message = "";
  transfer = { file, state: "sending", loaded: 0, samples: [], tries: 0, xhr: null, retryAt: 0, inParts: goesInParts(file) };
  sendAgain();
}

const TRIES_WITHOUT_A_BYTE = 4;

// S3 says 400 to an upload that stalled, and it is the only 400 that another try can mend.
function canPass({ status, responseText }) {
  return status >= 500 || (status === 400 && responseText.includes("<Code>RequestTimeout</Code>"));
}

function dropTransfer() {
  if (!transfer) return;
  clearTimeout(transfer.timer);
  clearInterval(transfer.watch);
  const { xhr, abort } = transfer;
  transfer = null;
  xhr?.abort();
  abort?.abort();
}

async function send() {
  const mine = transfer;
  Object.assign(mine, { state: "sending", loaded: 0, samples: [[performance.now(), 0]], changedAt: performance.now() });
  show();
  await look();  // a fresh address to send to; and perhaps an earlier attempt arrived after all
  if (transfer !== mine) return;
  if (failures || !job.upload) return breakOff();
  const xhr = (mine.xhr = new XMLHttpRequest());
  xhr.open(job.upload.method, job.upload.url);
  for (const [name, value] of Object.entries(job.upload.headers)) xhr.setRequestHeader(name, value);
  xhr.upload.addEventListener("progress", (event) => {
    if (transfer !== mine) return;
    mine.loaded = event.loaded;
    mine.taken ||= event.loaded > 0;
    mine.changedAt = performance.now();
    mine.samples.push([mine.changedAt, event.loaded]);
    while (mine.samples.length > 2 && mine.changedAt - mine.samples[0][0] > 8000) mine.samples.shift();
    show();
  });
  xhr.addEventListener("load", () => {
    if (transfer !== mine) return;
    clearInterval(mine.watch);
    if (xhr.status < 300) {
      mine.state = "sent";
      mine.sentAt = performance.now();
      show();
      look();
    } else if (canPass(xhr) && mine.tries < 5) breakOff();
    else refuse(fill(texts.upload.refused, { status: xhr.status }));
  });
  xhr.addEventListener("error", () => {
    if (transfer !== mine) return;
    if (isShutOut(mine)) refuse(texts.upload["not-allowed"]);
    else breakOff();
  });
  mine.watch = setInterval(() => {
    if (performance.now() - mine.changedAt < 60000) return;
    mine.xhr = null;
    breakOff();
    xhr.abort();
  }, 5000);
  xhr.send(mine.file);
}

// The service answers, and S3 has not taken a byte several times: the browser may not send there (CORS), and never will.
function isShutOut(mine) {
  mine.untaken = mine.taken ? 0 : (mine.untaken ?? 0) + 1;
  return mine.untaken >= TRIES_WITHOUT_A_BYTE && navigator.onLine;
}

function breakOff() {
  clearInterval(transfer.watch);
  transfer.tries += 1;
  transfer.state = "broken";
  const seconds = Math.min(30, 2 ** transfer.tries);
  transfer.retryAt = performance.now() + seconds * 1000;
  tick(transfer);
}

function tick(mine) {
  if (transfer !== mine || mine.state !== "broken") return;
  if (performance.now() >= mine.retryAt) return sendAgain();
  show();
  mine.timer = setTimeout(tick, 500, mine);
}

function sendAgain() {
  clearTimeout(transfer.timer);
  if (transfer.inParts) sendInParts();
  else send();
}

function cancel() {
  if (transfer.inParts && transfer.state !== "conflict") abortUpload();
  dropTransfer();
  message = "";
  show();
  say(texts.upload.cancelled);
  look();
}

addEventListener("beforeunload", (event) => {
  if (["sending", "broken"].includes(transfer?.state)) event.preventDefault();
});

function sending() {
  const words = texts.upload;
  const { progress, left, right, nodes } = bar(words.bar);
  return {
    nodes: [named(words.sending, transfer.file.name), ...nodes, row(
      transfer.inParts ? button(words["button-pause"], pauseParts, "plain") : null, button(words["button-cancel"], cancel, "plain"))],
    update() {
      const { loaded, file, samples } = transfer;
      progress.value = loaded / file.size;
      const [from, before] = samples[0] || [0, 0];
      const [to, after] = samples[samples.length - 1] || [0, 0];
      const speed = to > from ? (after - before) / ((to - from) / 1000) : 0;
      left.textContent = fill(words.part, { done: size(Math.min(loaded, file.size)), all: size(file.size) });
      if (loaded >= file.size) right.textContent = words.server;
      else right.textContent = speed ? fill(words.speed, { speed: size(Math.round(speed)), left: span((file.size - loaded) / speed) }) : "";
      quarters(loaded / file.size, words.said);
    },
  };
}

function broken() {
  const words = texts.upload;
  const { name } = transfer.file;
  const again = named("", name);
  return {
    said: words["lost-said"],
    nodes: [paragraph(words.lost, "warning"), again,
      row(button(words["button-again"], sendAgain), button(words["button-cancel"], cancel, "plain"))],
    update() {
      const seconds = Math.max(0, (transfer.retryAt - performance.now()) / 1000);
      again.textContent = fill(words["again-in"], { name, span: span(seconds) });
    },
  };
}

function sent() {
  const words = paragraph("", "note");
  return {
    nodes: [element("progress", { "aria-label": texts.upload["bar-waiting"] }), words],
    update() {
      const late = performance.now() - transfer.sentAt > 60000;
      words.textContent = late ? texts.upload.late : "";
    },
  };
}
