// Boxes, frames and lines as SVG, from what the layout found.
const FLOW = { thin: 1.2, bus: 2.4, dense: 1.3 };

class Drawing {
  constructor(view) {
    this.view = view;
    this.scene = shape("g", { class: "scene" });
    this.boxes = new Map();
    this.lines = [];
  }

  draw(seen, placed, isDown) {
    this.isDown = isDown;
    this.boxes.clear();
    this.about = new Map();
    (function walk(drawing, box) {
      drawing.about.set(box.id, box);
      box.children.forEach((child) => walk(drawing, child));
    })(this, seen.root);
    const frames = shape("g");
    const boxes = shape("g");
    const words = shape("g");
    placed.boxes.forEach((at) => {
      const box = this.about.get(at.id);
      if (at.id === 0) return;
      const element = box.open ? this.frame(box, at) : this.box(box, at);
      (box.open ? frames : boxes).append(element);
      this.boxes.set(at.id, { ...at, box, element });
    });
    const lines = shape("g");
    this.lines = placed.lines.map((line) => this.line(line, seen.edges));
    this.lines.forEach((line) => lines.append(...line.elements));
    words.append(...this.shapes(seen.notes));
    this.scene.replaceChildren(frames, lines, words, boxes);
    this.size = { w: placed.w, h: placed.h };
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
    if (outline.opens(id)) group.append(this.chevron(end - 9, at.h / 2, false));
    if (outline.opens(id)) end -= NODE.mark;
    if (times > 1) group.append(this.badge(box.repeat, end - labels.badge(times), 4));
    group.append(this.tip(id, box.repeat));
    return group;
  }

  chevron(x, y, isOpen) {
    const mark = shape("g", { class: "chevron", transform: `translate(${round(x)} ${round(y)})`, "aria-hidden": true });
    mark.append(shape("rect", { x: -8, y: -10, width: 20, height: 20, class: "touch" }), shape("path", { d: isOpen ? "M-4 -2L0 2.5L4 -2" : "M-2 -4L2.5 0L-2 4" }));
    return mark;
  }

  badge(repeat, x, y) {
    const { outline, labels } = this.view;
    const times = outline.times[repeat];
    const group = shape("g", { class: "badge", "data-repeat": repeat, transform: `translate(${round(x)} ${y})` });
    const text = shape("text", { x: 5, y: 13, class: "main" });
    text.textContent = `× ${times}`;
    const title = shape("title");
    title.textContent = `${times} equal ones, one after the other. Click to draw each.`;
    group.append(shape("rect", { width: round(labels.badge(times)), height: 18, rx: 9 }), text, title);
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
    title.append(shape("rect", { width: round(Math.min(labels.title(id, times) + 14, at.w)), height: FRAME.title, class: "touch" }), this.chevron(14, 13, true), first);
    if (quiet && room - used > 40) title.append(this.words(quiet, 24 + used + NODE.gap, "quiet", room - used - NODE.gap)[0]);
    title.append(this.tip(id, box.repeat));
    group.append(shape("rect", { width: at.w, height: at.h, rx: 8, class: "body" }), title);
    if (times > 1) group.append(this.badge(box.repeat, labels.title(id, times) - labels.badge(times) + 10, 4));
    return group;
  }

  tip(id, repeat) {
    const title = shape("title");
    title.textContent = this.view.labels.sentence(id, repeat);
    return title;
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

  line(line, edges) {
    const own = line.edges.map((edge) => edges[edge]);
    const { labels } = this.view;
    const channels = Math.max(...own.map((edge) => labels.dims(edge.layer)[0] ?? 1));
    const width = line.bus ? (line.dense ? FLOW.dense : FLOW.bus) : FLOW.thin + Math.log2(1 + channels) / 2.4;
    const path = line.bus ? busPath(line, this.isDown) : curve(line.points, this.isDown);
    const elements = [shape("path", { d: path, class: line.bus ? "line bus" : "line", "stroke-width": round(width) })];
    const tips = line.bus ? line.stops.filter((stop) => stop.head).map((stop) => this.stopHead(line, stop)) : [];
    if (tips.length) elements.push(shape("path", { d: tips.join(""), class: "head" }));
    return { edges: own, elements };
  }

  stopHead({ lane }, { points }) {
    const from = points[1] ?? (this.isDown ? [lane[0][0], points[0][1]] : [points[0][0], lane[0][1]]);
    return head(points[0], from, 6);
  }

  // The shape of what leaves a box, where it is another than what entered.
  shapes(noted) {
    return [...noted].flatMap(([id, text]) => {
      const at = this.boxes.get(id);
      const [x, y] = this.isDown ? [at.x + at.w / 2 + 9, at.y + at.h + 16] : [at.x + 2, at.y + at.h + 12];
      const note = shape("text", { x: round(x), y: round(y), class: "shape" });
      note.textContent = text;
      return [note];
    });
  }
}

// Boxes whose output has another shape than their input, with that shape.
function notes(edges, labels) {
  const entering = new Map();
  edges.forEach(({ target, layer }) => entering.set(target, [...(entering.get(target) ?? []), labels.shape(layer)]));
  return new Map(edges.map(({ source, layer }) => [source, labels.shape(layer)]).filter(([id, text]) => entering.has(id) && !entering.get(id).includes(text)));
}
