/* The kiosk: an on-screen keypad, and back to the start when nobody touches it for a minute. */
export function startKiosk() {
  const kiosk = document.querySelector("[data-kiosk]");
  if (!kiosk) return;
  const field = kiosk.querySelector("[data-pad-field]");
  kiosk.addEventListener("click", (event) => {
    const key = event.target.closest("[data-key]");
    if (!key || !field) return;
    const value = key.dataset.key;
    if (value === "back") field.value = field.value.slice(0, -1);
    else if (value === "clear") field.value = "";
    else if (field.value.length < Number(field.maxLength)) field.value += value;
    field.focus();
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
  if (!kiosk.dataset.idle) return;
  const allowed = Number(kiosk.dataset.idle) * 1000;
  const bar = kiosk.querySelector("[data-idle-bar]");
  let since = performance.now();
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.querySelector(".kstate:not(.waiting)") && !event.target.dataset.seen) {
      event.target.dataset.seen = "1";
      since = performance.now();
    }
  });
  for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, () => { since = performance.now(); });
  window.setInterval(() => {
    const left = Math.max(0, allowed - (performance.now() - since));
    if (bar) bar.setAttribute("width", String(Math.round((left / allowed) * 800)));
    if (left === 0) window.location.href = kiosk.dataset.kiosk;
  }, 500);
}
