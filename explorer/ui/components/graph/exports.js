// Files of what is drawn: SVG, PNG, PDF, DOT, JSON, and a page of its own that zooms, searches and folds. Python draws
// the figures for a paper, so that a graph without it has none.
const PAINT = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin"];
const WRITTEN = ["font-family", "font-size", "font-weight", "text-anchor", "paint-order"];
const EDGE = 16; // blank around a picture, in pixels
const LARGEST = 12_000; // pixels a side that browsers draw

const FILES = {
  SVG: (view) => save(view, "svg", "image/svg+xml", svgText(view)),
  PNG: (view) => png(view).then((blob) => blob && save(view, "png", "image/png", blob)),
  PDF: (view) => save(view, "pdf", "application/pdf", pdf(items(view), view)),
  DOT: (view) => save(view, "dot", "text/vnd.graphviz", dotText(view)),
  JSON: (view) => save(view, "json", "application/json", JSON.stringify(plainData(view.outline), null, 1)),
  HTML: (view) => save(view, "html", "text/html", htmlText(view)),
};

const PAPER_FORMS = ["SVG", "TikZ"];

// All that this graph can be saved as, by what the menu calls it.
function filesOf(view) {
  const figures = view.tell.figure ? PAPER_FORMS.map((form) => [`Paper figure, ${form}`, () => askForFigure(view, form)]) : [];
  return [...Object.entries(FILES), ...figures];
}

function askForFigure(view, form) {
  view.memory.awaited = Date.now();
  view.say("The figure is being drawn.");
  view.tell.figure(form, view.memory.awaited);
}

// Python hands its last figure over again with every rerun: only the one that is awaited is saved.
function saveFigure(view, { request, ending, type, text }) {
  if (request !== view.memory.awaited) return;
  view.memory.awaited = null;
  view.say("");
  save(view, `figure.${ending}`, type, text);
}

function save(view, ending, type, content) {
  const name = (view.outline.title || "network").replace(/[^\w.-]+/g, "_").slice(0, 60);
  const link = part("a", "", { download: `${name}.${ending}`, href: URL.createObjectURL(new Blob([content], { type })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

const escaped = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

// "rgb(1 2 3)" or "#rrggbb" of what a browser computes, mixtures of colours included; null where nothing is painted.
function colour(text) {
  if (!text || text === "none" || text === "transparent") return null;
  const mixed = /^color\(srgb ([\d.e-]+) ([\d.e-]+) ([\d.e-]+)(?: \/ ([\d.e-]+))?\)$/.exec(text);
  const plain = /^rgba?\((\d+),? (\d+),? (\d+)(?:,? (?:\/ )?([\d.]+))?\)$/.exec(text);
  const found = mixed ? mixed.slice(1, 4).map((v) => Math.round(255 * v)) : plain?.slice(1, 4).map(Number);
  const alpha = Number((mixed ?? plain)?.[4] ?? 1);
  if (!found || alpha === 0) return null;
  return { hex: `#${found.map((v) => Math.min(Math.max(v, 0), 255).toString(16).padStart(2, "0")).join("")}`, alpha };
}

// Everything that is painted, in order, with its place and its paint.
function items(view) {
  view.drawing.work(Infinity);
  const found = [];
  (function walk(element, x, y) {
    const [, dx, dy] = /^translate\(([-\d.]+) ([-\d.]+)\)/.exec(element.getAttribute("transform") ?? "") ?? [0, 0, 0];
    const isScene = element === view.drawing.scene;
    const [left, top] = isScene ? [0, 0] : [x + Number(dx), y + Number(dy)];
    if (["rect", "path", "text"].includes(element.tagName)) found.push({ element, x: left, y: top, style: getComputedStyle(element) });
    else [...element.children].forEach((child) => walk(child, left, top));
  })(view.drawing.scene, 0, 0);
  return found.filter(({ style, element }) => element.tagName === "text" || colour(style.fill) || colour(style.stroke));
}

function svgText(view) {
  const { w, h } = view.drawing.size;
  const body = items(view).map(({ element, x, y, style }) => {
    const own = [...element.attributes].filter(({ name }) => /^(x|y|width|height|rx|d)$/.test(name)).map(({ name, value }) => `${name}="${escaped(value)}"`);
    const isText = element.tagName === "text";
    const paint = (isText ? [...PAINT, ...WRITTEN] : PAINT).map((name) => {
      const value = style.getPropertyValue(name);
      if (name !== "fill" && name !== "stroke") return `${name}="${escaped(value)}"`;
      const found = colour(value);
      return found ? `${name}="${found.hex}"${found.alpha < 1 ? ` ${name}-opacity="${found.alpha}"` : ""}` : `${name}="none"`;
    });
    const place = x || y ? ` transform="translate(${round(x)} ${round(y)})"` : "";
    return `<${element.tagName} ${[...own, ...paint].join(" ")}${place}>${isText ? escaped(element.textContent) : ""}</${element.tagName}>`;
  });
  const size = [w + 2 * EDGE, h + 2 * EDGE].map(Math.ceil);
  return `<svg xmlns="${SVG}" width="${size[0]}" height="${size[1]}" viewBox="${-EDGE} ${-EDGE} ${size[0]} ${size[1]}"><title>${escaped(view.outline.title)}</title><rect x="${-EDGE}" y="${-EDGE}" width="${size[0]}" height="${size[1]}" fill="${backdrop(view)}"/>${body.join("\n")}</svg>`;
}

function backdrop(view) {
  const probe = part("i", "", { style: "color: var(--st-background-color)" });
  view.root.append(probe);
  const found = colour(getComputedStyle(probe).color)?.hex ?? "#ffffff";
  probe.remove();
  return found;
}

async function png(view) {
  const { w, h } = view.drawing.size;
  const scale = Math.min(2, LARGEST / (w + 2 * EDGE), LARGEST / (h + 2 * EDGE));
  const picture = new Image();
  picture.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svgText(view))}`;
  await picture.decode();
  const canvas = part("canvas", "", { width: Math.ceil((w + 2 * EDGE) * scale), height: Math.ceil((h + 2 * EDGE) * scale) });
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  return new Promise((done) => { canvas.toBlob(done, "image/png"); });
}

function dotText(view) {
  const quoted = (text) => `"${text.replace(/\\/g, "\\\\").replace(/"/g, '\\"')}"`;
  const { outline, labels, drawing } = view;
  const words = (i, repeat) => { const { main, quiet } = labels.of(i); return quoted([main, quiet, repeat < 0 ? "" : `× ${outline.times[repeat]}`].filter(Boolean).join("  ")); };
  const lines = [];
  (function walk(box, indent) {
    if (!box.open) { lines.push(`${indent}n${box.id} [label=${words(box.id, box.repeat)}];`); return; }
    if (box.id) lines.push(`${indent}subgraph cluster_${box.id} {`, `${indent}  label=${words(box.id, box.repeat)};`);
    box.children.forEach((child) => walk(child, `${indent}  `));
    if (box.id) lines.push(`${indent}}`);
  })(drawing.about.get(0), "");
  const edges = drawing.edges.map(({ source, target, layer }) => `  n${source} -> n${target} [tooltip=${quoted(labels.shape(layer))}];`);
  return `digraph ${quoted(outline.title)} {\n  rankdir=${drawing.isDown ? "TB" : "LR"};\n  node [shape=box, style=rounded];\n${lines.join("\n")}\n${edges.join("\n")}\n}\n`;
}

