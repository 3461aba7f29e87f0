/* Forms: one press is one sending; "/" goes to the search field; dialogs open from a button; choices fill a field;
   a key opens the link that names it, and the form of an act has the cursor. */
export function startForms() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent === "1") {
      event.preventDefault();
      return;
    }
    if (form.hasAttribute("data-once")) form.dataset.sent = "1";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-once]")) delete form.dataset.sent;
  });
  document.addEventListener("keydown", (event) => {
    const field = document.querySelector("main [data-find]") ?? document.querySelector("[data-find]");
    if (event.key !== "/" || !field) return;
    if (isTyping(event.target) && (event.target !== field || field.value)) return;
    event.preventDefault();
    field.focus();
    field.select();
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (isTyping(event.target) && event.key !== "Escape") return;
    const wanted = [...document.querySelectorAll("[data-hotkey]")].find((one) => one.dataset.hotkey === event.key);
    if (!wanted) return;
    event.preventDefault();
    wanted.click();
  });
  document.querySelector("#act :is(input:not([type=hidden]), select)")?.focus();
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-open]");
    if (opener) document.getElementById(opener.dataset.open)?.showModal();
    if (event.target.closest("[data-print]")) window.print();
    if (event.target.closest("[data-close]")) event.target.closest("dialog")?.close();
    const menu = event.target.closest("[data-menu]");
    if (menu) {
      event.preventDefault();
      const open = document.getElementById("nav").classList.toggle("open");
      menu.setAttribute("aria-expanded", String(open));
    }
    const choice = event.target.closest("[data-amount]");
    if (choice) choose(choice);
  });
  document.body.addEventListener("htmx:afterSettle", () => {
    for (const field of document.querySelectorAll("form [name=amount]")) showFor(field);
  });
  document.addEventListener("input", (event) => {
    if (event.target.name === "amount") {
      showFor(event.target);
      pressFor(event.target);
    }
    for (const shown of event.target.form?.querySelectorAll(`[data-shows="${event.target.name}"]`) ?? []) {
      shown.textContent = event.target.value || "—";
    }
  });
}

/* What holds for one amount only is shown while that amount is in the field; without any, `data-for=""` is shown. */
function showFor(field) {
  const places = [...(field.form?.querySelectorAll("[data-for]") ?? [])];
  const fits = places.find((place) => place.dataset.for && Number(place.dataset.for) === Number(field.value));
  for (const place of places) place.hidden = fits ? place !== fits : place.dataset.for !== "";
}

/* The choice that says what is in the field is pressed; any other amount presses the one for an own amount. */
function pressFor(field) {
  const choices = [...document.querySelectorAll(`[data-amounts="${field.form?.id}"] [data-amount]`)];
  const said = choices.find((one) => Number(one.dataset.amount) === Number(field.value) && field.value !== "");
  for (const one of choices) one.setAttribute("aria-pressed", String(one === (said ?? choices.at(-1))));
}

export function isTyping(target) {
  return target instanceof HTMLElement && target.closest("input, textarea, select") !== null;
}

export function choose(choice) {
  const group = choice.closest("[data-amounts]");
  const form = document.getElementById(group.dataset.amounts);
  const field = form.querySelector("[name=amount]");
  const own = form.querySelector("[data-own]");
  if (choice.dataset.amount === "own") {
    if (own) own.hidden = false;
    field.value = "";
    field.focus();
  } else {
    if (own) own.hidden = !own.hasAttribute("data-always");
    field.value = choice.dataset.amount;
  }
  field.dispatchEvent(new Event("input", { bubbles: true }));
}
