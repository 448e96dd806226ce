// What reaches a box and what it reaches lights up while it is pointed at.
class Hover {
  constructor(view) {
    this.view = view;
    this.lit = null;
    view.canvas.svg.addEventListener("pointerover", (event) => {
      const box = event.target.closest?.(".box");
      if (!view.canvas.pointers.size) this.light(box ? Number(box.dataset.id) : null);
      this.explain(event.target.closest?.(".box, .frame"));
    });
    view.canvas.svg.addEventListener("pointerleave", () => this.light(null));
  }

  // What a box is in full, said by the browser when one rests on it.
  explain(element) {
    if (!element || element.querySelector("title")) return;
    const title = shape("title");
    title.textContent = element.getAttribute("aria-label");
    (element.querySelector(".title") ?? element).append(title);
  }

  refresh(edges) {
    this.after = new Map();
    this.before = new Map();
    edges.forEach(({ source, target }) => {
      this.after.set(source, [...(this.after.get(source) ?? []), target]);
      this.before.set(target, [...(this.before.get(target) ?? []), source]);
    });
    this.lit = null;
    this.view.canvas.svg.classList.remove("lit");
  }

  light(id) {
    if (id === this.lit || !this.after) return;
    this.lit = id;
    const { svg } = this.view.canvas;
    svg.classList.toggle("lit", id !== null);
    if (id === null) return;
    const down = this.reach(id, this.after);
    const up = this.reach(id, this.before);
    this.down = down;
    this.up = up;
    this.view.drawing.boxes.forEach((at) => this.adornBox(at));
    this.view.drawing.lines.forEach((line) => this.adorn(line));
  }

  adornBox({ box, element }) {
    element?.classList.toggle("on", this.lit !== null && !box.open && (this.down.has(box.id) || this.up.has(box.id)));
  }

  adorn({ edges, elements }) {
    const on = this.lit !== null && edges.some(({ source, target }) => (this.down.has(source) && this.down.has(target)) || (this.up.has(source) && this.up.has(target)));
    elements.forEach((element) => element.classList.toggle("on", on));
  }

  reach(start, next) {
    const found = new Set([start]);
    const queue = [start];
    while (queue.length) (next.get(queue.pop()) ?? []).forEach((at) => { if (!found.has(at)) { found.add(at); queue.push(at); } });
    return found;
  }
}
