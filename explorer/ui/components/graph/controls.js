// The row above a graph, its legend below, and the search.
const HELP = "Drag to move, wheel to zoom. Keys: arrows follow the lines, Enter opens a module or chooses a layer, o opens a box of several layers, u unfolds × N, Esc closes the frame, / searches (Enter next hit, Esc to the hit), n next hit, f fits, + and - zoom, l turns the flow.";
const ICONS = {
  fit: "M3 8V3h5M16 3h5v5M21 16v5h-5M8 21H3v-5",
  turn: "M4 6h11M12 2l4 4-4 4M6 10v10M2 17l4 4 4-4",
  plus: "M12 5v14M5 12h14",
  minus: "M5 12h14",
  save: "M12 4v11M7 11l5 5 5-5M4 20h16",
  help: "M9 9a3 3 0 1 1 4 2.8c-.7.3-1 .8-1 1.7M12 17h.01",
};

function option(value, text) {
  const found = part("option", "", { value });
  found.textContent = text;
  return found;
}

class Controls {
  constructor(view) {
    this.view = view;
    this.boxes = new Set();
    this.place = -1;
    this.search = part("input", "", { type: "search", placeholder: "Search layers", "aria-label": "Search layers", spellcheck: "false" });
    this.hits = part("output", "hits", { "aria-live": "polite" });
    this.metric = part("select", "", { "aria-label": "Colour", title: "What boxes are filled by" });
    this.depth = part("select", "", { "aria-label": "Open", title: "How much is opened" });
    this.legend = part("div", "legend");
    const buttons = [
      ["minus", "Zoom out (-)", () => view.canvas.zoom(1 / ZOOM.step)],
      ["plus", "Zoom in (+)", () => view.canvas.zoom(ZOOM.step)],
      ["fit", "Fit (f)", () => view.canvas.fit()],
      ["turn", "Left to right or top to bottom (l)", () => this.turn()],
      ["save", "Save as a file", () => this.openMenu()],
      ["help", "Help (?)", () => this.help()],
    ].map(([icon, label, act]) => this.button(icon, label, act));
    this.finder = part("div", "finder", {}, this.search, this.hits);
    this.bar = part("div", "bar", {}, this.finder, this.named("Colour", this.metric), this.depth, part("div", "buttons", {}, ...buttons, this.menu()));
    this.listen();
  }

  named(text, field) {
    return part("label", "named", {}, part("span", "", {}, text), field);
  }

  button(icon, label, act) {
    const button = part("button", "icon", { type: "button", "aria-label": label, title: label });
    button.append(shape("svg", { viewBox: "0 0 24 24", "aria-hidden": true }, shape("path", { d: ICONS[icon] })));
    button.onclick = act;
    return button;
  }

