// One graph on the page: what is fed into it, what is open, and what a person does to it.
class GraphView {
  constructor(root, memory, tell) {
    this.root = root;
    this.memory = memory; // what outlives the element: fold, metric, direction, place
    this.tell = tell;
    this.stage = part("div", "stage");
    this.notice = part("div", "notice", { role: "status" });
    this.controls = new Controls(this);
    root.replaceChildren(this.controls.bar, this.stage, this.controls.legend);
    this.canvas = new Canvas(this.stage, () => this.moved());
    this.stage.append(this.notice);
    this.drawing = new Drawing(this);
    this.keys = new Keys(this);
    this.hover = new Hover(this);
    this.listen();
    this.resized = new ResizeObserver(() => (this.pending ? this.arrived() : this.canvas.apply()));
    this.resized.observe(this.stage);
  }

  close() {
    this.resized.disconnect();
    sync.leave(this);
  }

  // -- what comes in ------------------------------------------------------------------------------------------------

  take(part, value) {
    if (part === "payload") this.takePayload(value);
    if (part === "metrics") { this.metricsFeed = value; this.metrics?.take(value); this.recolour(); }
    if (part === "chosen") this.takeChosen(value);
  }

  takePayload(payload) {
    const isNew = this.outline?.title !== payload.title || !this.memory.open;
    this.outline = new Outline(payload);
    this.labels = new Labels(this.outline, getComputedStyle(this.root).fontFamily || "sans-serif");
    this.metrics = new Metrics(this.outline, this.labels);
    if (this.metricsFeed) this.metrics.take(this.metricsFeed);
    const kept = [...(this.memory.open ?? [])].filter((key) => this.outline.at.has(key));
    if (this.memory.title !== payload.title || !kept.length) {
      this.memory.open = (this.linked && this.outline.decode(this.linked)) || this.outline.firstLook();
      this.memory.place = null;
    }
    this.memory.title = payload.title;
    this.controls.refresh();
    this.layOut({ begin: isNew });
  }

  takeChosen({ layer, fold, sync: name }) {
    sync.join(this, name);
    const first = this.asked === undefined;
    if (fold !== this.linked) this.takeFold(fold);
    if (layer === this.asked) return;
    this.asked = layer;
    this.chosen = layer;
    if (!first && this.outline && layer !== this.picked) this.goTo(layer);
    else this.mark();
    this.picked = undefined;
  }

  takeFold(fold) {
    const told = this.told ?? [];
    const known = told.indexOf(fold);
    this.linked = fold;
    if (known >= 0) this.told = told.slice(known); // what this page itself has said
    else if (this.outline && fold) {
      const open = this.outline.decode(fold);
      if (open) { this.memory.open = open; this.layOut({}); }
    }
  }

  // -- folding ------------------------------------------------------------------------------------------------------

  get open() {
    return this.memory.open;
  }

  toggle(i, spared = i) {
    const key = this.outline.key[i];
    if (!this.open.delete(key)) this.open.add(key);
    this.folded({ anchor: spared });
  }

  fold(open, how = {}) {
    this.memory.open = open;
    this.folded(how);
  }

