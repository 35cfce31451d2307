"use strict";

const at = (id) => document.getElementById(id);
const MARK = { "X-Evdet": "page" };
const POLL = 400; // milliseconds
const FILE_NAMES = {
  "boxes.mp4": "video with boxes (.mp4)", "events.mp4": "video of the events (.mp4)",
  "boxes.csv": "boxes (.csv)", "boxes.npy": "boxes (.npy)", "boxes.json": "boxes (.json, COCO)",
};
let choices = null;
let source = null; // {file} or {sample}
let job = null; // id of the detection that runs
let upload = null; // XMLHttpRequest of the upload that runs
let isCancelled = false;

function show(id, visible) { at(id).hidden = !visible; }

function fail(message) {
  at("error").textContent = message;
  if (/--(sensor-size|format|time-unit|columns|stream)\b/.test(message)) at("reading").open = true;
  show("error", true);
  rest();
}

function rest() {
  job = upload = null;
  show("state", false);
  show("cancel", false);
  at("start").disabled = source === null;
}

function inWords(bytes) { return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`; }

async function ask(method, path, body) {
  const options = { method, headers: { ...MARK } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("the server does not answer: is evdet serve still running?");
  }
  const answer = await response.json().catch(() => ({ error: response.statusText }));
  if (!response.ok) throw new Error(answer.error || response.statusText);
  return answer;
}

function choose(what) {
  source = what;
  show("error", false);
  at("drop").querySelector("strong").textContent = what.file ? what.file.name : "Drop a file here, or choose one";
  at("drop-hint").textContent = what.file ? inWords(what.file.size) : "DAT, RAW, HDF5, AEDAT, ROS bag, text, NumPy, …";
  for (const button of at("samples").children) {
    button.setAttribute("aria-pressed", String(button.textContent === what.sample));
  }
  if (what.sample) at("file").value = "";
  if (what.file && what.file.size > choices.max_bytes) {
    source = null;
    fail(`${what.file.name} is larger than ${choices.max_bytes / 1e6} MB, the limit of this server (--max-upload): use evdet detect`);
    return;
  }
  if (job === null && upload === null) at("start").disabled = false;
}

function send(file) {
  return new Promise((resolve, reject) => {
    upload = new XMLHttpRequest();
    upload.open("POST", `api/recordings?name=${encodeURIComponent(file.name)}`);
    upload.setRequestHeader("X-Evdet", "page");
    upload.responseType = "json";
    upload.upload.onprogress = (event) => tell(`Sending ${file.name}: ${inWords(event.loaded)} of ${inWords(event.total)}`, event.loaded, event.total);
    upload.onload = () => {
      const answer = upload.response || {};
      if (upload.status === 200) resolve(answer.id);
      else reject(new Error(answer.error || "the upload failed"));
    };
    upload.onerror = () => reject(new Error("the upload failed: is evdet serve still running?"));
    upload.onabort = () => reject(new Error("cancelled"));
    upload.send(file);
  });
}

function tell(text, value, total) {
  show("state", true);
  at("state-text").textContent = text;
  if (total) { at("bar").max = total; at("bar").value = value; } else at("bar").removeAttribute("value");
}

async function start(event) {
  event.preventDefault();
  if (source === null) return;
  isCancelled = false;
  at("start").disabled = true;
  show("error", false);
  show("result", false);
  show("cancel", true);
  stop();
  try {
    const id = source.sample || await send(source.file);
    upload = null;
    const fields = new FormData(at("form"));
    const asked = { source: id, detector: Number(at("detector").value), score_thresh: at("score").value === at("score").defaultValue ? null : Number(at("score").value), track: at("track").checked };
    for (const name of ["sensor_size", "format", "time_unit", "columns", "stream"]) asked[name] = fields.get(name).trim();
    if (source.sample) for (const name of ["sensor_size", "format", "time_unit", "columns", "stream"]) asked[name] = "";
    job = (await ask("POST", "api/jobs", asked)).id;
    if (isCancelled) cancel();
    await follow(job);
  } catch (error) {
    fail(error.message === "cancelled" ? "Cancelled." : error.message);
  }
}

async function follow(id) {
  for (;;) {
    const now = await ask("GET", `api/jobs/${id}`);
    if (now.state === "done") { rest(); present(id, now); return; }
    if (now.state === "cancelled") throw new Error("cancelled");
    if (now.state === "failed") throw new Error(now.error);
    if (now.state === "waiting" && now.before) tell(`Waiting: ${now.before} before this one`);
    else if (!now.progress) tell(`Opening ${now.name}; the first detection also loads the detector`);
    else {
      const { num_frames: done, total, num_boxes: boxes } = now.progress;
      tell(`${done.toLocaleString("en")} ${total ? `of ${total.toLocaleString("en")} ` : ""}frames, ${boxes.toLocaleString("en")} boxes`, done, total);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL));
  }
}

function cancel() {
  isCancelled = true; // before its id is known, too
  if (upload !== null) upload.abort();
  else if (job !== null) ask("DELETE", `api/jobs/${job}`).catch((error) => fail(error.message));
}

function present(id, { name, result }) {
  const boxes = result.counts.reduce((sum, row) => sum + row[1], 0);
  at("result-title").textContent = name;
  at("result-line").textContent = `${result.source}: ${boxes.toLocaleString("en")} boxes on ${result.num_frames.toLocaleString("en")} frames; ${result.duration.toFixed(1)} s in ${result.seconds.toFixed(1)} s`;
  at("notes").replaceChildren(...result.notes.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
  const tracked = result.counts.some((row) => row[2]);
  show("tracks-hint", tracked);
  at("counts").tBodies[0].replaceChildren(...result.counts.map((row) => {
    const line = document.createElement("tr");
    line.append(...[row[0], row[1].toLocaleString("en"), tracked ? row[2].toLocaleString("en") : "–"].map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    return line;
  }));
  show("counts", result.counts.length > 0);
  if (!boxes) at("notes").append(Object.assign(document.createElement("li"), { textContent: "No box has this score: lower the score threshold." }));
  at("downloads").replaceChildren(at("downloads").firstElementChild, ...result.files.map((file) => Object.assign(document.createElement("a"), { href: `api/jobs/${id}/${file}?download=1`, textContent: FILE_NAMES[file] || file, download: file })));
  const hasFilms = result.files.includes("boxes.mp4") && result.files.includes("events.mp4");
  show("films", hasFilms);
  show("player", hasFilms);
  if (hasFilms) for (const film of films()) film.src = `api/jobs/${id}/${film.id.replace("film-", "")}.mp4`;
  show("result", true);
  if (hasFilms) play();
  at("result").scrollIntoView({ block: "start" });
}

const films = () => [at("film-events"), at("film-boxes")];

function stop() {
  for (const film of films()) { film.pause(); film.removeAttribute("src"); film.load(); }
}

function play() {
  for (const film of films()) { film.playbackRate = Number(at("rate").value); film.play().catch(() => {}); }
  at("play").textContent = "Pause";
}

function pause() {
  for (const film of films()) film.pause();
  at("play").textContent = "Play";
  at("film-events").currentTime = at("film-boxes").currentTime;
}

function tick() {
  const [events, boxes] = films();
  if (boxes.duration) {
    at("clock").textContent = `${boxes.currentTime.toFixed(1)} s`;
    if (!at("seek").matches(":active")) at("seek").value = String(1000 * boxes.currentTime / boxes.duration);
    if (!boxes.paused && !events.seeking && Math.abs(events.currentTime - boxes.currentTime) > 0.06) events.currentTime = boxes.currentTime;
  }
}

function seek() {
  const [events, boxes] = films();
  if (boxes.duration) events.currentTime = boxes.currentTime = Number(at("seek").value) / 1000 * boxes.duration;
}

function aboutDetector() {
  const { input, size, delta_t: deltaT, classes } = choices.detectors[Number(at("detector").value)];
  const shown = classes.slice(0, 12).join(", ") + (classes.length > 12 ? ", …" : "");
  at("about-detector").textContent = `Takes ${input === "events" ? `events, in time bins of ${deltaT / 1000} ms` : "videos and images"}; trained at ${size} pixels; finds ${shown || "its classes"}.`;
}

async function begin() {
  choices = await ask("GET", "api/choices");
  at("kept").textContent = `after ${choices.keep_minutes.toLocaleString("en")} minutes, or when the server ends`;
  at("detector").replaceChildren(...choices.detectors.map((one, index) => new Option(one.name, index)));
  for (const name of choices.formats) at("form").elements.format.append(new Option(name, name));
  for (const name of choices.time_units) at("form").elements.time_unit.append(new Option(name, name));
  at("samples").replaceChildren(...choices.samples.map((name) => {
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
    button.addEventListener("click", () => choose({ sample: name }));
    return button;
  }));
  if (!choices.can_track) { at("track").checked = false; at("track").disabled = true; at("track").parentElement.append(" (pip install 'evdet[tracking]')"); }
  aboutDetector();
}

at("form").addEventListener("submit", start);
at("cancel").addEventListener("click", cancel);
at("detector").addEventListener("change", aboutDetector);
at("score").addEventListener("input", () => { at("score-value").textContent = Number(at("score").value).toFixed(2); });
at("file").addEventListener("change", () => { if (at("file").files.length) choose({ file: at("file").files[0] }); });
for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => { event.preventDefault(); at("drop").classList.add("over"); });
for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, (event) => { event.preventDefault(); at("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => { if (event.dataTransfer.files.length) choose({ file: event.dataTransfer.files[0] }); });
at("play").addEventListener("click", () => (at("film-boxes").paused ? play() : pause()));
at("seek").addEventListener("input", seek);
at("rate").addEventListener("change", () => { for (const film of films()) film.playbackRate = Number(at("rate").value); });
setInterval(tick, 100);
begin().catch((error) => fail(error.message));
