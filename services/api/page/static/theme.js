// Runs before the page is drawn, so that whoever chose light or dark never sees the other one flash.
(() => {
  try {
    const chosen = localStorage.getItem("twofold.theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // A browser that keeps nothing: the system's choice holds.
  }
})();
