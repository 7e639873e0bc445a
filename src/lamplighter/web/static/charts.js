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

  const axis = () => ({ stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" });

  const options = (place) => ({
    width: place.clientWidth,
    height: HEIGHT,
    cursor: { y: false, points: { size: 6 } },
    scales: { y: { range: (_, low, high) => [0, Math.max(4, Math.ceil((high || 0) * 1.1))] } },
    axes: [axis(), { ...axis(), size: 46, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6, 1e7] }],
    series: [
      {},
      ...DRAWN[place.dataset.draw].map(([label, , tone]) => ({ label, stroke: colour(tone), width: 1.75, points: { show: false } })),
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
