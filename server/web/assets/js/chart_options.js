/* One house style for all charts: bars from zero, one hue, dashes for the comparison, gaps stay gaps, today pale. */
const DAY_LABELS_MAX = 8;

function token(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

export function options(data, place) {
  const axis = token("--c-axis");
  const font = { color: axis, fontSize: 11, fontFamily: token("--font-ui") };
  return {
    animation: false,
    aria: { enabled: true, label: { description: place.getAttribute("aria-label") } },
    grid: { left: 4, right: 8, top: 26, bottom: 4, containLabel: true },
    tooltip: {
      trigger: "axis", confine: true, renderMode: "richText", axisPointer: { type: data.kind === "bar" ? "shadow" : "line" },
      backgroundColor: token("--ink"), borderWidth: 0, textStyle: { ...font, color: token("--surface") },
      formatter: (points) => tip(points, data),
    },
    xAxis: {
      type: "category", data: data.labels, axisTick: { show: false }, axisLine: { lineStyle: { color: token("--line-strong") } },
      axisLabel: { ...font, interval: every(data.labels.length), hideOverlap: true }, boundaryGap: data.kind === "bar",
    },
    yAxis: {
      type: "value", min: data.kind === "bar" ? 0 : undefined, splitNumber: 3, minInterval: data.scale / 100, name: data.unit, nameLocation: "end",
      nameTextStyle: { ...font, align: "left" }, axisLabel: { ...font, formatter: (value) => plain(value / data.scale) },
      splitLine: { lineStyle: { color: token("--c-grid") } },
    },
    series: data.series.map((one, index) => line(one, index, data)),
  };
}

function line(one, index, data) {
  const hue = token(one.tone === "compare" ? "--c-2" : "--c-1");
  const pale = token("--c-1-soft");
  const values = one.values.map((value, place) =>
    place === data.unfinished && value !== null ? { value, itemStyle: { color: pale } } : value);
  const marks = (index === 0 ? data.lines ?? [] : []).map((mark, number) => ({
    yAxis: mark.value, label: { formatter: mark.word, position: number ? "insideEndTop" : "insideStartTop", color: token("--c-axis"), fontSize: 11, textBorderColor: token("--surface"), textBorderWidth: 3 },
    lineStyle: { color: token("--c-2"), type: "dashed" },
  }));
  const markLine = marks.length ? { silent: true, symbol: "none", data: marks } : undefined;
  if (data.kind === "bar") {
    return { name: one.name, type: "bar", data: values, barMaxWidth: 22, itemStyle: { color: hue, borderRadius: [1, 1, 0, 0] }, markLine };
  }
  return {
    name: one.name, type: "line", data: values, symbol: "none", connectNulls: false, step: one.step ? "end" : false,
    lineStyle: { color: hue, width: 1.75, type: one.tone === "compare" ? "dashed" : "solid" }, markLine,
  };
}

function tip(points, data) {
  const rows = points.filter((point) => point.value !== undefined && point.value !== null).map((point) => {
    const value = typeof point.value === "object" ? point.value.value : point.value;
    return `${point.seriesName}  ${fixed(value / data.scale, data.decimals)} ${data.unit}`;
  });
  return [points[0].name, ...rows].join("\n");
}

function every(count) {
  return Math.max(0, Math.ceil(count / DAY_LABELS_MAX) - 1);
}

function plain(value) {
  return value.toLocaleString("en-US", { maximumFractionDigits: 2 }).replace("-", "\u2212");
}

function fixed(value, decimals) {
  return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }).replace("-", "\u2212");
}
