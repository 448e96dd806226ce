// A page of vector graphics from what is painted: PDF 1.4 with Helvetica, which every viewer has.
const POINTS = 14_400; // the longest side that PDF allows
const LATIN = { "×": 0xd7, "·": 0xb7, "–": 0x96, "…": 0x85, "’": 0x92, "≤": 0x3c, "é": 0xe9, "ü": 0xfc };

function pdf(painted, view) {
  const [w, h] = [view.drawing.size.w + 2 * EDGE, view.drawing.size.h + 2 * EDGE];
  const scale = Math.min(1, POINTS / w, POINTS / h);
  const body = [`${fixed(scale)} 0 0 ${fixed(-scale)} 0 ${fixed(h * scale)} cm`, paint(backdrop(view), "rg"), `0 0 ${fixed(w)} ${fixed(h)} re f`, `1 0 0 1 ${EDGE} ${EDGE} cm`];
  painted.forEach((item) => body.push(...drawn(item, view.labels)));
  const page = `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 ${fixed(w * scale)} ${fixed(h * scale)}] /Contents 6 0 R /Resources << /Font << /F1 4 0 R /F2 5 0 R >> >> >>`;
  const font = (name) => `<< /Type /Font /Subtype /Type1 /BaseFont /${name} /Encoding /WinAnsiEncoding >>`;
  const content = body.join("\n");
  return assembled([
    "<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page, font("Helvetica"), font("Helvetica-Bold"),
    `<< /Length ${content.length} >>\nstream\n${content}\nendstream`,
  ]);
}

// Objects, the table of where each begins, and the trailer; every character is one byte.
function assembled(objects) {
  let text = "%PDF-1.4\n";
  const starts = objects.map((object, i) => {
    const start = text.length;
    text += `${i + 1} 0 obj\n${object}\nendobj\n`;
    return start;
  });
  const table = starts.map((start) => `${String(start).padStart(10, "0")} 00000 n \n`).join("");
  text += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${table}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${text.length}\n%%EOF\n`;
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

const fixed = (value) => (Math.round(value * 100) / 100).toString();
const paint = (hex, operator) => `${[1, 3, 5].map((i) => fixed(parseInt(hex.slice(i, i + 2), 16) / 255)).join(" ")} ${operator}`;

function drawn({ element, x, y, style }, labels) {
  const [fill, stroke] = [colour(style.fill), colour(style.stroke)];
  const lines = ["q", `1 0 0 1 ${fixed(x)} ${fixed(y)} cm`];
  if (element.tagName === "text") return [...lines, ...written(element, style, fill, labels), "Q"];
  const path = element.tagName === "rect" ? rectangle(element) : segments(element.getAttribute("d"));
  const solid = fill && fill.alpha > 0.5;
  if (solid) lines.push(paint(fill.hex, "rg"));
  if (stroke) {
    const dashes = style.strokeDasharray === "none" ? "" : style.strokeDasharray.replace(/px|,/g, "");
    lines.push(paint(stroke.hex, "RG"), `${fixed(parseFloat(style.strokeWidth))} w`, `[${dashes}] 0 d`);
  }
  if (!solid && !stroke) return [];
  return [...lines, path, solid && stroke ? "B" : solid ? "f" : "S", "Q"];
}

function written(element, style, fill, labels) {
  const size = parseFloat(style.fontSize);
  const isBold = Number(style.fontWeight) >= 600;
  const text = element.textContent;
  const weight = isBold ? "600" : "400";
  const width = labels.width(text, `${weight} ${size}px`);
  const ours = labels.context;
  ours.font = `${isBold ? "700" : "400"} ${size}px Helvetica, Arial, sans-serif`;
  const stretch = width / (ours.measureText(text).width || 1);
  const at = Number(element.getAttribute("x")) - (element.getAttribute("text-anchor") === "end" ? width : 0);
  const bytes = [...text].map((c) => (c.charCodeAt(0) < 127 && c >= " " ? c : String.fromCharCode(LATIN[c] ?? 0x3f))).join("");
  return ["BT", `/F${isBold ? 2 : 1} ${fixed(size)} Tf`, `${fixed(100 * stretch)} Tz`, paint(fill?.hex ?? "#000000", "rg"),
    `1 0 0 -1 ${fixed(at)} ${element.getAttribute("y")} Tm`, `(${bytes.replace(/[\\()]/g, "\\$&")}) Tj`, "ET"];
}

function rectangle(element) {
  const [x, y, w, h, rx] = ["x", "y", "width", "height", "rx"].map((name) => Number(element.getAttribute(name) ?? 0));
  const r = Math.min(rx, w / 2, h / 2);
  if (!r) return `${fixed(x)} ${fixed(y)} ${fixed(w)} ${fixed(h)} re`;
  const k = r * 0.448; // a quarter of a circle as a Bézier curve
  const p = (...values) => values.map(fixed).join(" ");
  return [
    `${p(x + r, y)} m ${p(x + w - r, y)} l ${p(x + w - k, y, x + w, y + k, x + w, y + r)} c ${p(x + w, y + h - r)} l`,
    `${p(x + w, y + h - k, x + w - k, y + h, x + w - r, y + h)} c ${p(x + r, y + h)} l ${p(x + k, y + h, x, y + h - k, x, y + h - r)} c`,
    `${p(x, y + r)} l ${p(x, y + k, x + k, y, x + r, y)} c h`,
  ].join(" ");
}

// M, L, C, Q and Z of a path, with absolute places.
function segments(d) {
  let here = [0, 0];
  return [...d.matchAll(/([MLCQZ])([^MLCQZ]*)/g)].map(([, letter, rest]) => {
    const n = (rest.match(/-?[\d.]+/g) ?? []).map(Number);
    const before = here;
    if (n.length) here = n.slice(-2);
    if (letter === "Z") return "h";
    if (letter === "Q") return `${[...third(before, n), ...third(here, n), ...here].map(fixed).join(" ")} c`;
    return `${n.map(fixed).join(" ")} ${{ M: "m", L: "l", C: "c" }[letter]}`;
  }).join(" ");
}

// A quadratic curve's handle as that of a cubic one, seen from one of its ends.
const third = ([x, y], [u, v]) => [x + (2 * (u - x)) / 3, y + (2 * (v - y)) / 3];
