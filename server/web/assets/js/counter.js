/* Keys of the cashier's counter. Money keys do nothing while a dialog is open; F8 works once until the answer is there;
   keys that would lose the page are caught on this page only. What is typed before the page of the household has come
   would be lost with the page before it, and F8 would take another amount: so it is kept, all but F8, and typed there. */
import { debtShare } from "./debts.js";
import { choose, isTyping } from "./forms.js";
import { parseFen, yuan } from "./sums.js";

const AHEAD = "estate645.ahead";
const AMOUNTS = { 1: "50", 2: "100", 3: "200", 4: "300" };

export function startCounter() {
  const counter = document.querySelector(".cnt[data-counter]");
  const ahead = JSON.parse(window.sessionStorage.getItem(AHEAD) ?? "[]");
  window.sessionStorage.removeItem(AHEAD);
  if (!counter) return;
  const sale = document.getElementById("sale");
  startAhead();
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    const act = actOf(event, counter, sale);
    if (!act) return;
    event.preventDefault();
    act();
  });
  if (sale) startSums(sale);
  if (sale && ahead.length) typeAhead(counter, sale.querySelector("[name=amount]"), ahead);
}

function startAhead() {
  let keys = null;
  document.addEventListener("submit", (event) => {
    if (event.target.method === "get" && !event.defaultPrevented) keys ??= [];
  });
  document.addEventListener("keydown", (event) => {
    if (!keys || event.ctrlKey || !(event.key.length === 1 || event.key === "F2" || event.key === "Backspace")) return;
    event.preventDefault();
    keys.push(event.key);
    window.sessionStorage.setItem(AHEAD, JSON.stringify(keys));
  });
  window.addEventListener("pageshow", () => { keys = null; });
}

function typeAhead(counter, field, keys) {
  const from = keys.indexOf("F2");
  for (const key of from < 0 ? keys : keys.slice(0, from)) if (AMOUNTS[key]) press(counter, AMOUNTS[key]);
  if (from < 0) return;
  field.value = "";
  for (const key of keys.slice(from + 1)) field.value = key === "Backspace" ? field.value.slice(0, -1) : field.value + key;
  field.focus();
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

function actOf(event, counter, sale) {
  if (event.key === "F5") return () => {};
  if (event.key === "F9") return () => counter.querySelector("[data-print]")?.click();
  if (event.key === "Escape") return () => { window.location.href = counter.dataset.counter; };
  if (event.key === "Backspace" && event.ctrlKey) {
    const opener = counter.querySelector("[data-open=reverse-dialog]");
    return opener && !isTyping(event.target) ? () => opener.click() : null;
  }
  if (!sale) return null;
  if (event.key === "F8") return () => sale.requestSubmit();
  if (event.key === "F2") return () => press(counter, "own");
  if (isTyping(event.target)) return null;
  const amount = AMOUNTS[event.key];
  return amount ? () => press(counter, amount) : null;
}

function press(counter, amount) {
  const choice = counter.querySelector(`[data-amount="${amount}"]`);
  if (choice) choose(choice);
}

function startSums(sale) {
  const show = () => {
    const fen = parseFen(sale.querySelector("[name=amount]").value);
    const before = Number(sale.dataset.balance);
    for (const shown of document.querySelectorAll("[data-sum]")) {
      const after = fen === null ? null : before + fen - debtShare(sale.querySelector("[data-debts]"), fen);
      const value = { total: fen, after }[shown.dataset.sum];
      shown.textContent = value === null ? "—" : yuan(value);
    }
  };
  sale.addEventListener("input", show);
  show();
}
