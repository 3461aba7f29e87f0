/* Sums of money as people type them and as pages write them: whole fen, never a fraction. */
export function parseFen(text) {
  const match = /^\s*¥?\s*(\d{1,6})(?:\.(\d{1,2}))?\s*$/.exec(text.normalize("NFKC"));
  return match ? Number(match[1]) * 100 + Number((match[2] ?? "").padEnd(2, "0")) : null;
}

export function yuan(fen) {
  const whole = Math.trunc(Math.abs(fen) / 100).toString().replace(/\B(?=(\d{3})+$)/g, ",");
  return `${fen < 0 ? "\u2212" : ""}¥${whole}.${String(Math.abs(fen) % 100).padStart(2, "0")}`;
}
