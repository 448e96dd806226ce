const kit = new Function("SOURCE", "STYLE", `${SOURCE}\nreturn explorerGraph(SOURCE, STYLE);`)(SOURCE, STYLE);

export default function ({ data, parentElement, setStateValue, setTriggerValue }) {
  const root = parentElement.querySelector(".root");
  root.style.setProperty("--height", data.height);
  if (data.tall) kit.fillWindow(root);
  return kit.mount(data.graph, root, {
    pick: (layer) => data.live && setTriggerValue("picked", layer),
    figure: data.figures && ((form, request) => setTriggerValue("figure", { form, request })),
    fold: (text) => setStateValue("fold", text),
    refuse: (text) => setTriggerValue("refused", text),
  });
}
