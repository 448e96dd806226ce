// Files of the chart or table above: its rows as CSV, and what Plotly drew as SVG and PNG.
const SVG = "http://www.w3.org/2000/svg";
const PIXELS = 2; // of a PNG for each of the page
const FOR_THE_MOUSE = ".hoverlayer, .draglayer, .zoomlayer, .selectionlayer, .modebar-container";

const FILES = {
  CSV: ({ csv }) => new Blob([csv], { type: "text/csv" }),
  SVG: (_, root) => new Blob([svgText(root)], { type: "image/svg+xml" }),
  PNG: (_, root) => png(root),
};

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".root");
  const kinds = data.drawn ? Object.keys(FILES) : ["CSV"];
  root.replaceChildren(...kinds.map((kind) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = kind;
    button.title = `Download ${data.title} as ${kind}`;
    button.setAttribute("aria-label", button.title);
    button.onclick = async () => save(`${data.name}.${kind.toLowerCase()}`, await FILES[kind](data, root));
    return button;
  }));
}

function save(name, blob) {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(blob);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Plotly stacks drawings of one size; in one they are the chart, as its paint is written at each element.
function drawing(root) {
  const plot = root.getRootNode().host.closest('[class*="st-key-chart"]').querySelector(".js-plotly-plot");
  const { width, height } = plot.getBoundingClientRect();
  const whole = document.createElementNS(SVG, "svg");
  const ground = document.createElementNS(SVG, "rect");
  const set = (element, attributes) => Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  set(whole, { width, height, viewBox: `0 0 ${width} ${height}` });
  set(ground, { width, height, fill: getComputedStyle(root).getPropertyValue("--st-background-color") || "#ffffff" });
  whole.append(ground);
  plot.querySelectorAll(".main-svg").forEach((layer) => whole.append(...layer.cloneNode(true).childNodes));
  whole.querySelectorAll(FOR_THE_MOUSE).forEach((element) => element.remove());
  return whole;
}

const svgText = (root) => new XMLSerializer().serializeToString(drawing(root));

async function png(root) {
  const whole = drawing(root);
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(whole))}`;
  await picture.decode();
  const canvas = document.createElement("canvas");
  canvas.width = whole.getAttribute("width") * PIXELS;
  canvas.height = whole.getAttribute("height") * PIXELS;
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => { canvas.toBlob(done, "image/png"); });
}
