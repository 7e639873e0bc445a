// How charts are drawn, whatever they show. Colours are those of the page, in both schemes.
"use strict";
const drawing = (() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const axis = () => ({ stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px system-ui" });
  const look = (place, height) => ({ width: place.clientWidth, height, cursor: { y: false, points: { size: 6 } } });

  const told = async (url) => {
    const answer = await fetch(url, { headers: { "HX-Request": "true" } });
    return answer.ok ? (await answer.json()).data : null;
  };

  // The charts below a place, of the columns that `url` tells. `lines`: for each kind of chart its lines, as label,
  // column and colour. `every`: so many refreshes of the page for one of the charts.
  const keep = (place, { url, height, every, lines, points, options }) => {
    const charts = [...place.querySelectorAll(".chart")];
    const drawn = new Map();

    const line = ([label, , tone]) => ({ label, stroke: colour(tone), width: 1.75, points: points(tone), value: (_, n) => n ?? "–" });
    const whole = (chart) => {
      const { series, ...more } = options(chart.dataset.draw);
      return { ...look(chart, height), ...more, series: [...series, ...lines[chart.dataset.draw].map(line)] };
    };

    const draw = async () => {
      const columns = await told(url);
      if (columns === null) return;
      charts.forEach((chart) => {
        const data = [columns.at, ...lines[chart.dataset.draw].map(([, name]) => columns[name])];
        if (drawn.has(chart)) drawn.get(chart).setData(data);
        else drawn.set(chart, new uPlot(whole(chart), data, chart));
      });
    };
    const tryToDraw = () => draw().catch(() => {});
    const drawAnew = () => {
      drawn.forEach((chart) => chart.destroy());
      drawn.clear();
      tryToDraw();
    };

    let refreshes = 0;
    tryToDraw();
    document.body.addEventListener("lamplighter:refresh", () => ++refreshes % every || tryToDraw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAnew);
    addEventListener("resize", () => drawn.forEach((chart, there) => chart.setSize({ width: there.clientWidth, height })));
  };

  return { colour, axis, look, told, keep };
})();
