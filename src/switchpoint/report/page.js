// The figures to download; without a network, each is taken from the page itself.
for (const figure of document.querySelectorAll("figure")) {
  const drawing = figure.querySelector("svg"), get = figure.querySelector(".get");
  if (!drawing || !get) continue;
  const button = document.createElement("button");
  button.textContent = "Figure (SVG)";
  button.addEventListener("click", () => {
    const link = document.createElement("a");
    const text = new XMLSerializer().serializeToString(drawing);
    link.href = URL.createObjectURL(new Blob([text], {type: "image/svg+xml"}));
    link.download = figure.id + ".svg";
    link.click();
    URL.revokeObjectURL(link.href);
  });
  get.append(" ", button);
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
