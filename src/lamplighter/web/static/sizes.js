// Draws what /upkeep/sizes tells: how large the largest tables, indexes and files were.
"use strict";
(() => {
  const HEIGHT = 240;
  const TONES = ["--accent", "--busy", "--good", "--bad", "--soft"];
  const DASHES = [[], [6, 4], [2, 3]]; // told apart without colours too
  const place = document.querySelector(".sizes");
  if (!place) return;
  let chart = null;
  const day = new Intl.DateTimeFormat([], { day: "numeric", month: "short" });

  const size = (bytes) => {
    if (bytes === null || bytes === undefined) return "–";
    const unit = Math.min(4, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
    return `${Number((bytes / 1000 ** unit).toPrecision(3))} ${["B", "kB", "MB", "GB", "TB"][unit]}`;
  };

  const options = (lines) => ({
    ...drawing.look(place, HEIGHT),
    scales: { y: { range: (_, low, high) => [0, Math.max(1, (high || 0) * 1.1)] } },
    axes: [
      { ...drawing.axis(), values: (_, moments) => moments.map((one) => day.format(one * 1000)), space: 80, size: 30 },
      { ...drawing.axis(), values: (_, sizes) => sizes.map(size), size: 70 },
    ],
    series: [
      { label: "Day", value: (_, moment) => (moment === null ? "–" : day.format(moment * 1000)) },
      ...lines.map(({ label }, n) => ({
        label,
        stroke: drawing.colour(TONES[n % TONES.length]),
        dash: DASHES[Math.floor(n / TONES.length) % DASHES.length],
        width: 1.75,
        points: { show: true, size: 4 },
        value: (_, bytes) => size(bytes),
      })),
    ],
  });

  const draw = async () => {
    const told = await drawing.told(place.dataset.sizes);
    if (told === null) return;
    const { at, lines } = told;
    chart?.destroy();
    chart = at.length ? new uPlot(options(lines), [at, ...lines.map(({ bytes }) => bytes)], place) : null;
  };
  const tryToDraw = () => draw().catch(() => {});

  tryToDraw();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tryToDraw);
  addEventListener("resize", () => chart?.setSize({ width: place.clientWidth, height: HEIGHT }));
})();
