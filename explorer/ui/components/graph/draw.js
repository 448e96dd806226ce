// Boxes, frames and lines as SVG, from what the layout found.
const SHADE = { least: 30, most: 62 };
const FLOW = { thin: 1.2, bus: 2.4, dense: 1.3 };

class Drawing {
  constructor(view) {
    this.view = view;
    this.scene = shape("g", { class: "scene" });
    this.boxes = new Map();
    this.lines = [];
  }

  // Takes over where everything is to be; nothing is drawn yet.
  place(seen, placed, isDown) {
    this.edges = seen.edges;
    this.isDown = isDown;
    this.size = { w: placed.w, h: placed.h };
    this.about = new Map();
    (function walk(drawing, box) {
      drawing.about.set(box.id, box);
      box.children.forEach((child) => walk(drawing, child));
    })(this, seen.root);
    this.boxes = new Map(placed.boxes.filter(({ id }) => id !== 0).map((at) => [at.id, { ...at, box: this.about.get(at.id), element: null }]));
    this.ways = new Map();
    placed.lines.filter((line) => !line.bus).forEach((line) => this.ways.set(line.source, [...(this.ways.get(line.source) ?? []), line.points]));
    this.lines = placed.lines.map((line) => ({ ...line, edges: line.edges.map((edge) => seen.edges[edge]), elements: [] }));
    this.layers = { frames: shape("g"), lines: shape("g"), words: shape("g"), boxes: shape("g") };
    this.queue = [];
    this.scene.replaceChildren(...Object.values(this.layers));
  }

  begin(noted) {
    this.queue = this.tasks(noted);
  }

  // What there is to draw, that first which is in view.
  tasks(noted) {
    const { x, y, k } = this.view.canvas.view;
    const { w, h } = this.view.canvas.frame();
    const [left, top, right, bottom] = [-x / k, -y / k, (w - x) / k, (h - y) / k];
    const inView = (at) => at.x < right && at.x + at.w > left && at.y < bottom && at.y + at.h > top;
    const found = [];
    this.boxes.forEach((at) => found.push([inView(at), () => this.addBox(at)]));
    this.lines.forEach((line) => found.push([inView(extent(line)), () => this.addLine(line)]));
    noted.forEach((text, id) => found.push([inView(this.boxes.get(id)), () => this.layers.words.append(this.note(id, text))]));
    return [...found.filter(([first]) => first), ...found.filter(([first]) => !first)].map(([, task]) => task).reverse();
  }

  // Draws until the queue is empty or the time is over; says whether it is empty.
  work(milliseconds) {
    const end = performance.now() + milliseconds;
    while (this.queue.length && performance.now() < end) this.queue.pop()();
    return !this.queue.length;
  }

  addBox(at) {
    at.element = at.box.open ? this.frame(at.box, at) : this.box(at.box, at);
    (at.box.open ? this.layers.frames : this.layers.boxes).append(at.element);
    this.view.adorn(at);
  }

  addLine(line) {
    line.elements = this.line(line);
    this.layers.lines.append(...line.elements);
    this.view.hover.adorn(line);
  }

  words(text, x, className, room = Infinity) {
    const { labels } = this.view;
    const font = className === "main" ? FONT.main : FONT.quiet;
    let shown = text;
    while (shown && labels.width(shown, font) > room) shown = shown.slice(0, -1);
    const element = shape("text", { x: round(x), y: 17, class: className });
    element.textContent = shown === text ? text : `${shown.slice(0, -1)}…`;
    return [element, labels.width(element.textContent, font)];
  }

  box(box, at) {
    const { outline, labels } = this.view;
    const { id } = box;
    const times = box.repeat < 0 ? 1 : outline.times[box.repeat];
    const group = shape("g", { transform: `translate(${round(at.x)} ${round(at.y)})`, class: `box ${outline.role[id]} ${this.hue(id)} ${this.mark(box)}`, "data-id": id, role: "button", tabindex: -1, "aria-label": labels.sentence(id, box.repeat) });
    if (outline.opens(id)) group.setAttribute("aria-expanded", "false");
    if (times > 1) [6, 3].forEach((d) => group.append(shape("rect", { x: d, y: d, width: at.w, height: at.h, rx: 6, class: "copy" })));
    group.append(shape("rect", { width: at.w, height: at.h, rx: 6, class: "body" }), shape("rect", { width: 4, height: at.h - 8, x: 4, y: 4, rx: 2, class: "stripe" }));
    const { main, quiet } = labels.of(id);
    let x = NODE.pad + 4;
    const [first, used] = this.words(main, x, "main");
    x += used + NODE.gap;
    group.append(first);
    if (quiet) group.append(this.words(quiet, x, "quiet")[0]);
    let end = at.w - 6;
    if (outline.opens(id)) group.append(shape("path", { d: `M${round(end - 11)} ${at.h / 2 - 4}l4.5 4l-4.5 4`, class: "chevron" }));
    if (outline.opens(id)) end -= NODE.mark;
    if (times > 1) group.append(this.badge(box.repeat, end - labels.badge(times), 4));
    const beyond = this.beyond(box);
    if (beyond) group.append(shape("path", { d: corner(at.w, beyond === "unproductive" ? 13 : 8), class: `corner ${beyond}` }));
    return group;
  }

  beyond(box) {
    const { outline } = this.view;
    return outline.beyond(...outline.span(box.id, box.repeat < 0 ? undefined : box.repeat)).worst;
  }

  badge(repeat, x, y) {
    const { outline, labels } = this.view;
    const times = outline.times[repeat];
    const group = shape("g", { class: "badge", "data-repeat": repeat, transform: `translate(${round(x)} ${y})` });
    const text = shape("text", { x: 5, y: 13, class: "main" });
    text.textContent = `× ${times}`;
    group.append(shape("rect", { width: round(labels.badge(times)), height: 18, rx: 9 }), text);
    return group;
  }

