// Keeps pages fresh: every few seconds, while somebody looks and has not switched it off. What is to be fresh listens
// for lamplighter:refresh; a stream of events could send the same.
"use strict";
(() => {
  const EVERY = 4000;
  const KEY = "lamplighter-live";
  document.querySelector(".top [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }); // on a phone

  const button = document.getElementById("live-switch");
  if (!button || !document.querySelector("[hx-trigger]")) return;

  const isOn = () => button.getAttribute("aria-pressed") === "true";
  const show = (on) => {
    button.setAttribute("aria-pressed", String(on));
    button.textContent = on ? "Live" : "Paused";
  };
  const refresh = () => {
    if (isOn() && !document.hidden) document.body.dispatchEvent(new Event("lamplighter:refresh"));
  };

  show(sessionStorage.getItem(KEY) !== "off");
  button.title = "Keep this page fresh";
  button.hidden = false;
  button.addEventListener("click", () => {
    show(!isOn());
    sessionStorage.setItem(KEY, isOn() ? "on" : "off");
    refresh();
  });

  // What somebody has opened stays open, though the page that comes knows nothing of it.
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS");

  const stale = (is) => {
    button.classList.toggle("stale", is);
    if (isOn()) button.textContent = is ? "Not fresh" : "Live";
  };
  document.body.addEventListener("htmx:responseError", () => stale(true));
  document.body.addEventListener("htmx:sendError", () => stale(true));
  document.body.addEventListener("htmx:afterSwap", () => stale(false));

  document.addEventListener("visibilitychange", refresh);
  setInterval(refresh, EVERY);
})();
