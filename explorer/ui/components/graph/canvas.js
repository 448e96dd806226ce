// Pan and zoom of a drawing, and the small map of it.
const ZOOM = { least: 0.04, most: 4, step: 1.25 };
const MAP = { w: 84, h: 150, least: 24, margin: 22, from: 448 }; // from: narrower frames have no map (style.css)

class Canvas {
  constructor(root, moved) {
    this.moved = moved;
    this.svg = shape("svg", { class: "canvas" });
    this.view = { x: 0, y: 0, k: 1 };
    this.size = { w: 1, h: 1 };
    this.map = part("canvas", "map", { "aria-hidden": "true" });
    this.pointers = new Map();
    root.append(this.svg, this.map);
    this.listen();
  }

  show(drawing) {
    this.drawing = drawing;
    this.size = drawing.size;
    if (drawing.scene.parentNode !== this.svg) this.svg.replaceChildren(drawing.scene);
    this.apply();
  }

  frame() {
    return { w: this.svg.clientWidth || 1, h: this.svg.clientHeight || 1 };
  }

  set(view, tell = true) {
    this.view = { ...view, k: Math.min(Math.max(view.k, ZOOM.least), ZOOM.most) };
    this.apply();
    if (tell) this.moved(this.view);
  }

  apply() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      if (!this.drawing) return;
      const { x, y, k } = this.view;
      this.drawing.scene.setAttribute("transform", `translate(${round(x)} ${round(y)}) scale(${k.toFixed(4)})`);
      this.svg.classList.toggle("far", k < 0.22);
      this.drawMap();
    });
  }

  zoom(factor, at) {
    const { w, h } = this.frame();
    const [px, py] = at ?? [w / 2, h / 2];
    const k = Math.min(Math.max(this.view.k * factor, ZOOM.least), ZOOM.most);
    const share = k / this.view.k;
    this.set({ x: px - (px - this.view.x) * share, y: py - (py - this.view.y) * share, k });
  }

  // What a drawing at zoom k has of the frame: across the flow less where the small map stands, if there is one.
  room(k) {
    const { w, h } = this.frame();
    const fits = this.size.w * k <= w && this.size.h * k <= h;
    if (fits || w <= MAP.from) return { w, h };
    const map = this.mapSize();
    return this.drawing.isDown ? { w: w - map.w - MAP.margin, h } : { w, h: h - map.h - MAP.margin };
  }

  whole() {
    const { w, h } = this.frame();
    const k = Math.min((w - 24) / this.size.w, (h - 24) / this.size.h, 1.4);
    return { k, x: (w - this.size.w * k) / 2, y: (h - this.size.h * k) / 2 };
  }

  // The whole drawing in view.
  fit() {
    this.set(this.whole());
  }

  // The whole drawing where it stays readable, otherwise its beginning.
  beginning() {
    const whole = this.whole();
    if (whole.k >= 0.7) return whole;
    const { w, h } = this.frame();
    const { isDown } = this.drawing;
    const room = this.room(0.7);
    const wide = Math.min(Math.max(isDown ? (room.w - 24) / this.size.w : (room.h - 24) / this.size.h, 0.7), 1);
    const first = this.drawing.boxes.values().next().value;
    const start = (whole, own, size, middle) => (size * wide <= own - 24 ? Math.min((whole - size * wide) / 2, own - 12 - size * wide) : Math.min(12, own / 2 - middle * wide));
    return { k: wide, x: isDown ? start(w, room.w, this.size.w, first.x + first.w / 2) : 12, y: isDown ? 12 : start(h, room.h, this.size.h, first.y + first.h / 2) };
  }

  // What another canvas shows, moved so that the lines that enter both networks lie at the same place of their frames.
  beside(other) {
    const { x, y, k } = other.view;
    const [own, its] = [this.entrance(), other.entrance()];
    return { k, x: x + own.half.w - its.half.w + (its.x - own.x) * k, y: y + own.half.h - its.half.h + (its.y - own.y) * k };
  }

  // Middle of the first box across the flow, and half of the frame there.
  entrance() {
    const first = this.drawing.boxes.values().next().value;
    const { w, h } = this.frame();
    const { isDown } = this.drawing;
    return isDown ? { x: first.x + first.w / 2, y: 0, half: { w: w / 2, h: 0 } } : { x: 0, y: first.y + first.h / 2, half: { w: 0, h: h / 2 } };
  }

  // Moves as little as brings a box into view, with room around it.
  reveal(box, room = 60) {
    const { x, y, k } = this.view;
    const { w, h } = this.room(k);
    const shift = (from, to, size) => (from < room ? room - from : to > size - room ? Math.max(size - room - to, room - from) : 0);
    const [left, top] = [x + box.x * k, y + box.y * k];
    const move = { x: x + shift(left, left + box.w * k, w), y: y + shift(top, top + box.h * k, h), k };
    if (move.x !== x || move.y !== y) this.set(move);
  }

  // After a box has opened or closed: its beginning and the line that enters it stay where they were, unless it or the
  // outermost of the frames around it that can be shown whole would not be in view.
  keep(before, after, frames) {
    const { x, y, k } = this.view;
    const { isDown } = this.drawing;
    const across = (box) => (isDown ? box.w : box.h);
    const room = across(this.room(k)) - 24;
    const least = Math.min(k, 0.5);
    const outer = frames.find((frame) => across(frame) * least <= room) ?? after;
    const narrow = Math.max(least, Math.min(k, room / across(outer)));
    const place = isDown ? [x + before.port * k, y + before.y * k] : [x + before.x * k, y + before.port * k];
    this.set({ k: narrow, x: place[0] - (isDown ? after.port : after.x) * narrow, y: place[1] - (isDown ? after.y : after.port) * narrow });
    const seen = isDown ? { x: outer.x, w: outer.w, y: after.y, h: Math.min(after.h, 200) } : { x: after.x, w: Math.min(after.w, 300), y: outer.y, h: outer.h };
    this.reveal(seen, 12);
    if (narrow < k) this.fill();
  }

  // Nothing empty before or behind the drawing along the flow, as long as it is the longer one.
  fill() {
    const { x, y, k } = this.view;
    const { w, h } = this.frame();
    const held = (at, whole, frame) => (whole * k > frame - 24 ? Math.min(Math.max(at, frame - 12 - whole * k), 12) : at);
    if (this.drawing.isDown) this.set({ k, x, y: held(y, this.size.h, h) });
    else this.set({ k, x: held(x, this.size.w, w), y });
  }

  listen() {
    const { svg } = this;
    const here = (event) => {
      const box = svg.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.shiftKey) return this.set({ ...this.view, x: this.view.x - event.deltaY });
      return this.zoom(Math.exp(-Math.max(-90, Math.min(90, event.deltaY)) * 0.003), here(event));
    }, { passive: false });
    svg.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.pointers.set(event.pointerId, here(event));
      this.dragged = 0;
    });
    svg.addEventListener("pointermove", (event) => this.drag(event, here(event)));
    ["pointerup", "pointercancel"].forEach((name) => svg.addEventListener(name, (event) => this.pointers.delete(event.pointerId)));
    this.map.addEventListener("pointerdown", (event) => { this.map.setPointerCapture(event.pointerId); this.jump(event); });
    this.map.addEventListener("pointermove", (event) => { if (this.map.hasPointerCapture(event.pointerId)) this.jump(event); });
  }

  drag(event, now) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const others = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, point]) => point);
    this.pointers.set(event.pointerId, now);
    this.dragged += Math.hypot(now[0] - before[0], now[1] - before[1]);
    if (this.dragged > 4 && !this.svg.hasPointerCapture(event.pointerId)) this.svg.setPointerCapture(event.pointerId);
    if (others.length) {
      const distance = (point) => Math.hypot(point[0] - others[0][0], point[1] - others[0][1]) || 1;
      this.zoom(distance(now) / distance(before), others[0]);
    } else if (this.dragged > 4) {
      this.set({ ...this.view, x: this.view.x + now[0] - before[0], y: this.view.y + now[1] - before[1] });
    }
  }

  jump(event) {
    const box = this.map.getBoundingClientRect();
    const { w, h } = this.frame();
    const k = this.view.k;
    const [x, y] = [(event.clientX - box.left) / this.mapScale, (event.clientY - box.top) / this.mapScale];
    this.set({ k, x: w / 2 - x * k, y: h / 2 - y * k });
  }

  mapSize() {
    const scale = Math.min(MAP.w / this.size.w, MAP.h / this.size.h);
    return { scale, w: Math.max(this.size.w * scale, MAP.least), h: Math.max(this.size.h * scale, MAP.least) };
  }

  drawMap() {
    const { w, h } = this.frame();
    const { x, y, k } = this.view;
    const whole = x >= 0 && y >= 0 && x + this.size.w * k <= w && y + this.size.h * k <= h;
    this.map.hidden = whole;
    if (whole) return;
    const { scale, w: mw, h: mh } = this.mapSize();
    this.mapScale = scale;
    const ratio = window.devicePixelRatio || 1;
    Object.assign(this.map.style, { width: `${mw}px`, height: `${mh}px` });
    Object.assign(this.map, { width: mw * ratio, height: mh * ratio });
    const context = this.map.getContext("2d", { willReadFrequently: true });
    const colours = getComputedStyle(this.map);
    context.scale(ratio * this.mapScale, ratio * this.mapScale);
    context.globalAlpha = 0.35;
    context.fillStyle = colours.color;
    this.drawing.boxes.forEach((box) => { if (!box.box.open) context.fillRect(box.x, box.y, box.w, box.h); });
    context.globalAlpha = 1;
    context.strokeStyle = colours.getPropertyValue("--st-primary-color") || colours.color;
    context.lineWidth = 2 / this.mapScale;
    const clip = (value, most) => Math.min(Math.max(value, 0), most);
    const [left, top] = [clip(-x / k, this.size.w), clip(-y / k, this.size.h)];
    context.strokeRect(left, top, clip((w - x) / k, this.size.w) - left, clip((h - y) / k, this.size.h) - top);
  }
}
