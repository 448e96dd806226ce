// Layouts are made in a worker, or here where there is none; of several for one view only the latest counts.
const placer = {
  asked: new Map(),
  number: 0,
  ask(task, view, done) {
    const id = ++this.number;
    view.latest = id;
    this.asked.set(id, { task, view, done });
    const worker = this.worker();
    if (worker) worker.postMessage({ id, task });
    else this.answer(id, layout(task.tree, task.edges, task.isDown));
  },
  answer(id, placed) {
    const { view, done } = this.asked.get(id);
    this.asked.delete(id);
    if (view.latest === id) done(placed);
  },
  worker() {
    if (this.made !== undefined) return this.made;
    try {
      const url = URL.createObjectURL(new Blob([`${SOURCE}\nexplorerGraph().work(self);`], { type: "text/javascript" }));
      this.made = new Worker(url);
      this.made.onmessage = ({ data }) => this.answer(data.id, data.placed);
      this.made.onerror = () => this.fail();
    } catch {
      this.made = null;
    }
    return this.made;
  },
  fail() {
    this.made = null;
    this.asked.forEach(({ task }, id) => this.answer(id, layout(task.tree, task.edges, task.isDown)));
  },
};

// The worker's own loop.
function work(self) {
  self.onmessage = ({ data: { id, task } }) => self.postMessage({ id, placed: layout(task.tree, task.edges, task.isDown) });
}