  frame(box, at) {
    const { outline, labels } = this.view;
    const { id } = box;
    const times = box.repeat < 0 ? 1 : outline.times[box.repeat];
    const group = shape("g", { transform: `translate(${round(at.x)} ${round(at.y)})`, class: `frame ${outline.role[id]} ${this.mark(box)}`, "data-id": id, role: "button", tabindex: -1, "aria-expanded": "true", "aria-label": labels.sentence(id, box.repeat) });
    const { main, quiet } = labels.of(id);
    const room = 190;
    const [first, used] = this.words(main, 24, "main", room);
    const title = shape("g", { class: "title" });
    title.append(shape("rect", { width: round(Math.min(labels.title(id, times) + 14, at.w)), height: FRAME.title, class: "touch" }), shape("path", { d: "M10 11l4 4.5l4 -4.5", class: "chevron" }), first);
    if (quiet && room - used > 40) title.append(this.words(quiet, 24 + used + NODE.gap, "quiet", room - used - NODE.gap)[0]);
    group.append(shape("rect", { width: at.w, height: at.h, rx: 8, class: "body" }), title);
    if (times > 1) group.append(this.badge(box.repeat, labels.title(id, times) - labels.badge(times) + 10, 4));
    return group;
  }

  hue(id) {
    const { outline, labels } = this.view;
    return outline.role[id] === "group" ? "k-group" : `k-${familyOf(labels.kind(outline.main[id]))}`;
  }

  // The mark of a box: its own layers' where they agree, "changed" where they do not.
  mark(box) {
    const { outline } = this.view;
    if (!outline.marks.size) return "";
    const [start, stop] = outline.span(box.id, box.repeat < 0 ? undefined : box.repeat);
    const found = new Set();
    for (let layer = start; layer < stop; layer++) found.add(outline.marks.get(layer) ?? "");
    if (box.open && !found.has("failed")) return "";
    if (found.has("failed")) return "m-failed";
    return found.size > 1 ? "m-changed" : [...found][0] && `m-${[...found][0]}`;
  }

  line(line) {
    const { labels } = this.view;
    const channels = Math.max(...line.edges.map((edge) => labels.dims(edge.layer)[0] ?? 1));
    const width = line.bus ? (line.dense ? FLOW.dense : FLOW.bus) : FLOW.thin + Math.log2(1 + channels) / 2.4;
    const style = `--shade: ${round(Math.max(...line.edges.map((edge) => this.shade(edge.layer))))}%`;
    const path = line.bus ? busPath(line, this.isDown) : curve(line.points, this.isDown);
    const elements = [shape("path", { d: path, class: line.bus ? "line bus" : "line", "stroke-width": round(width), style })];
    const tips = line.bus ? line.stops.filter((stop) => stop.head).map((stop) => this.stopHead(line, stop)) : [];
    if (tips.length) elements.push(shape("path", { d: tips.join(""), class: "head", style }));
    return elements;
  }

  // How dark the line of a layer's output is, in percent: the finer its map, the darker.
  shade(layer) {
    const { labels } = this.view;
    const side = (dims) => (dims.length === 3 ? dims[1] : 1);
    return SHADE.least + (SHADE.most - SHADE.least) * Math.min(1, Math.log2(side(labels.dims(layer))) / Math.max(1, Math.log2(side(labels.dims(0)))));
  }

  stopHead({ lane }, { points }) {
    const from = points[1] ?? (this.isDown ? [lane[0][0], points[0][1]] : [points[0][0], lane[0][1]]);
    return head(points[0], from, 6);
  }

  // The shape of what leaves a box, where it is another than what entered.
  note(id, text) {
    const at = this.boxes.get(id);
    const isLeft = this.isDown && this.turnsRight(id);
    const [x, y] = this.isDown ? [at.x + at.w / 2 + (isLeft ? -9 : 9), at.y + at.h + 16] : [at.x + 2, at.y + at.h + 12];
    const note = shape("text", { x: round(x), y: round(y), class: "shape", "text-anchor": isLeft ? "end" : "start", style: `--frames: ${this.view.framesAround(id).length}` });
    note.textContent = text;
    return note;
  }

  // Whether the lines that leave a box turn to the right alone; words stand on the other side then.
  turnsRight(id) {
    const turns = (this.ways.get(id) ?? []).map((points) => points.at(-1)[0] - points[0][0]);
    return turns.some((turn) => turn > 1) && turns.every((turn) => turn > -1);
  }
}

// A triangle in the upper right corner of a box.
function corner(width, side) {
  return `M${round(width - side)} 0.5H${round(width - 6)}q5.5 0 5.5 5.5V${side}z`;
}

function extent({ bus, points, leave, lane, stops }) {
  const all = bus ? [...leave, ...lane, ...stops.flatMap((stop) => stop.points)] : points;
  const [xs, ys] = [all.map(([x]) => x), all.map(([, y]) => y)];
  const [x, y] = [Math.min(...xs), Math.min(...ys)];
  return { x, y, w: Math.max(...xs) - x, h: Math.max(...ys) - y };
}

// Boxes whose output has another shape than their input, with that shape.
function notes(edges, labels) {
  const entering = new Map();
  edges.forEach(({ target, layer }) => entering.set(target, [...(entering.get(target) ?? []), labels.shape(layer)]));
  return new Map(edges.map(({ source, layer }) => [source, labels.shape(layer)]).filter(([id, text]) => entering.has(id) && !entering.get(id).includes(text)));
}
