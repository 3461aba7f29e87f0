/* Payment progress: the seconds since the payment run on in the page; the state itself comes from the server, at every
   ring and at the latest every two seconds until the power is back. */
const LOOK_MS = 2000;
const TICK_MS = 200;

export function startPayment(htmx) {
  const first = document.querySelector("[data-progress]");
  if (!first) return;
  let started = performance.now();
  let looking = false;
  const look = async () => {
    const card = document.querySelector("[data-progress]");
    if (!card || card.dataset.final === "1" || looking || document.hidden) return;
    looking = true;
    try {
      await htmx.ajax("GET", card.dataset.progress, { target: "#progress", swap: "outerHTML" });
      started = performance.now();
    } finally {
      looking = false;
    }
  };
  document.body.addEventListener("live:order", look);
  document.body.addEventListener("live:supply", look);
  window.setInterval(look, LOOK_MS);
  window.setInterval(() => {
    const shown = document.querySelector("[data-seconds]");
    if (!shown) return;
    const ms = Number(shown.dataset.seconds) + (performance.now() - started);
    shown.textContent = String(Math.floor(ms / 1000));
  }, TICK_MS);
}
