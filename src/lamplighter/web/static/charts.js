// Draws what /history tells.
"use strict";
(() => {
  const LINES = {
    throughput: [["Done", "done", "--good"]],
    failures: [["Failed", "failed", "--bad"], ["Retried", "retried", "--soft"]],
    latency: [["Took, 95 %", "run_p95", "--accent"], ["Took, half", "run_p50", "--soft"], ["Late, 95 %", "wait_p95", "--busy"]],
    backlog: [["Waiting", "waiting", "--accent"], ["Delayed", "delayed", "--soft"], ["Active", "running", "--busy"]],
  };
  const SECONDS = { "15m": 900, "24h": 86400, "7d": 604800 };
  const EVERY = { "15m": 1, "24h": 8, "7d": 30 };
  const place = document.querySelector(".charts");
  if (!place) return;
  const span = SECONDS[place.dataset.span];

  // The whole span, however little of it was written down: a chart that grows with its data would hide what is missing.
  const range = () => [Date.now() / 1000 - span, Date.now() / 1000];
  const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat([], { weekday: "short", day: "numeric" });
  const times = (_, moments) => moments.map((one) => (span > SECONDS["24h"] ? day : clock).format(one * 1000));
  const least = (what) => (what === "latency" ? 0.01 : 4);

  drawing.keep(place, {
    url: place.dataset.history,
    height: 170,
    every: EVERY[place.dataset.span],
    lines: LINES,
    points: () => ({ show: false }),
    options: (what) => ({
      scales: { x: { range }, y: { range: (_, low, high) => [0, Math.max(least(what), (high || 0) * 1.1)] } },
      axes: [{ ...drawing.axis(), values: times, space: 80, size: 30 }, { ...drawing.axis(), size: 54 }],
      series: [{ label: "Time", value: (_, moment) => (moment === null ? "–" : clock.format(moment * 1000)) }],
    }),
  });
})();
