// Made from templates/scripts; see CONTRIBUTING.md.
"use strict";
"use strict";
(() => {
  // theme.js
  var { classList, dataset } = document.documentElement;
  classList.add("js");
  try {
    const theme = self.localStorage.getItem("saereport-theme");
    if (theme === "light" || theme === "dark") dataset.theme = theme;
  } catch {
  }
})();
