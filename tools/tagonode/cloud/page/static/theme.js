// Runs before the first paint, so that a chosen colour scheme does not flash in afterwards.
{
  let chosen = null;
  try {
    chosen = localStorage.getItem("tagonode-theme");
  } catch {
    // a browser that keeps nothing
  }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}
