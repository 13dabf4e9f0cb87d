/* The memory timeline: every arena buffer as a box over the steps of its life at its place; the bytes alive as a line; the peak.
   Assumes openProgram's from, to and role of buffers; segments stand beside each other, each with an arena of its own. */
"use strict";

const ROLES = [["forward", "forward"], ["kept", "kept for backward"], ["backward", "backward"]];
const timeline = { left: 64, right: 12, top: 18, bottom: 22, boxes: [], hover: null };

function drawLegend(view) {
  const used = new Set(view.P.buffers.map(q => q.role));
  $("#legend").replaceChildren(...ROLES.filter(r => used.has(r[0])).map(r => h("span", { class: "key" },
    h("i", { class: "box " + r[0] }), r[1])),
    h("span", { class: "key" }, h("i", { class: "curve" }), "bytes alive"));
}

function layoutMemory(view) {
  const canvas = $("#memory canvas"), ratio = window.devicePixelRatio || 1, w = canvas.clientWidth, H = canvas.clientHeight,
    t = timeline, P = view.P;
  canvas.width = Math.round(w * ratio);
  canvas.height = Math.round(H * ratio);
  const bytes = P.peak || 1, n = Math.max(1, P.steps.length);
  t.x = i => t.left + (w - t.left - t.right) * i / n;
  t.y = b => H - t.bottom - (H - t.top - t.bottom) * b / bytes;
  t.w = w;
  t.h = H;
  t.step = px => Math.floor((px - t.left) / (w - t.left - t.right) * n);
  t.boxes = P.buffers.filter(q => q.from !== undefined).map(q => {
    const x0 = t.x(q.from), y0 = t.y(4 * q.b.offset + bufferBytes(q.b));
    return { q, x: x0, y: y0, w: Math.max(0.6, t.x(q.to + 1) - x0), h: Math.max(0.6, t.y(4 * q.b.offset) - y0) };
  });
  const g = canvas.getContext("2d");
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  return g;
}

/* 1, 2 or 5 times a power of ten, about `wanted` of them. */
function niceStep(range, wanted) {
  const raw = range / wanted, ten = 10 ** Math.floor(Math.log10(raw));
  return ten * [1, 2, 5, 10].find(m => m * ten >= raw);
}

