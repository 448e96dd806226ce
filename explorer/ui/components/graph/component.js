const kit = new Function("SOURCE", `${SOURCE}\nreturn explorerGraph(SOURCE);`)(SOURCE);

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const root = parentElement.querySelector(".root");
  root.style.setProperty("--height", data.height);
  return kit.mount(data.graph, root, {
    pick: (layer) => data.live && setTriggerValue("picked", layer),
    fold: (text) => setStateValue("fold", text),
  });
}
