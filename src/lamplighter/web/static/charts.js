// Draws what /history tells. Colours are those of the page, in both schemes.
"use strict";
(() => {
  const HEIGHT = 170;
  const DRAWN = {
    throughput: [["Done", "done", "--good"]],
    failures: [["Failed", "failed", "--bad"], ["Retried", "retried", "--soft"]],
    latency: [["Took, 95 %", "run_p95", "--accent"], ["Took, half", "run_p50", "--soft"], ["Late, 95 %", "wait_p95", "--busy"]],
    backlog: [["Waiting", "waiting", "--accent"], ["Delayed", "delayed", "--soft"], ["Active", "running", "--busy"]],
  };
  const SECONDS = { "15m": 900, "24h": 86400, "7d": 604800 };
  const EVERY = { "15m": 1, "24h": 8, "7d": 30 }; // refreshes of the page for one of its charts
  const place = document.querySelector(".charts");
  if (!place) return;
  const span = SECONDS[place.dataset.span];
  const charts = [...place.querySelectorAll(".chart")];
  const drawn = new Map();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // The whole span, however little of it was written down: a chart that grows with its data would hide what is missing.
  const range = () => [Date.now() / 1000 - span, Date.now() / 1000];
  const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat([], { weekday: "short", day: "numeric" });
  const times = (_, moments) => moments.map((one) => (span > SECONDS["24h"] ? day : clock).format(one * 1000));

  const axis = () => ({ stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" });
  const least = (what) => (what === "latency" ? 0.01 : 4);

  const options = (chart) => ({
    width: chart.clientWidth,
    height: HEIGHT,
    cursor: { y: false, points: { size: 6 } },
    scales: { x: { range }, y: { range: (_, low, high) => [0, Math.max(least(chart.dataset.draw), (high || 0) * 1.1)] } },
    axes: [{ ...axis(), values: times, space: 80, size: 30 }, { ...axis(), size: 54 }],
    series: [
      { label: "Time", value: (_, moment) => (moment === null ? "–" : clock.format(moment * 1000)) },
      ...DRAWN[chart.dataset.draw].map(([label, , tone]) => ({ label, stroke: colour(tone), width: 1.75, points: { show: false }, value: (_, n) => n ?? "–" })),
    ],
  });

  const draw = (columns) =>
    charts.forEach((chart) => {
      const data = [columns.at, ...DRAWN[chart.dataset.draw].map(([, name]) => columns[name])];
      if (drawn.has(chart)) drawn.get(chart).setData(data);
      else drawn.set(chart, new uPlot(options(chart), data, chart));
    });

  const drawAll = async () => {
    const answer = await fetch(place.dataset.history, { headers: { "HX-Request": "true" } });
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
  document.body.addEventListener("lamplighter:refresh", () => ++refreshes % EVERY[place.dataset.span] || tryToDraw());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAnew);
  addEventListener("resize", () => drawn.forEach((chart, there) => chart.setSize({ width: there.clientWidth, height: HEIGHT })));
})();
