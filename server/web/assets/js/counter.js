/* Keys of the cashier's counter. Money keys do nothing while a dialog is open; F8 works once until the answer is there;
   keys that would lose the page are caught on this page only. */
import { debtShare } from "./debts.js";
import { choose, isTyping } from "./forms.js";
import { parseFen, yuan } from "./sums.js";

export function startCounter() {
  const counter = document.querySelector(".cnt[data-counter]");
  if (!counter) return;
  const sale = document.getElementById("sale");
  document.addEventListener("keydown", (event) => {
    if (document.querySelector("dialog[open]")) return;
    const act = actOf(event, counter, sale);
    if (!act) return;
    event.preventDefault();
    act();
  });
  if (sale) startSums(sale);
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
  const amount = { 1: "50", 2: "100", 3: "200", 4: "300" }[event.key];
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
