// Draws what /analytics/line tells.
"use strict";
(() => {
  const LINES = {
    count: [["Number", "count", "--accent"]],
    total: [["Total", "total", "--accent"]],
    share: [["Share", "share", "--good"]],
    quantiles: [["99 %", "p99", "--bad"], ["95 %", "p95", "--accent"], ["Half", "p50", "--soft"]],
  };
  const place = document.querySelector(".charts");
  if (!place) return;
  const hour = new Intl.DateTimeFormat([], { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat([], { day: "numeric", month: "short" });
  const month = new Intl.DateTimeFormat([], { month: "short", year: "numeric" });
  const clock = { hour, day, month }[place.dataset.resolution];
  const times = (_, moments) => moments.map((one) => clock.format(one * 1000));
  const high = (what, most) => (what === "share" ? 1 : Math.max((most || 0) * 1.1, what === "quantiles" ? 0.01 : 4));

  drawing.keep(place, {
    url: place.dataset.line,
    height: 220,
    every: 15,
    lines: LINES,
    points: (tone) => ({ show: true, size: 4, fill: drawing.colour(tone) }),
    options: (what) => ({
      scales: { y: { range: (_, low, most) => [0, high(what, most)] } },
      axes: [{ ...drawing.axis(), values: times, space: 110, size: 30 }, { ...drawing.axis(), size: 54 }],
      series: [{ label: "From", value: (_, moment) => (moment === null ? "–" : clock.format(moment * 1000)) }],
    }),
  });
})();
