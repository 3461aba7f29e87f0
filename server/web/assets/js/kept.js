/* What was filled in is not lost when the act is refused, when the password is asked for once more or when the session
   has ended: the form has it again when its page is next shown in this window. Nothing hidden and no password is kept. */
const KEPT = "estate645.kept";

export function startKept() {
  const kept = JSON.parse(window.sessionStorage.getItem(KEPT) ?? "null");
  const between = document.querySelector("[data-keeps]");
  window.sessionStorage.removeItem(KEPT);
  if (between && kept) {
    keep({ ...kept, comesBack: true });
    for (const link of document.querySelectorAll("[data-back]")) link.href = kept.page;
  }
  if (!between && kept?.comesBack && kept.page === page()) fill(kept);
  document.addEventListener("submit", (event) => {
    const fields = between ? [] : typed(event.target);
    if (fields.length) keep({ page: page(), action: event.target.getAttribute("action"), fields });
  });
}

function page() {
  return window.location.pathname + window.location.search;
}

function keep(kept) {
  window.sessionStorage.setItem(KEPT, JSON.stringify(kept));
}

/* Name and text of each field that a person filled in; none where there is a password. */
function typed(form) {
  if (form.method !== "post" || form.querySelector("[type=password]")) return [];
  const hidden = new Set([...form.querySelectorAll("[type=hidden]")].map((field) => field.name));
  return [...new FormData(form)].filter(([name, value]) => typeof value === "string" && !hidden.has(name));
}

function fill({ action, fields }) {
  const form = [...document.forms].find((one) => one.method === "post" && one.getAttribute("action") === action);
  if (!form) return;
  const left = new Map();
  for (const [name, value] of fields) left.set(name, [...(left.get(name) ?? []), value]);
  for (const field of form.elements) {
    if (!field.name || field.matches("[type=hidden], [type=file], button")) continue;
    if (field.matches("[type=checkbox], [type=radio]")) field.checked = left.get(field.name)?.includes(field.value) ?? false;
    else if (left.get(field.name)?.length) field.value = left.get(field.name).shift();
    for (let place = field.closest("details"); place && field.value; place = place.parentElement.closest("details")) place.open = true;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
  form.closest("dialog")?.showModal();
  form.querySelector("input:not([type=hidden]), select, textarea")?.focus();
}
