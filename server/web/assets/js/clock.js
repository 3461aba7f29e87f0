/* The clock of the top bar shows world time, which may run faster than the machine's in a simulated estate. */
const TICK_MS = 1000;

export function startClock() {
  const shown = document.querySelector("[data-clock]");
  if (!shown) return;
  const started = performance.now();
  const world = Number(shown.dataset.clock);
  const factor = Number(shown.dataset.factor || 1);
  const zone = shown.dataset.zone || "UTC";
  const format = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: zone });
  const tick = () => {
    const now = world + ((performance.now() - started) / 1000) * factor;
    shown.textContent = format.format(new Date(now * 1000));
  };
  tick();
  window.setInterval(tick, TICK_MS);
}
