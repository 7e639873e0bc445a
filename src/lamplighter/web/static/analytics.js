// Draws what /analytics/line tells. Colours are those of the page, in both schemes.
"use strict";
(() => {
  const HEIGHT = 220;
  const DRAWN = {
    count: [["Number", "count", "--accent"]],
    total: [["Total", "total", "--accent"]],
    share: [["Share", "share", "--good"]],
    quantiles: [["99 %", "p99", "--bad"], ["95 %", "p95", "--accent"], ["Half", "p50", "--soft"]],
  };
  const EVERY = 15; // refreshes of the page for one of its charts
  const place = document.querySelector(".charts");
  if (!place) return;
  const charts = [...place.querySelectorAll(".chart")];
  const drawn = new Map();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const hour = new Intl.DateTimeFormat([], { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat([], { day: "numeric", month: "short" });
  const month = new Intl.DateTimeFormat([], { month: "short", year: "numeric" });
  const clock = { hour, day, month }[place.dataset.resolution];
  const times = (_, moments) => moments.map((one) => clock.format(one * 1000));

  const axis = () => ({ stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" });
  const high = (what, most) => (what === "share" ? 1 : Math.max((most || 0) * 1.1, what === "quantiles" ? 0.01 : 4));

  const options = (chart) => ({
    width: chart.clientWidth,
    height: HEIGHT,
    cursor: { y: false, points: { size: 6 } },
    scales: { y: { range: (_, low, most) => [0, high(chart.dataset.draw, most)] } },
    axes: [{ ...axis(), values: times, space: 110, size: 30 }, { ...axis(), size: 54 }],
    series: [
      { label: "From", value: (_, moment) => (moment === null ? "–" : clock.format(moment * 1000)) },
      ...DRAWN[chart.dataset.draw].map(([label, , tone]) => ({ label, stroke: colour(tone), width: 1.75, points: { show: true, size: 4, fill: colour(tone) }, value: (_, n) => n ?? "–" })),
    ],
  });

  const draw = (columns) =>
    charts.forEach((chart) => {
      const data = [columns.at, ...DRAWN[chart.dataset.draw].map(([, name]) => columns[name])];
      if (drawn.has(chart)) drawn.get(chart).setData(data);
      else drawn.set(chart, new uPlot(options(chart), data, chart));
    });

  const drawAll = async () => {
    const answer = await fetch(place.dataset.line, { headers: { "HX-Request": "true" } });
    if (answer.ok) draw((await answer.json()).data);
  };
  const tryToDraw = () => drawAll().catch(() => {});
  const drawAnew = () => {
    drawn.forEach((chart) => chart.destroy());
    drawn.clear();
    tryToDraw();
  };

  let refreshes = 0;
  tryToDraw();
  document.body.addEventListener("lamplighter:refresh", () => ++refreshes % EVERY || tryToDraw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAnew);
  addEventListener("resize", () => drawn.forEach((chart, there) => chart.setSize({ width: there.clientWidth, height: HEIGHT })));
})();
