/* One small script for every page: htmx, the live connection, and the behaviour of the page that is shown.
   Pages work without it; it adds what a form and a link cannot do. */
import htmx from "htmx.org";
import { startLive } from "./live.js";
import { startWall } from "./wall.js";
import { startCounter } from "./counter.js";
import { startKiosk } from "./kiosk.js";
import { startPayment } from "./payment.js";
import { startForms } from "./forms.js";
import { startDebts } from "./debts.js";
import { startKept } from "./kept.js";
import { startSent } from "./sent.js";
import { startClock } from "./clock.js";

window.htmx = htmx;
const starters = [startForms, startClock, startLive, startWall, startCounter, startKiosk, startPayment, startDebts, startKept, startSent];
for (const start of starters) start(htmx);

const charts = document.querySelector("[data-charts]");
if (charts) {
  const load = () => {
    const script = document.createElement("script");
    script.src = charts.dataset.charts;
    document.head.append(script);
  };
  if (document.readyState === "complete") load();
  else window.addEventListener("load", load);
}