  folded(how) {
    this.layOut(how);
    sync.folded(this);
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      const text = this.outline.encode(this.open);
      this.told = [...(this.told ?? []), text].slice(-20);
      this.tell.fold?.(text);
    }, 900);
  }

  // Opens what encloses a layer, and brings it into view.
  goTo(layer) {
    const at = this.outline.place_of.get(layer);
    if (at === undefined) return this.mark();
    const open = new Set(this.open);
    this.outline.openTo(at, open);
    this.reveal = at;
    if (open.size !== this.open.size) return this.fold(open, { layer: at });
    this.mark();
    const box = this.drawing.boxes.get(this.owner?.[at]);
    if (box) this.canvas.reveal(box);
    return undefined;
  }

  // -- layout and drawing ---------------------------------------------------------------------------------------------

  layOut(how) {
    const spared = how.anchor ?? (how.layer === undefined ? -1 : this.outline.leaf(how.layer));
    const closed = this.outline.within(this.open, spared);
    this.say(closed ? `${closed} ${closed === 1 ? "box was" : "boxes were"} closed: at most ${LIMIT} are drawn at once.` : "");
    const seen = this.outline.visible(this.open);
    const isDown = !this.memory.sideways;
    seen.notes = notes(seen.edges, this.labels);
    const tree = this.tree(seen.root, isDown, seen.notes);
    const edges = seen.edges.map(({ source, target }) => [source, target]);
    placer.ask({ tree, edges, isDown }, this, (placed) => {
      this.pending = { seen, placed, isDown, how };
      this.arrived();
    });
  }

  tree(box, isDown, noted) {
    const times = box.repeat < 0 ? 1 : this.outline.times[box.repeat];
    const { w, h } = box.open ? { w: 0, h: 0 } : this.labels.size(box.id, times);
    const title = box.open && box.id ? this.labels.title(box.id, times) : 0;
    return { id: box.id, open: box.open, title, note: noted.has(box.id), along: isDown ? h : w, across: isDown ? w : h, children: box.children.map((child) => this.tree(child, isDown, noted)) };
  }

  arrived() {
    if (!this.pending || !this.stage.clientWidth) return;
    const { seen, placed, isDown, how } = this.pending;
    this.pending = null;
    const before = this.drawing.boxes.get(how.anchor);
    const focused = this.keys.focused();
    this.owner = seen.owner;
    this.drawing.draw(seen, placed, isDown);
    this.canvas.show(this.drawing);
    this.recolour();
    this.mark();
    this.hover.refresh(seen.edges);
    this.settle(how, before, isDown);
    this.keys.restore(focused);
    this.controls.searched();
    this.root.dataset.drawn = String(Number(this.root.dataset.drawn ?? 0) + 1);
  }

  // What was opened or closed stays where it was; a new network begins at its beginning.
  settle(how, before, isDown) {
    const after = this.drawing.boxes.get(how.anchor);
    const { x, y, k } = this.canvas.view;
    if (how.begin && this.memory.place) this.canvas.set(this.memory.place, false);
    else if (how.begin || how.fit) this.canvas.begin(isDown);
    else if (before && after) this.canvas.set({ x: x + (before.x - after.x) * k, y: y + (before.y - after.y) * k, k });
    if (how.layer !== undefined) {
      const box = this.drawing.boxes.get(this.owner[how.layer]);
      if (box) this.canvas.reveal(box);
    }
  }

  recolour() {
    if (!this.metrics || !this.drawing.size) return;
    const name = this.metrics.names().includes(this.memory.metric) ? this.memory.metric : "kind";
    let most = 0;
    const found = [];
    this.drawing.boxes.forEach(({ box, element }) => {
      if (box.open) return;
      const value = name === "kind" ? null : this.metrics.value(name, box.id, box.repeat);
      found.push([box, element, value]);
      most = Math.max(most, value ?? 0);
    });
    found.forEach(([box, element, value]) => {
      const quiet = element.querySelector("text.quiet");
      element.classList.toggle("figure", name !== "kind");
      element.style.setProperty("--share", name === "kind" ? "" : `${Math.round(100 * Math.sqrt((value ?? (name === "field" ? most : 0)) / (most || 1)))}%`);
      if (quiet) quiet.textContent = name === "kind" ? element.dataset.quiet ?? (element.dataset.quiet = quiet.textContent) : ((element.dataset.quiet ??= quiet.textContent), this.metrics.words(name, value));
    });
    this.controls.explain(name, most);
  }

  mark() {
    const at = this.outline?.place_of.get(this.chosen);
    const owner = at === undefined ? undefined : this.owner?.[at];
    this.drawing.boxes.forEach(({ element }, id) => {
      element.classList.toggle("chosen", id === owner);
      if (id === owner) element.setAttribute("aria-current", "true");
      else element.removeAttribute("aria-current");
    });
  }

  say(text) {
    this.notice.textContent = text;
  }

  moved() {
    this.memory.place = this.canvas.view;
    sync.moved(this);
  }

  // -- what a person does -------------------------------------------------------------------------------------------

  listen() {
    this.canvas.svg.addEventListener("click", (event) => {
      if (this.canvas.dragged > 4) return;
      const badge = event.target.closest?.(".badge");
      const box = event.target.closest?.(".box, .frame .title");
      if (badge) this.toggle(Number(badge.dataset.repeat), Number(badge.parentNode.dataset.id));
      else if (box) this.act(Number((box.dataset.id ? box : box.parentNode).dataset.id), Boolean(event.target.closest(".chevron")));
    });
  }

  // A click on a box: a module opens or closes, a layer is chosen; a unit opens at its arrow.
  act(i, byArrow = false) {
    this.keys.focus(i, false);
    const role = this.outline.role[i];
    if (role === "group" || role === "repeat" || byArrow || this.drawing.boxes.get(i)?.box.open) return this.toggle(i);
    return this.pick(this.outline.layers.id[this.outline.main[i]]);
  }

  pick(layer) {
    this.chosen = layer;
    this.picked = layer;
    this.mark();
    this.tell.pick?.(layer);
  }
}

// Views of the same name pan, zoom and fold together.
const sync = {
  groups: new Map(),
  join(view, name) {
    if (view.syncName === name) return;
    this.leave(view);
    view.syncName = name;
    if (name) this.groups.set(name, (this.groups.get(name) ?? new Set()).add(view));
  },
  leave(view) {
    this.groups.get(view.syncName)?.delete(view);
    view.syncName = null;
  },
  others(view) {
    return [...(this.groups.get(view.syncName) ?? [])].filter((other) => other !== view && other.outline);
  },
  moved(view) {
    this.others(view).forEach((other) => { other.canvas.set(view.canvas.view, false); other.memory.place = view.canvas.view; });
  },
  folded(view) {
    this.others(view).forEach((other) => { other.memory.open = new Set([...view.open].filter((key) => other.outline.at.has(key))); other.layOut({}); });
  },
};
