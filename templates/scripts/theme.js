// Runs before the first paint: says that there is JavaScript, and which colours the reader chose.

const { classList, dataset } = document.documentElement;
classList.add("js");
try {
  const theme = self.localStorage.getItem("saereport-theme");
  if (theme === "light" || theme === "dark") dataset.theme = theme;
} catch {
  // No storage (a private window, or a file in some browsers): follow the system.
}

export {};
