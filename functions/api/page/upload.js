// The views of a job that awaits its upload, and the upload itself.

// ---- awaiting-upload

function choose() {
  const input = element("input", {
    type: "file", id: "file", class: "unseen", accept: "audio/*,video/*,.w64,.caf,.au,.opus,.flac,.aif,.aiff,.mka,.amr,.3gp,.ac3,.eac3,.dts,.thd,.wma,.wv,.ape,.tta,.mpc,.dsf,.dff,.spx,.gsm,.shn,.m2ts",
    change() { if (input.files[0]) begin(input.files[0]); },
  });
  const drop = element("label", { class: "drop", for: "file" },
    icon("M12 16V4m0 0L7 9m5-5 5 5M4 16v3a1 1 0 0 0 1 1h14a1 1 0 0 0 1-1v-3"),
    element("strong", {}, "Drop an audio file here, or choose one"),
    element("span", { class: "soft" }, `WAV, MP3, FLAC, Ogg, Opus, M4A, WebM, WMA, AMR and more, up to ${size(maxUploadBytes)}`),
    input);
  const begun = job.upload_in_parts;
  const resumable = begun ? [paragraph(texts.upload.begun.replace("{size}", size(begun.size_bytes)), "warning")] : [];
  return { nodes: [...problemNodes(), ...resumable, drop,
    paragraph("The file goes straight to private storage. You get an MP3, and then both are deleted.", "note")] };
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
  if (files.length > 1) refuse("This link takes one file. Please choose only one.");
  else if (files[0]) begin(files[0]);
});

function refuse(text) {
  message = text;
  dropTransfer();
  shown.key = shown.key === "choose" ? "again" : shown.key;
  show();
}

function begin(file) {
  if (!file.size) return refuse(`${file.name} is empty, or it is a folder. Please choose another file.`);
  if (maxUploadBytes && file.size > maxUploadBytes) {
    return refuse(`${file.name} is too large: it has ${size(file.size)}, and at most ${size(maxUploadBytes)} are allowed.`);
  }
  const announced = job.upload?.size_bytes;
  if (announced && file.size !== announced) {
    return refuse(`${file.name} is not the announced file: it has ${plural(file.size, "byte")}, and this link ` +
      `takes a file of exactly ${plural(announced, "byte")}. Choose that file, or ask for a new link.`);
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
    else refuse(`The upload was refused (${xhr.status}). Please choose the file again.`);
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
  say("The upload is cancelled.");
  look();
}

addEventListener("beforeunload", (event) => {
  if (["sending", "broken"].includes(transfer?.state)) event.preventDefault();
});

function bar(label) {
  const progress = element("progress", { max: 1, value: 0, "aria-label": label });
  const left = element("span");
  const right = element("span");
  return { progress, left, right, nodes: [progress, element("p", { class: "figures" }, left, right)] };
}

function quarters(value, what) {
  const quarter = Math.floor(value * 4);
  if (quarter > 0 && quarter < 4) say(`${what}: ${quarter * 25} percent`);
}

function sending() {
  const { progress, left, right, nodes } = bar("Upload");
  return {
    nodes: [paragraph(`Uploading ${transfer.file.name}`), ...nodes, element("div", { class: "row" },
      transfer.inParts ? button("Pause", pauseParts, "plain") : null, button("Cancel", cancel, "plain"))],
    update() {
      const { loaded, file, samples } = transfer;
      progress.value = loaded / file.size;
      const [from, before] = samples[0] || [0, 0];
      const [to, after] = samples[samples.length - 1] || [0, 0];
      const speed = to > from ? (after - before) / ((to - from) / 1000) : 0;
      left.textContent = `${size(Math.min(loaded, file.size))} of ${size(file.size)}`;
      if (loaded >= file.size) right.textContent = "waiting for the server";
      else right.textContent = speed ? `${size(speed)}/s, ${span((file.size - loaded) / speed)} left` : "";
      quarters(loaded / file.size, "Uploaded");
    },
  };
}

function broken() {
  const words = paragraph("");
  return {
    said: "The connection was lost. The upload starts again by itself.",
    nodes: [element("p", { class: "warning" }, "The connection was lost."), words, element("div", { class: "row" },
      button("Try again now", sendAgain), button("Cancel", cancel, "plain"))],
    update() {
      const seconds = Math.max(0, (transfer.retryAt - performance.now()) / 1000);
      words.textContent = `The upload of ${transfer.file.name} starts again in ${span(seconds)}.`;
    },
  };
}

function sent() {
  const words = paragraph("", "note");
  return {
    nodes: [element("progress", { "aria-label": "Waiting" }), words],
    update() {
      const late = performance.now() - transfer.sentAt > 60000;
      words.textContent = late ? "This takes longer than usual. Keep this page open, or come back later." : "";
    },
  };
}
