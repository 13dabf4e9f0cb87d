/* The view: which program, device, launch, line or node is chosen; clicks and keys; every change goes through choose().
   Assumes the other scripts. The address may name what is shown: #program=grad&line=std/nn.dsl:20, #step=7, #theme=dark. */
"use strict";

const view = { P: null, device: null, step: null, line: null, node: null, marked: new Set(), query: "", only: false,
  sort: { key: "n", down: false }, total: 0 };

function setTimes() {
  view.total = 0;
  for (const s of view.P.steps) view.total += s.time = timeOn(view.device, s);
}
function drawTotals() {
  const P = view.P;
  $("#totals").replaceChildren(...[["launches", P.steps.length.toLocaleString("en")], ["arithmetic", showFlops(P.flops)],
    ["moved", showBytes(P.bytes)], ["peak", showBytes(P.peak)],
    ["predicted", showTime(view.total)]].map(([k, v]) => h("div", {}, h("dt", {}, k), h("dd", {}, v))));
}
function drawAll() {
  setTimes();
  drawTotals();
  drawSource(view);
  drawGraph(view);
  drawKernels(view);
  drawLegend(view);
}
function openNamed(name) {
  const program = PLAN.programs.find(p => p.name === name);
  view.P = openProgram(program);
  drawAll();
  choose({});
  reveal(pane("source").querySelector(".line.live"), pane("source"));
}

/* One thing is chosen at a time: {step}, {line}, {node} or nothing. Marks follow in every pane; `from`: the pane
   that need not scroll. */
function choose({ step = null, line = null, node = null, from = "" }) {
  if (node) step = node.steps[0] || null;
  view.step = step;
  view.line = line;
  view.node = node;
  view.marked = new Set(line ? view.P.lines.get(line) || [] : node ? node.steps : step ?
    view.P.steps.filter(s => s.k === step.k) : []);
  markSource(view, from !== "source");
  markGraph(view, from !== "graph");
  if (step && !view.shown.includes(step)) search("");
  markKernels(view, from !== "kernels");
  drawDetail(view);
  drawMemory(view);
}
function search(text) {
  view.query = text;
  if ($("#search").value !== text) $("#search").value = text;
  drawKernels(view);
  markKernels(view, false);
}
function move(by) {
  const at = view.shown.indexOf(view.step), list = view.line ? view.shown.filter(s => view.marked.has(s)) : view.shown;
  const step = at < 0 ? list[by > 0 ? 0 : list.length - 1] : view.shown[Math.max(0, Math.min(view.shown.length - 1, at + by))];
  if (step) choose({ step });
}
/* Follows the system until one is chosen. */
let chosenTheme = "";
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => document.documentElement.dataset.theme === "dark";
function setTheme(name) {
  chosenTheme = name || "";
  document.documentElement.dataset.theme = name || (systemDark.matches ? "dark" : "light");
  $("#theme").textContent = isDark() ? "light" : "dark";
  if (view.P) drawMemory(view);
}

function onClick(event) {
  const at = selector => event.target.closest(selector);
  if (window.getSelection && String(window.getSelection()).length > 1 && at("pre, code")) return;
  const go = at("[data-go-step], [data-go-line], [data-go-search]"), group = at(".group"), node = at(".node"),
    line = at(".line"), row = at("#kernels tbody tr"), head = at("#kernels th[data-key]");
  if (go && go.dataset.goStep) choose({ step: view.P.steps[+go.dataset.goStep] });
  else if (go && go.dataset.goLine) choose({ line: go.dataset.goLine });
  else if (go) search(go.dataset.goSearch);
  else if (group) { toggleGroup(view, group.group); markGraph(view, false); }
  else if (node) choose({ node: node.node, from: "graph" });
  else if (line) choose(view.line === line.dataset.line ? {} : { line: line.dataset.line, from: "source" });
  else if (row) choose(view.step === row.step ? {} : { step: row.step, from: "kernels" });
  else if (head) {
    const key = head.dataset.key;
    view.sort = { key, down: view.sort.key === key ? !view.sort.down : key !== "n" && key !== "kernel" };
    drawKernels(view);
    markKernels(view, true);
  } else if (at("#clear")) choose({});
  else if (at("#fold")) { drawGraph(view); markGraph(view, false); }
  else if (at("#theme")) setTheme(isDark() ? "light" : "dark");
  else if (at("#memory canvas")) {
    const r = event.target.getBoundingClientRect(), box = boxAt(event.clientX - r.left, event.clientY - r.top),
      step = box ? view.P.steps[box.q.from] : view.P.steps[timeline.step(event.clientX - r.left)];
    if (step) choose({ step });
  }
}
function onKey(event) {
  const typing = event.target.matches("input, select"), key = event.key;
  if (key === "Escape") { if (typing) { event.target.blur(); if (event.target.id === "search") search(""); } else choose({}); }
  else if (key === "Enter" && event.target.id === "search") { event.target.blur();
    if (view.shown.length) choose({ step: view.shown[0] }); }
  else if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  else if (key === "/") $("#search").focus();
  else if (key === "ArrowDown" || key === "ArrowRight") move(1);
  else if (key === "ArrowUp" || key === "ArrowLeft") move(-1);
  else if (key === "PageDown") move(20);
  else if (key === "PageUp") move(-20);
  else return;
  event.preventDefault();
}

function start() {
  const programs = PLAN.programs.filter(p => p.segments.some(s => s.same_as || s.steps.length));
  document.title = `${PLAN.model} – ectc report`;
  $("#model").textContent = PLAN.model;
  $("#made").textContent = `plan of ectc ${PLAN.ectc}, batch ${PLAN.batch}`;
  $("#program").append(...(programs.length ? programs : PLAN.programs).map(p => h("option", { value: p.name }, p.name)));
  $("#device").append(...DATA.devices.map((d, i) => h("option", { value: String(i) }, d.what)));
  const first = programs.find(p => p.name === "train_step") || programs[0] || PLAN.programs[0];
  view.device = DATA.devices[0];
  $("#program").value = first.name;
  $("#program").addEventListener("change", e => { e.target.blur(); openNamed(e.target.value); });
  $("#device").addEventListener("change", e => {
    const { step, line, node } = view;
    e.target.blur();
    view.device = DATA.devices[+e.target.value];
    drawAll();
    choose({ step, line, node });
  });
  $("#search").addEventListener("input", e => search(e.target.value));
  document.addEventListener("click", onClick);
  document.addEventListener("keydown", onKey);
  const canvas = $("#memory canvas");
  canvas.addEventListener("mousemove", e => hoverMemory(view, e));
  canvas.addEventListener("mouseleave", () => { timeline.hover = null; $("#tip").hidden = true; drawMemory(view); });
  window.addEventListener("resize", () => drawMemory(view));
  systemDark.addEventListener("change", () => setTheme(chosenTheme));
  const asked = new URLSearchParams(location.hash.slice(1));
  setTheme(asked.get("theme"));
  if (programs.some(p => p.name === asked.get("program"))) $("#program").value = asked.get("program");
  openNamed($("#program").value);
  if (view.P.steps[asked.get("step") || -1]) choose({ step: view.P.steps[asked.get("step")] });
  else if (asked.has("line")) choose({ line: asked.get("line") });
  if (asked.has("selftest")) selfTest();
}
start();
