/* Charts: a small build of ECharts, loaded after what matters. Figures come as JSON beside the canvas (integers in Wh,
   fen, mW) and also stand in a table; colours are read from the tokens and applied again when the theme changes. */
import * as echarts from "echarts/core";
import { BarChart, LineChart } from "echarts/charts";
import { AriaComponent, GridComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
import { CanvasRenderer } from "echarts/renderers";
import { options } from "./chart_options.js";

echarts.use([BarChart, LineChart, AriaComponent, GridComponent, MarkLineComponent, TooltipComponent, CanvasRenderer]);

const drawn = new Map();

function draw(place) {
  const data = JSON.parse(document.getElementById(place.dataset.chart).textContent);
  const old = drawn.get(place);
  const chart = old ?? echarts.init(place, null, { renderer: "canvas" });
  chart.setOption(options(data, place), true);
  drawn.set(place, chart);
}

function drawAll() {
  for (const [place, chart] of drawn) {
    if (place.isConnected) continue;
    chart.dispose();
    drawn.delete(place);
  }
  for (const place of document.querySelectorAll("[data-chart]")) draw(place);
  document.documentElement.dataset.chartsDrawn = String(drawn.size);
}

drawAll();
document.body.addEventListener("htmx:afterSwap", drawAll);
window.addEventListener("resize", () => { for (const chart of drawn.values()) chart.resize(); });
window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