// The whole network as plain objects, whatever is folded.
function plainData(outline) {
  const { layers, inputs } = outline;
  const all = layers.id.map((id, i) => ({
    id, kind: layers.kinds[layers.kind[i]], operation: layers.texts[layers.text[i]], output_shape: layers.shapes[layers.shape[i]],
    params: layers.params[i], macs: layers.macs[i], activation_bytes: layers.bytes[i], receptive_field_px: layers.field[i], outgrown: outline.outgrown.get(i), inputs: inputs[i].map((source) => layers.id[source]),
  }));
  return { title: outline.title, layers: all };
}

// A page without a server: this same code, the network, and what is open now.
function htmlText(view) {
  const inline = (value) => JSON.stringify(value).replace(/</g, "\\u003c").replace(/\u2028|\u2029/g, " ");
  const style = getComputedStyle(view.root);
  const theme = ["font", "text-color", "background-color", "secondary-background-color", "border-color", "primary-color"]
    .map((name) => `--st-${name}: ${style.getPropertyValue(`--st-${name}`).replace(/[;{}<]/g, "")};`).join(" ");
  const { metric, sideways } = view.memory;
  const memory = { metric, sideways };
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(view.outline.title)}</title>
<style>${STYLE}
body { margin: 0; padding: 8px; background: var(--st-background-color); }
:root { ${theme} }</style></head>
<body><div class="root" style="--height: calc(100vh - 16px)"></div>
<script>
const SOURCE = ${inline(SOURCE)};
const STYLE = ${inline(STYLE)};
const kit = new Function("SOURCE", "STYLE", SOURCE + "\\nreturn explorerGraph(SOURCE, STYLE);")(SOURCE, STYLE);
kit.alone(document.querySelector(".root"), ${inline(view.payload)}, ${inline(view.metricsFeed ?? { values: {}, shares: [] })}, ${inline(view.outline.encode(view.open))}, ${inline(memory)});
</script></body></html>
`;
}

// Shows a graph without Python.
function alone(root, payload, metrics, fold, memory) {
  const own = slot("alone");
  Object.assign(own.memory, memory);
  own.feeds = { metrics, chosen: { layer: null, fold, sync: null }, payload };
  return mount("alone", root, {});
}
