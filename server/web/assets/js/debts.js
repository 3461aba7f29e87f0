/* How much of the amount in the form would go to debts, as the server would book it; in fen, with whole numbers. */
import { parseFen, yuan } from "./sums.js";

export function debtShare(place, fen) {
  if (!place || fen === null) return 0;
  const { permille, owed, floor, balance } = place.dataset;
  const room = Number(balance) + fen - Number(floor);
  return Math.max(0, Math.min(Math.floor((fen * Number(permille)) / 1000), Number(owed), room));
}

export function startDebts() {
  for (const place of document.querySelectorAll("[data-debts]")) {
    const form = document.getElementById(place.dataset.debts);
    const show = () => {
      const fen = parseFen(form.querySelector("[name=amount]").value);
      const share = debtShare(place, fen);
      place.hidden = share === 0;
      place.querySelector("[data-debt-share]").textContent = yuan(share);
      place.querySelector("[data-debt-rest]").textContent = yuan((fen ?? 0) - share);
    };
    form.addEventListener("input", show);
    show();
  }
}
