// The graph by keyboard: one box has the focus, arrows lead along its lines.
class Keys {
  constructor(view) {
    this.view = view;
    const { svg } = view.canvas;
    svg.setAttribute("role", "group");
    svg.setAttribute("tabindex", "0");
    svg.addEventListener("keydown", (event) => this.press(event));
    svg.addEventListener("focus", () => { if (this.at === undefined) this.at = this.start(); this.focus(this.at); });
    svg.addEventListener("focusout", (event) => { if (!svg.contains(event.relatedTarget)) view.hover.light(null); });
  }

  // Into the graph from beside it: to a box, or to where the keys were before.
  enter(id) {
    if (this.view.drawing.boxes.has(id)) this.at = id;
    this.view.canvas.svg.focus();
  }

  start() {
    return this.view.drawing.boxes.keys().next().value;
  }

  focused() {
    return this.view.canvas.svg.getRootNode().activeElement?.closest?.(".box, .frame") ? this.at : undefined;
  }

  restore(id) {
    if (id === undefined) return;
    let at = id;
    while (at > 0 && !this.view.drawing.boxes.has(at)) at = this.view.outline.parent[at];
    this.focus(this.view.drawing.boxes.has(at) ? at : this.start(), true, false);
  }

  focus(id, isKey = true, reveal = true) {
    const box = this.view.drawing.boxes.get(id);
    if (!box) return;
    if (!box.element) this.view.drawing.work(Infinity);
    this.view.drawing.boxes.get(this.at)?.element?.setAttribute("tabindex", "-1");
    this.at = id;
    box.element.setAttribute("tabindex", "0");
    this.view.canvas.svg.setAttribute("tabindex", "-1");
    if (isKey) box.element.focus({ preventScroll: true });
    if (isKey && reveal) this.view.canvas.reveal({ ...box, h: Math.min(box.h, 60), w: Math.min(box.w, 400) });
    if (isKey) this.view.hover.light(box.box.open ? null : id);
  }

  press(event) {
    const { view } = this;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isDown = !view.memory.sideways;
    const { key } = event;
    const moves = isDown ? { ArrowDown: "after", ArrowUp: "before", ArrowLeft: "left", ArrowRight: "right" } : { ArrowRight: "after", ArrowLeft: "before", ArrowUp: "left", ArrowDown: "right" };
    const acts = {
      Enter: () => this.at !== undefined && view.act(this.at, event.shiftKey),
      " ": () => this.at !== undefined && view.act(this.at),
      o: () => this.at !== undefined && view.outline.opens(this.at) && view.toggle(this.at),
      u: () => this.unfold(),
      Escape: () => this.leave(),
      Backspace: () => this.leave(),
      "/": () => view.controls.search.focus(),
      f: () => view.canvas.fit(),
      0: () => view.canvas.set({ ...view.canvas.view, k: 1 }),
      "+": () => view.canvas.zoom(ZOOM.step),
      "=": () => view.canvas.zoom(ZOOM.step),
      "-": () => view.canvas.zoom(1 / ZOOM.step),
      l: () => view.controls.turn(),
      n: () => view.controls.step(1),
      N: () => view.controls.step(-1),
      Home: () => this.focus(this.start()),
      "?": () => view.controls.help(),
    };
    if (!(key in moves) && !(key in acts)) return;
    event.preventDefault();
    event.stopPropagation();
    if (key in moves) this.move(moves[key]);
    else acts[key]();
  }

  unfold() {
    const box = this.view.drawing.boxes.get(this.at)?.box;
    if (!box) return;
    const { outline } = this.view;
    const repeat = box.repeat >= 0 ? box.repeat : [this.at, outline.parent[this.at]].find((i) => outline.role[i] === "repeat");
    if (repeat !== undefined) this.view.toggle(repeat, this.at);
  }

  // Closes the frame around the box that has the focus.
  leave() {
    const { outline, drawing } = this.view;
    const own = drawing.boxes.get(this.at)?.box;
    let at = own?.open ? this.at : outline.parent[this.at];
    while (at > 0 && !(drawing.boxes.has(at) && this.view.open.has(outline.key[at]))) at = outline.parent[at];
    if (at <= 0) return;
    this.focus(at, true, false);
    this.view.toggle(at);
  }

  move(way) {
    const { drawing, hover } = this.view;
    const here = drawing.boxes.get(this.at);
    if (!here) return this.focus(this.start());
    const next = way === "after" || way === "before" ? this.along(here, way, hover) : this.beside(here, way);
    return next === undefined ? undefined : this.focus(next);
  }

  along(here, way, hover) {
    if (here.box.open) return way === "after" ? here.box.children[0]?.id : this.view.outline.parent[this.at] || undefined;
    const found = (way === "after" ? hover.after : hover.before).get(this.at) ?? [];
    const distance = (id) => {
      const box = this.view.drawing.boxes.get(id);
      return box ? Math.hypot(box.x + box.w / 2 - here.x - here.w / 2, box.y + box.h / 2 - here.y - here.h / 2) : Infinity;
    };
    return [...found].sort((a, b) => distance(a) - distance(b))[0];
  }

  beside(here, way) {
    const isDown = !this.view.memory.sideways;
    const middle = (box) => (isDown ? [box.x + box.w / 2, box.y + box.h / 2] : [box.y + box.h / 2, box.x + box.w / 2]);
    const [x, y] = middle(here);
    const sign = way === "left" ? -1 : 1;
    const found = [...this.view.drawing.boxes].filter(([, box]) => !box.box.open).map(([id, box]) => {
      const [u, v] = middle(box);
      return [id, (u - x) * sign, Math.abs(v - y)];
    }).filter(([id, aside, off]) => id !== this.at && aside > 1 && off < 2 * aside);
    return found.sort((a, b) => a[1] + 3 * a[2] - b[1] - 3 * b[2])[0]?.[0];
  }
}
