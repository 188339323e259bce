// Runs before the first paint: says that there is JavaScript, and which colours the reader chose.
"use strict";
(function () {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const theme = self.localStorage.getItem("saereport-theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch (error) {
    // No storage (a private window, or a file in some browsers): follow the system.
  }
})();
