const SLICE = { first: 12, later: 8 }; // milliseconds of drawing at once

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
    if (part === "metrics") this.takeMetrics(value);
    if (part === "chosen") this.takeChosen(value);
    if (part === "figure" && value) saveFigure(this, value);
  }

  takeMetrics(value) {
    this.metricsFeed = value;
    if (!this.metrics) return;
    this.metrics.take(value);
    this.controls.listMetrics();
    this.recolour();
  }

  takePayload(payload) {
    const isNew = this.outline?.title !== payload.title || !this.memory.open;
    const isFirst = !this.outline;
    this.payload = payload;
    this.outline = new Outline(payload);
    this.labels = new Labels(this.outline, getComputedStyle(this.root).fontFamily || "sans-serif");
    this.metrics = new Metrics(this.outline, this.labels);
    if (this.metricsFeed) this.metrics.take(this.metricsFeed);
    if (this.memory.title !== payload.title || !this.memory.open) {
      const linked = this.outline.decode(this.linked);
      if (this.linked && !linked && isFirst) this.tell.refuse?.(this.linked);
      this.memory.open = linked ?? this.outline.firstLook();
      this.memory.place = null;
      this.memory.touched = false;
    } else if (this.memory.touched || this.linked) this.tellFold();
    this.memory.title = payload.title;
    this.controls.refresh();
    const [failing] = this.outline.failing();
    if (failing !== undefined) this.outline.openTo(failing, this.open);
    this.layOut({ begin: isNew, layer: failing });
    this.awaitFont();
  }

  // Words that were measured before the page's font was there are measured again.
  awaitFont() {
    const fonts = [FONT.main, FONT.quiet].map((font) => `${font} ${this.labels.family}`);
    if (!document.fonts?.load || fonts.every((font) => document.fonts.check(font))) return;
    Promise.all(fonts.map((font) => document.fonts.load(font))).then(() => {
      this.labels.widths.clear();
      if (this.root.isConnected) this.layOut({});
    });
  }

  takeChosen({ layer, fold, sync: name }) {
    // What names the others may come when this one is drawn already.
    if (sync.join(this, name) && this.drawing.boxes.size) sync.drawn(this).slice(0, 1).forEach((other) => this.beginBeside(other));
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
      if (open) { this.memory.open = open; this.layOut({}); } else this.tell.refuse?.(fold);
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
    this.memory.touched = true;
    this.layOut(how);
    sync.folded(this);
    this.tellFold();
  }

  // Said when it has rested a while, as whoever hears of it computes the page anew.
  tellFold() {
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
    if (open.size !== this.open.size) return this.fold(open, { layer: at });
    this.mark();
    const id = this.owner?.[at];
    if (this.keys.focused() !== undefined) return this.keys.focus(id);
    if (this.drawing.boxes.has(id)) this.canvas.reveal(this.drawing.boxes.get(id));
    return undefined;
  }

  // -- layout and drawing ---------------------------------------------------------------------------------------------

  layOut(wish) {
    const how = { ...wish, begin: wish.begin || this.how?.begin }; // a first look that was asked for and not drawn yet
    this.how = how;
    const spared = how.anchor ?? (how.layer === undefined ? -1 : this.outline.leaf(how.layer));
    const closed = this.outline.within(this.open, spared);
    this.say(closed ? `${closed} ${closed === 1 ? "box was" : "boxes were"} closed: at most ${LIMIT} are drawn at once.` : "");
    const seen = this.outline.visible(this.open);
    const isDown = !this.memory.sideways;
    seen.notes = notes(seen.edges, this.labels);
    const tree = this.tree(seen.root, isDown, seen.notes);
    const edges = seen.edges.map(({ source, target, through }) => [source, target, through]);
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
    this.how = null;
    const before = this.drawing.boxes.get(how.anchor);
    const focused = this.keys.focused();
    this.owner = seen.owner;
    this.hover.refresh(seen.edges);
    this.drawing.place(seen, placed, isDown);
    this.canvas.show(this.drawing);
    this.settle(how, before, isDown);
    this.controls.find();
    this.most = this.greatest();
    this.drawing.begin(seen.notes);
    this.drawing.work(SLICE.first);
    this.keys.restore(focused !== undefined && how.layer !== undefined ? this.owner[how.layer] : focused);
    this.controls.explain(this.metricName(), this.most);
    this.goOn();
  }

  // The rest in slices, so that the page never stands still.
  goOn() {
    cancelAnimationFrame(this.slice);
    const isDone = this.drawing.work(SLICE.later);
    if (!isDone) this.slice = requestAnimationFrame(() => this.goOn());
    else this.root.dataset.drawn = String(Number(this.root.dataset.drawn ?? 0) + 1);
  }

  // What was opened or closed stays where it was; a new network begins at its beginning.
  settle(how, before, isDown) {
    const after = this.drawing.boxes.get(how.anchor);
    const [beside] = how.begin ? sync.drawn(this) : [];
    if (beside && this.memory.place) this.follow(beside); // the others may have moved while this one was away
    else if (how.begin && this.memory.place) this.canvas.set(this.memory.place, false);
    else if (beside) this.beginBeside(beside);
    else if (how.begin || how.fit) this.canvas.set(this.canvas.beginning());
    else if (before && after) this.canvas.keep(before, after, this.framesAround(how.anchor));
    if (how.layer !== undefined) {
      const box = this.drawing.boxes.get(this.owner[how.layer]);
      if (box) this.canvas.reveal(box);
    }
  }

  // The open frames around a box, outermost first.
  framesAround(id) {
    return this.outline.path(id).map((up) => this.drawing.boxes.get(up)).filter(Boolean);
  }

  // Where the other is, or all of them at the beginning, as small as this one has to be.
  beginBeside(other) {
    const wanted = this.canvas.beginning();
    if (wanted.k < other.canvas.view.k) this.canvas.set(wanted);
    else this.follow(other);
  }

  follow(other) {
    this.canvas.set(this.canvas.beside(other.canvas), false);
    this.memory.place = this.canvas.view;
  }

  metricName() {
    return this.metrics.names().includes(this.memory.metric) ? this.memory.metric : "kind";
  }

  // The greatest figure of a box that is seen.
  greatest() {
    const name = this.metricName();
    if (name === "kind") return 0;
    let most = 0;
    this.drawing.boxes.forEach(({ box }) => { if (!box.open) most = Math.max(most, this.metrics.value(name, box.id, box.repeat) ?? 0); });
    return most;
  }

  recolour() {
    if (!this.metrics || !this.drawing.size) return;
    this.most = this.greatest();
    this.mark();
    this.controls.explain(this.metricName(), this.most);
  }

  mark() {
    this.drawing.boxes.forEach((at) => this.adorn(at));
  }

  // Everything about a box that changes without a new layout: colour, choice, hits.
  adorn(at) {
    const { box, element } = at;
    if (!element) return;
    const { id } = box;
    const layer = this.outline.place_of.get(this.chosen);
    const isChosen = layer !== undefined && this.owner[layer] === id;
    element.classList.toggle("chosen", isChosen);
    if (isChosen) element.setAttribute("aria-current", "true");
    else element.removeAttribute("aria-current");
    element.classList.toggle("hit", this.controls.boxes.has(id));
    element.classList.toggle("at", this.controls.hit === id);
    this.hover.adornBox(at);
    if (!box.open) this.fill(box, element);
  }

  fill({ id, repeat }, element) {
    const name = this.metricName();
    const isFigure = name !== "kind";
    const value = isFigure ? this.metrics.value(name, id, repeat) : null;
    const size = value ?? (name === "field" ? this.most : 0); // the whole image is the largest field
    element.classList.toggle("figure", isFigure);
    element.style.setProperty("--share", isFigure ? `${Math.round(100 * Math.sqrt(size / (this.most || 1)))}%` : "");
    const quiet = element.querySelector("text.quiet");
    if (quiet) quiet.textContent = isFigure ? this.metrics.words(name, value) : this.labels.of(id).quiet;
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
      else if (box) this.act(Number((box.dataset.id ? box : box.parentNode).dataset.id), this.isAtArrow(box, event));
    });
  }

  isAtArrow(box, event) {
    return box.getBoundingClientRect().right - event.clientX < (NODE.mark + 8) * this.canvas.view.k;
  }

  // A click on a box: a module opens or closes, a layer is chosen; a unit opens at its arrow.
  act(i, byArrow = false) {
    this.keys.focus(i, false);
    const role = this.outline.role[i];
    if (role === "group" || role === "repeat" || (byArrow && this.outline.opens(i)) || this.drawing.boxes.get(i)?.box.open) return this.toggle(i);
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
  // Whether the view is among these others from now on, and was not before.
  join(view, name) {
    if (view.syncName === name) return false;
    this.leave(view);
    view.syncName = name;
    if (name) this.groups.set(name, (this.groups.get(name) ?? new Set()).add(view));
    return Boolean(name);
  },
  leave(view) {
    this.groups.get(view.syncName)?.delete(view);
    view.syncName = null;
  },
  others(view) {
    return [...(this.groups.get(view.syncName) ?? [])].filter((other) => other !== view && other.outline);
  },
  drawn(view) {
    return this.others(view).filter((other) => other.drawing.boxes.size);
  },
  moved(view) {
    this.drawn(view).forEach((other) => other.follow(view));
  },
  folded(view) {
    this.others(view).forEach((other) => { other.memory.open = new Set([...view.open].filter((key) => other.outline.at.has(key))); other.layOut({}); });
  },
};
