/* The live connection. Rings of the server become DOM events `live` and `live:<topic>` on the body, at most one of
   each in a batch; htmx triggers and the wall listen to them. When the line is lost, the page says so and since when. */
const BATCH_MS = 300;
const PATIENCE_MS = 5000; // the server renews streams now and then; that is no loss
const TOPICS = ["supply", "balance", "notice", "meter", "case", "order"];

export function startLive() {
  const source = document.body.dataset.live;
  if (!source || !window.EventSource) return;
  const pending = new Map();
  let timer = 0;
  let lost = 0;
  const flush = () => {
    timer = 0;
    const topics = [...pending.entries()];
    pending.clear();
    for (const [topic, keys] of topics) emit(`live:${topic}`, [...keys]);
    emit("live", topics.map(([topic]) => topic));
  };
  const note = (topic, keys) => {
    if (!pending.has(topic)) pending.set(topic, new Set());
    for (const key of keys) pending.get(topic).add(key);
    if (!timer) timer = window.setTimeout(flush, BATCH_MS);
  };
  const events = new EventSource(source);
  for (const topic of TOPICS) events.addEventListener(topic, (event) => note(topic, JSON.parse(event.data)));
  events.onopen = () => {
    window.clearTimeout(lost);
    lost = 0;
    if (document.body.classList.contains("is-offline")) note("resync", []);
    setOffline(false);
  };
  events.onerror = () => {
    if (!lost) lost = window.setTimeout(() => setOffline(true), PATIENCE_MS);
  };
  window.addEventListener("pagehide", () => events.close());
}

function emit(name, detail) {
  document.body.dispatchEvent(new CustomEvent(name, { detail }));
}

function setOffline(offline) {
  document.body.classList.toggle("is-offline", offline);
  for (const sign of document.querySelectorAll(".live")) {
    sign.classList.toggle("stale", offline);
    const word = sign.querySelector("[data-live-word]");
    if (!word) continue;
    word.textContent = offline ? word.dataset.offline.replace("%s", sinceText(word)) : word.dataset.online;
  }
}

function sinceText(word) {
  const clock = document.querySelector("[data-clock]");
  if (!word.dataset.since) word.dataset.since = clock ? clock.textContent : "";
  return word.dataset.since;
}
