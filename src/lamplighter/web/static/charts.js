// Draws what /history tells. Colours are those of the page, in both schemes.
"use strict";
(() => {
  const HEIGHT = 170;
  const DRAWN = {
    backlog: [["Waiting", 1, "--accent"], ["Delayed", 2, "--soft"], ["Active", 3, "--busy"]],
    failed: [["Failed", 4, "--bad"]],
  };
  const charts = [...document.querySelectorAll(".chart")];
  const drawn = new Map();
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const SECONDS = { "15m": 900, "24h": 86400, "7d": 604800 };
  const span = (place) => SECONDS[new URL(place.dataset.history, location).searchParams.get("span")];

  // The whole span, however little of it was sampled: a chart that grows with its data would hide what is missing.
  const range = (place) => () => [Date.now() / 1000 - span(place), Date.now() / 1000];
  const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat([], { weekday: "short", day: "numeric" });
  const times = (place) => (_, moments) => moments.map((one) => (span(place) > SECONDS["24h"] ? day : clock).format(one * 1000));

  const axis = () => ({ stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" });

  const options = (place) => ({
    width: place.clientWidth,
    height: HEIGHT,
    cursor: { y: false, points: { size: 6 } },
    scales: { x: { range: range(place) }, y: { range: (_, low, high) => [0, Math.max(4, Math.ceil((high || 0) * 1.1))] } },
    axes: [{ ...axis(), values: times(place), space: 80, size: 30 }, { ...axis(), size: 46, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7] }],
    series: [
      { label: "Time", value: (_, moment) => (moment === null ? "–" : clock.format(moment * 1000)) },
      ...DRAWN[place.dataset.draw].map(([label, , tone]) => ({ label, stroke: colour(tone), width: 1.75, points: { show: false }, value: (_, n) => n ?? "–" })),
    ],
  });

  const draw = async (place) => {
    const answer = await fetch(place.dataset.history, { headers: { "HX-Request": "true" } });
    if (!answer.ok) return;
    const columns = (await answer.json()).data;
    const data = [columns[0], ...DRAWN[place.dataset.draw].map(([, column]) => columns[column])];
    if (drawn.has(place)) drawn.get(place).setData(data);
    else drawn.set(place, new uPlot(options(place), data, place));
  };

  const drawAll = () => charts.forEach((place) => draw(place).catch(() => {}));
  const drawAnew = () => {
    drawn.forEach((chart) => chart.destroy());
    drawn.clear();
    drawAll();
  };

  drawAll();
  document.body.addEventListener("lamplighter:refresh", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAnew);
  addEventListener("resize", () => drawn.forEach((chart, place) => chart.setSize({ width: place.clientWidth, height: HEIGHT })));
})();