  menu() {
    this.files = part("div", "menu", { role: "menu", "aria-label": "Save as" });
    this.files.hidden = true;
    filesOf(this.view).forEach(([name, write]) => {
      const entry = part("button", "", { type: "button", role: "menuitem" }, name);
      entry.onclick = () => { this.files.hidden = true; write(this.view); };
      this.files.append(entry);
    });
    this.files.onkeydown = (event) => {
      const all = [...this.files.children];
      const at = all.indexOf(this.files.getRootNode().activeElement);
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) all[(at + step + all.length) % all.length].focus();
      if (event.key === "Escape") this.closeMenu();
      if (step || event.key === "Escape") event.preventDefault();
      event.stopPropagation();
    };
    this.files.onfocusout = (event) => { if (!this.files.contains(event.relatedTarget)) this.files.hidden = true; };
    return this.files;
  }

  openMenu() {
    this.files.hidden = !this.files.hidden;
    if (!this.files.hidden) this.files.firstChild.focus();
  }

  closeMenu() {
    this.files.hidden = true;
    this.bar.querySelector("[aria-label='Save as a file']").focus();
  }

  listen() {
    const { view } = this;
    this.search.oninput = () => { this.place = -1; this.searched(); };
    this.search.onkeydown = (event) => {
      event.stopPropagation();
      if (event.key === "Enter") this.step(event.shiftKey ? -1 : 1);
      if (event.key === "Escape") this.endSearch();
    };
    this.metric.onchange = () => { view.memory.metric = this.metric.value; view.recolour(); };
    this.depth.onchange = () => { view.fold(view.outline.level(Number(this.depth.value)), { fit: true }); this.depth.value = ""; };
  }

  // What boxes can be filled by: more once something was measured.
  listMetrics() {
    const { metrics, memory } = this.view;
    this.metric.replaceChildren(...metrics.names().map((name) => option(name, metrics.title(name))));
    this.metric.value = metrics.names().includes(memory.metric) ? memory.metric : "kind";
  }

  // Fills the lists for a new network.
  refresh() {
    this.listMetrics();
    const { outline } = this.view;
    const deepest = outline.deepest();
    const levels = Array.from({ length: deepest }, (_, i) => option(i + 1, i === 0 ? "1 level" : i + 1 === deepest ? "all modules" : `${i + 1} levels`));
    const choose = option("", "Open …");
    this.depth.replaceChildren(choose, ...levels, option(deepest + 1, "every layer"), option(deepest + 2, "repeats too"));
  }

  turn() {
    this.view.memory.sideways = !this.view.memory.sideways;
    this.view.layOut({ fit: true });
  }

  help() {
    this.view.say(this.view.notice.textContent === HELP ? "" : HELP);
  }

  // -- search -------------------------------------------------------------------------------------------------------

  found() {
    const text = this.search.value.trim().toLowerCase();
    const { outline, labels } = this.view;
    if (!text || !outline) return [];
    const words = (layer) => `${outline.layers.id[layer]} ${labels.text(layer)} ${labels.shape(layer)}`.toLowerCase();
    return outline.layers.id.map((_, layer) => layer).filter((layer) => words(layer).includes(text));
  }

  // Which boxes hold what is searched for.
  find() {
    const layers = this.found();
    this.boxes = new Set(layers.map((layer) => this.view.owner?.[layer]));
    const place = this.place >= 0 ? `${this.place + 1} of ` : "";
    this.hits.textContent = this.search.value.trim() ? `${place}${layers.length}` : "";
    this.hit = this.place >= 0 ? this.view.owner?.[layers[this.place]] : undefined;
    return layers;
  }

  searched() {
    this.find();
    this.view.mark();
  }

  // Back to the graph, at the hit that was stepped to.
  endSearch() {
    const { hit } = this;
    this.search.value = "";
    this.searched();
    this.view.keys.enter(hit);
  }

  step(by) {
    const layers = this.found();
    if (!layers.length) return;
    const from = this.place < 0 && by < 0 ? 0 : this.place;
    this.place = (from + by + layers.length) % layers.length;
    this.searched();
    this.view.goTo(this.view.outline.layers.id[layers[this.place]]);
  }

  // -- legend -------------------------------------------------------------------------------------------------------

  explain(name, most) {
    const { metrics } = this.view;
    if (name === "kind") {
      const hues = new Set([...this.view.drawing.boxes.values()].filter(({ box }) => !box.open).map(({ id }) => this.view.drawing.hue(id)));
      const seen = [...FAMILIES, ["other", "other"]].filter(([hue]) => hues.has(`k-${hue}`));
      this.legend.replaceChildren(...seen.map(([hue, text]) => part("span", `swatch k-${hue}`, {}, part("i"), text)));
    } else {
      this.legend.replaceChildren(part("span", "", {}, metrics.title(name)), part("span", "", {}, "0"), part("i", "scale"), part("span", "", {}, metrics.words(name, most)));
    }
    this.explainCorners();
    const marks = new Set(this.view.outline.marks.values());
    marks.delete("failed");
    this.legend.append(...[...marks].sort().map((mark) => part("span", `swatch mark m-${mark}`, {}, part("i"), mark)));
  }

  explainCorners() {
    const { drawing } = this.view;
    const seen = new Set([...drawing.boxes.values()].filter(({ box }) => !box.open).map(({ box }) => drawing.beyond(box)));
    const words = { exceeding: "field exceeds the picture", unproductive: "unproductive" };
    const told = Object.entries(words).filter(([kind]) => seen.has(kind));
    this.legend.append(...told.map(([kind, text]) => part("span", `swatch beyond ${kind}`, { title: BEYOND[kind] }, part("i"), text)));
  }
}
