/* What the page checks of itself when opened with #selftest: clicks and keys are made, the marks that must follow are counted.
   Assumes a plan with a program that has kernels; the result is the text of #selftest and the title. */
"use strict";

function selfTest() {
  const failed = [];
  let done = 0;
  const check = (what, good) => { done++; if (!good) failed.push(what); };
  const press = key => document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  const click = e => e && e.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
  const onLines = () => [...document.querySelectorAll("#source .line.on")].map(e => e.dataset.line);
  const rows = selector => [...document.querySelectorAll("#kernels tbody " + selector)].map(e => e.step);
  window.addEventListener("error", e => failed.push("error: " + e.message));
  try {
    const P = () => view.P;
    check("every launch has a row", rows("tr").length === P().steps.length && P().steps.length > 0);
    check("every kernel has its text", PLAN.kernels.every(k => (DATA.kernels[k.file] || "").includes(k.name)));
    for (const k of PLAN.kernels) kernelInfo(k);
    check("every launch's slots are declared in its kernel's text",
      P().steps.every(s => s.slots.length && s.slots.every(x => x)));
    check("every launch reads and writes as its text says", P().steps.every(s => s.slots.some(x => x?.writes) &&
      s.buffers.every((q, i) => !s.slots[i]?.writes || !["input", "param"].includes(q.b.kind))));
    check("every arena buffer is written first", P().buffers.every(q => q.from === undefined ||
      P().steps[q.from].slots[P().steps[q.from].buffers.indexOf(q)]?.writes));
    check("a launch's slots are its kernel's, once for each instance", P().steps.every(s =>
      s.slots.length === s.instances * s.k.slots.filter(x => x).length));
    check("launches sum up to the program", P().steps.reduce((a, s) => a + s.flops, 0) === P().flops &&
      P().steps.reduce((a, s) => a + s.bytes, 0) === P().bytes);
    check("every source line is shown", [...P().lines.keys()].every(l => FILES.some(f => l.startsWith(f.name + ":") &&
      +l.slice(f.name.length + 1) <= f.lines.length)));
    check("every node but parameters, inputs and constants has a kernel",
      P().segments.every(S => [...S.graph.nodes.values()].every(n => n.steps.length ||
      ["param", "input", "const"].includes(n.op))));
    check("every node of a launch is in the graph", P().steps.every(s => s.nodes.length === s.s.nodes.length));
    check("peak within the arena", P().segments.every(S => !S.n || S.live[S.top] <= S.peak));
    check("no overlap in memory", !P().buffers.some((a, i) => a.from !== undefined && P().buffers.some((b, j) => j > i &&
      b.from !== undefined && b.S === a.S && a.from <= b.to &&
      b.from <= a.to && 4 * a.b.offset < 4 * b.b.offset + bufferBytes(b.b) &&
      4 * b.b.offset < 4 * a.b.offset + bufferBytes(a.b))));

    check("lines have kernels", P().lines.size > 0);
    const line = [...P().lines].find(([, v]) => v.some(s => s.backward) && v.some(s => !s.backward)) || [...P().lines][0] ||
      ["", []];
    click(document.querySelector(`#source .line[data-line="${CSS.escape(line[0])}"]`));
    check("a line marks its kernels", rows("tr.mark").length === line[1].length && onLines().join() === line[0]);
    check("a line names its kernels", document.querySelector("#detail-title").textContent === line[0]);
    press("Escape");
    check("escape clears", !rows("tr.mark").length && !onLines().length);

    const last = P().steps.reduce((a, s) => s.s.source.length > a.s.source.length ? s : a);
    click(last.row);
    check("a kernel marks its lines", onLines().sort().join() === [...last.s.source].sort().join());
    check("a kernel shows its text", document.querySelector("#detail pre.code").textContent === DATA.kernels[last.k.file]);
    check("a kernel lists its buffers", document.querySelectorAll("#detail .buffers tr:not(.instance)").length ===
      last.buffers.length);
    check("a kernel marks its nodes", [...document.querySelectorAll("#graph .node.on")].some(e => e.node.steps.includes(last)));
    press("ArrowUp");
    check("arrow goes to the kernel before", view.step === P().steps[Math.max(0, last.n - 1)] && rows("tr.on").length === 1);
    press("ArrowDown");

    const node = [...document.querySelectorAll("#graph .node")].find(e => e.node.steps.length);
    click(node);
    check("a node marks its kernel", view.step === node.node.steps[0] && rows("tr.on").length === 1);
    const group = document.querySelector("#graph .group"), before = document.querySelectorAll("#graph .scroll > div").length;
    click(group);
    check("a group opens or closes", document.querySelectorAll("#graph .scroll > div").length !== before);
    click(group);

    press("/");
    check("slash goes to the search", document.activeElement === document.querySelector("#search"));
    search(P().steps[0].k.name);
    check("search finds the kernel", rows("tr").length > 0 && rows("tr").every(s => s.words.includes(P().steps[0].k.name)));
    search("no such kernel anywhere");
    check("search finds nothing", rows("tr").length === 0);
    search("");
    document.activeElement.blur();

    const box = timeline.boxes[0], total = view.total;
    if (box) {
      const r = $("#memory canvas").getBoundingClientRect();
      $("#memory canvas").dispatchEvent(new MouseEvent("mousemove", { clientX: r.left + box.x + box.w / 2,
        clientY: r.top + box.y + box.h / 2, bubbles: true }));
      const tip = $("#tip").getBoundingClientRect();
      check("the tip is shown inside the window", !$("#tip").hidden && tip.left >= 0 && tip.right <= window.innerWidth &&
        tip.top >= 0 && tip.bottom <= window.innerHeight);
      check("the tip names the buffer under the pointer", $("#tip").textContent.includes(timeline.hover.q.b.name));
      $("#memory canvas").dispatchEvent(new MouseEvent("mouseleave"));
    }
    check("a box names its buffer", !box || tipFor(box).some(x => x && x.textContent === box.q.b.name));
    DATA.devices.forEach((d, i) => {
      $("#device").value = String(i);
      $("#device").dispatchEvent(new Event("change"));
      check("a time on " + d.what, view.total > 0 && Number.isFinite(view.total) && (i === 0) === (view.total === total));
    });
    for (const p of PLAN.programs) { openNamed(p.name); check("program " + p.name + " opens", P().name === p.name); }
    for (const theme of ["dark", "light"]) {
      setTheme(theme);
      check(theme + " is set", getComputedStyle(document.body).backgroundColor !== "");
    }
    check("no horizontal scroll", document.documentElement.scrollWidth <= window.innerWidth &&
      document.documentElement.scrollHeight <= window.innerHeight);
    check("no markup from the model", !document.querySelector("#source img, #detail img, #kernels img, #graph img"));
  } catch (e) {
    failed.push("error: " + String(e.stack).replace(/\s+/g, " "));
  }
  const text = failed.length ? `failed: ${failed.join("; ")}` : `passed ${done} at ${window.innerWidth}`;
  document.body.append(h("pre", { id: "selftest", hidden: "" }, text));
  document.title = text;
}