function drawMemory(view) {
  const g = layoutMemory(view), t = timeline, P = view.P, css = getComputedStyle(document.documentElement),
    colour = name => css.getPropertyValue("--" + name).trim();
  g.clearRect(0, 0, t.w, t.h);
  g.font = "11px system-ui, sans-serif";
  g.textBaseline = "middle";
  const empty = !t.boxes.length;
  $("#memory-note").textContent = empty ? "this program has no buffers of its own" :
    `${t.boxes.length} buffers over ${P.steps.length} steps; peak ${showBytes(P.top.live[P.top.top])} alive ` +
    `at #${P.top.base + P.top.top}, arena ${showBytes(P.peak)}`;
  if (empty) return;
  g.lineWidth = 1;
  for (let b = 0, by = niceStep(P.peak, 4); b <= P.peak * 1.001; b += by) {
    g.fillStyle = colour("line");
    g.fillRect(t.left, Math.round(t.y(b)), t.w - t.left - t.right, 1);
    g.fillStyle = colour("dim");
    g.textAlign = "right";
    g.fillText(b ? showBytes(b).replace(/\.0+ /, " ") : "0", t.left - 8, t.y(b));
  }
  g.textAlign = "center";
  for (let i = 0, by = niceStep(P.steps.length, 12) || 1; i < P.steps.length;
    i += Math.max(1, by)) { g.fillStyle = colour("dim"); g.fillText("#" + i, Math.max(t.x(i), t.left + 8), t.h - 9); }
  const back = P.steps.findIndex(s => s.backward);
  const mine = view.step ? new Set(view.step.buffers) : null;
  for (const box of t.boxes) {
    const on = mine && mine.has(box.q) && box.q.from <= view.step.n && view.step.n <= box.q.to;
    g.globalAlpha = mine ? (on ? 1 : 0.4) : 0.8;
    g.fillStyle = on ? colour("accent") : colour("m-" + box.q.role);
    g.fillRect(box.x, box.y, box.w, box.h);
    if (box.h > 3 && box.w > 3) { g.globalAlpha *= 0.9; g.strokeStyle = colour("pane"); g.lineWidth = 0.5;
      g.strokeRect(box.x, box.y, box.w, box.h); }
  }
  g.globalAlpha = 1;
  for (const S of P.segments) {
    g.strokeStyle = colour("text");
    g.lineWidth = 1.2;
    g.beginPath();
    S.live.forEach((b, i) => { g.lineTo(t.x(S.base + i), t.y(b)); g.lineTo(t.x(S.base + i + 1), t.y(b)); });
    g.stroke();
    if (Math.min(t.x(S.base) - t.left, t.x(P.steps.length) - t.x(S.base)) > 24) { g.fillStyle = colour("dim");
      g.fillRect(Math.round(t.x(S.base)), t.top, 1, t.h - t.top - t.bottom); }
  }
  g.textAlign = "left";
  g.fillStyle = colour("dim");
  if (P.segments.length > 1) for (const S of P.segments)
    if (t.x(S.base + S.n) - t.x(S.base) > 90) g.fillText(S.name + (S.each ? ` for each of ${S.each}` : ""), t.x(S.base) + 5,
      t.top - 7);
  const label = (step, text, y, name, dash) => {
    const x = t.x(step + 0.5), right = x > t.w * 0.75;
    g.strokeStyle = g.fillStyle = colour(name);
    g.setLineDash(dash);
    g.beginPath(); g.moveTo(x, t.top - 6); g.lineTo(x, t.h - t.bottom); g.stroke();
    g.setLineDash([]);
    const width = g.measureText(text).width;
    g.globalAlpha = 0.85; g.fillStyle = colour("pane"); g.fillRect(right ? x - 8 - width : x + 3, y - 7, width + 5, 14);
      g.globalAlpha = 1;
    g.fillStyle = colour(name);
    g.textAlign = right ? "right" : "left";
    g.fillText(text, right ? x - 5 : x + 5, y);
  };
  if (back > 0) label(back - 0.5, "backward begins", t.top + 12, "dim", [2, 3]);
  label(P.top.base + P.top.top, "peak " + showBytes(P.top.live[P.top.top]), t.top - 4, "peak", [4, 3]);
  g.fillStyle = colour("accent");
  if (view.marked.size && !view.step) for (const s of view.marked) g.fillRect(t.x(s.n), t.h - t.bottom + 1,
    Math.max(1.5, t.x(s.n + 1) - t.x(s.n)), 5);
  if (view.step) label(view.step.n, "#" + view.step.n, t.h - t.bottom - 10, "accent", []);
  if (t.hover) { g.strokeStyle = colour("text"); g.lineWidth = 1.5; g.strokeRect(t.hover.x, t.hover.y, t.hover.w, t.hover.h); }
}

/* The smallest box under the pointer, with a margin for thin ones. */
function boxAt(x, y) {
  let best = null;
  for (const b of timeline.boxes)
    if (x >= b.x - 1 && x <= b.x + b.w + 1 && y >= b.y - 1 && y <= b.y + b.h + 1 &&
      (!best || b.w * b.h < best.w * best.h)) best = b;
  return best;
}
function tipFor(box) {
  const { q } = box, n = q.node, by = q.steps[0];
  return [h("b", {}, q.b.name), ` ${showBytes(bufferBytes(q.b))}`, h("br"), n ? `${n.op} ${n.shape}` : "", n ? h("br") : null,
    n && n.path ? [n.path, h("br")] : null,
    `steps #${q.from} to #${q.to}, written by ${by.k.stem}`, h("br"), h("span", { class: "dim" }, q.role === "kept" ?
      "kept for the backward pass" : q.role)].flat();
}
function hoverMemory(view, event) {
  const r = $("#memory canvas").getBoundingClientRect(), box = boxAt(event.clientX - r.left, event.clientY - r.top),
    tip = $("#tip");
  if (box !== timeline.hover) {
    timeline.hover = box;
    drawMemory(view);
  }
  tip.hidden = !box;
  if (!box) return;
  tip.replaceChildren(...tipFor(box).filter(Boolean));
  tip.style.left = Math.max(8, Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8)) + "px";
  tip.style.top = Math.max(8, event.clientY - tip.offsetHeight - 12) + "px";
}
