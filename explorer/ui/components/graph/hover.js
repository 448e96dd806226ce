// What reaches a box and what it reaches lights up while it is pointed at.
class Hover {
  constructor(view) {
    this.view = view;
    view.canvas.svg.addEventListener("pointerover", (event) => {
      const box = event.target.closest?.(".box");
      if (!view.canvas.pointers.size) this.light(box ? Number(box.dataset.id) : null);
    });
    view.canvas.svg.addEventListener("pointerleave", () => this.light(null));
  }

  refresh(edges) {
    this.after = new Map();
    this.before = new Map();
    edges.forEach(({ source, target }) => {
      this.after.set(source, [...(this.after.get(source) ?? []), target]);
      this.before.set(target, [...(this.before.get(target) ?? []), source]);
    });
    this.lit = null;
  }

  light(id) {
    if (id === this.lit || !this.after) return;
    this.lit = id;
    const { svg } = this.view.canvas;
    svg.classList.toggle("lit", id !== null);
    if (id === null) return;
    const down = this.reach(id, this.after);
    const up = this.reach(id, this.before);
    this.view.drawing.boxes.forEach(({ element, box }, at) => element.classList.toggle("on", box.open || down.has(at) || up.has(at)));
    this.view.drawing.lines.forEach(({ edges, elements }) => {
      const on = edges.some(({ source, target }) => (down.has(source) && down.has(target)) || (up.has(source) && up.has(target)));
      elements.forEach((element) => element.classList.toggle("on", on));
    });
  }

  reach(start, next) {
    const found = new Set([start]);
    const queue = [start];
    while (queue.length) (next.get(queue.pop()) ?? []).forEach((at) => { if (!found.has(at)) { found.add(at); queue.push(at); } });
    return found;
  }
}
