/* A form that is sent once more from a page that the back button brought back is the same act, not another one: with
   the same fields it goes under the key that it had, and books nothing again. With other fields it is another act. */
const KEY = "input[type=hidden][name=sale_key], input[type=hidden][name=key]";

export function startSent() {
  document.addEventListener("submit", (event) => {
    const key = event.target.querySelector(KEY);
    if (!key || event.defaultPrevented) return;
    const sent = window.history.state?.sent ?? {};
    const act = said(event.target);
    if (sent[act]) {
      key.value = sent[act];
      return;
    }
    if (Object.values(sent).includes(key.value)) key.value = fresh();
    window.history.replaceState({ ...window.history.state, sent: { ...sent, [act]: key.value } }, "");
  });
}

/* Where a form goes and what a person chose in it. */
function said(form) {
  const hidden = new Set([...form.querySelectorAll("[type=hidden]")].map((field) => field.name));
  const chosen = [...new FormData(form)].filter(([name]) => name === "account_id" || !hidden.has(name));
  return JSON.stringify([form.getAttribute("action"), ...chosen]);
}

function fresh() {
  return [...window.crypto.getRandomValues(new Uint8Array(16))].map((one) => one.toString(16).padStart(2, "0")).join("");
}
