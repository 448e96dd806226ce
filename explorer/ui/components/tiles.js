export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".root");
  const focused = root.querySelector("button:focus")?.dataset.id; // the choice draws all tiles anew
  root.style.setProperty("--columns", data.columns);
  root.replaceChildren(...data.tiles.map((tile) => {
    const button = document.createElement("button");
    const image = document.createElement("img");
    const caption = document.createElement("span");
    image.src = tile.source;
    image.alt = "";
    caption.textContent = tile.label;
    button.type = "button";
    button.title = tile.hint;
    button.dataset.id = tile.id;
    button.className = tile.flagged ? "flagged" : "";
    button.setAttribute("aria-pressed", String(tile.id === data.chosen));
    button.setAttribute("aria-label", `${tile.label}. ${tile.hint}`);
    button.onclick = () => setTriggerValue("picked", tile.id);
    button.append(image, caption);
    return button;
  }));
  if (focused !== undefined) root.querySelector(`button[data-id="${focused}"]`)?.focus();
}
