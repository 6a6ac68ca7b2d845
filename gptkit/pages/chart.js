"use strict";
// What a page does beyond showing: curves can be zoomed (drag, double-click to go back) and read
// (values under the pointer). It reads everything from the picture; it asks nothing of the network.
(() => {
  const BOX = 10000, MARGIN = 0.04;

  const label = (value, unit, suffix, decimals) =>
    (value / unit).toLocaleString("en-US",
      { minimumFractionDigits: decimals, maximumFractionDigits: decimals }) + suffix;

  // Round values between low and high, as scale.py chooses them.
  function ticks(low, high, whole = false, about = 5) {
    const raw = (high - low) / about;
    const power = 10 ** Math.floor(Math.log10(raw));
    const round = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.7) ?? raw;
    const step = whole ? Math.max(round, 1) : round;
    const largest = Math.max(Math.abs(low), Math.abs(high));
    const [unit, suffix] = [[1e12, "T"], [1e9, "G"], [1e6, "M"]].find(([u]) => largest >= u) ?? [1, ""];
    const decimals = Math.min(12, Math.max(0, -Math.floor(Math.log10(step / unit) + 1e-9)));
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i <= Math.floor(high / step + 1e-9); i++) {
      found.push([i * step, label(i * step, unit, suffix, decimals)]);
    }
    return found;
  }

  // Places between two powers of ten; where they are close, round values rather than round factors.
  function logTicks(low, high) {
    const leading = high - low <= 2 ? [1, 2, 5] : [1];
    const found = [];
    for (let decade = Math.floor(low); decade <= Math.ceil(high); decade++) {
      for (const m of leading) {
        const place = decade + Math.log10(m);
        if (place >= low && place <= high) found.push([place, String(Number(`${m}e${decade}`))]);
      }
    }
    if (found.length > 1) return found;
    return ticks(10 ** low, 10 ** high).map(([value, text]) => [Math.log10(value), text]);
  }

  function figure(value) {
    return Number(value.toPrecision(5)).toLocaleString("en-US", { maximumSignificantDigits: 5 });
  }

  function span(text, className, style) {
    const made = document.createElement("span");
    made.textContent = text;
    made.className = className;
    Object.assign(made.style, style);
    return made;
  }

  class Chart {
    constructor(root) {
      const number = (name) => Number(root.dataset[name]);
      this.root = root;
      this.frame = root.querySelector(".frame");
      this.svg = root.querySelector("svg");
      this.x0 = number("x0"); this.x1 = number("x1");
      this.y0 = number("y0"); this.y1 = number("y1");
      this.isLog = "log" in root.dataset;
      this.isWhole = "whole" in root.dataset;
      this.series = [...root.querySelectorAll(".series")].map((group) => ({
        name: group.dataset.name,
        color: group.classList[1],
        faint: group.querySelector(".faint") !== null,
        points: group.querySelector("polyline").getAttribute("points").split(" ")
          .map((point) => point.split(",").map(Number)),
      }));
      this.levels = [...root.querySelectorAll(".level-name")];
      this.view = [0, 0, BOX, BOX];
      this.placeLevels();
      this.frame.addEventListener("pointermove", (event) => this.move(event));
      this.frame.addEventListener("pointerleave", () => this.clear());
      this.frame.addEventListener("pointerdown", (event) => this.press(event));
      this.frame.addEventListener("pointerup", (event) => this.release(event));
      this.frame.addEventListener("pointercancel", () => { this.from = null; this.clear(); });
      this.frame.addEventListener("dblclick", () => this.zoom(null));
    }

    valueX(place) { return this.x0 + place / BOX * (this.x1 - this.x0); }
    valueY(place) { return this.y1 - place / BOX * (this.y1 - this.y0); }

    // The place in the box under an event, along x.
    placeOf(event) {
      const box = this.frame.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      return this.view[0] + share * this.view[2];
    }

    percent(place) { return `${(place - this.view[0]) / this.view[2] * 100}%`; }

    press(event) {
      if (event.button !== 0 || event.target.closest("button")) return;
      this.from = this.placeOf(event);
      this.frame.setPointerCapture(event.pointerId);
    }

    release(event) {
      if (this.from == null) return;
      const ends = [this.from, this.placeOf(event)].sort((a, b) => a - b);
      this.from = null;
      this.clear();
      if ((ends[1] - ends[0]) / this.view[2] > 0.02) this.zoom(ends);
    }

    zoom(ends) {
      if (ends === null) {
        this.view = [0, 0, BOX, BOX];
      } else {
        const seen = this.series.flatMap((one) => one.points)
          .filter(([x]) => x >= ends[0] && x <= ends[1]).map(([, y]) => y);
        if (seen.length < 2) return;
        let top = seen[0], bottom = seen[0];
        for (const y of seen) { top = Math.min(top, y); bottom = Math.max(bottom, y); }
        const room = Math.max((bottom - top) * MARGIN, BOX * 1e-4);
        this.view = [ends[0], top - room, ends[1] - ends[0], bottom - top + 2 * room];
      }
      this.svg.setAttribute("viewBox", this.view.join(" "));
      this.redrawAxes();
      this.placeLevels();
      this.offerReset(ends !== null);
    }

    redrawAxes() {
      const [x, y, w, h] = this.view;
      const [low, high] = [this.valueX(x), this.valueX(x + w)];
      const across = this.isLog ? logTicks(low, high) : ticks(low, high, this.isWhole);
      const up = ticks(this.valueY(y + h), this.valueY(y));
      const placeX = (value) => (value - this.x0) / (this.x1 - this.x0) * BOX;
      const placeY = (value) => (this.y1 - value) / (this.y1 - this.y0) * BOX;
      const lines = across.map(([value]) => `M${placeX(value)} ${y}v${h}`)
        .concat(up.map(([value]) => `M${x} ${placeY(value)}h${w}`));
      this.svg.querySelector(".grid").setAttribute("d", lines.join(""));
      for (const old of this.frame.querySelectorAll(".tick")) old.remove();
      for (const [value, text] of across) {
        this.frame.append(span(text, "tick x", { left: `${(placeX(value) - x) / w * 100}%` }));
      }
      for (const [value, text] of up) {
        this.frame.append(span(text, "tick y", { top: `${(placeY(value) - y) / h * 100}%` }));
      }
    }

    // Names of levels that would lie on each other move apart, from the top down.
    placeLevels() {
      const height = this.frame.clientHeight;
      let last = -Infinity;
      const sorted = this.levels.sort((a, b) => a.dataset.at - b.dataset.at);
      for (const name of sorted) {
        const share = (Number(name.dataset.at) - this.view[1]) / this.view[3];
        name.hidden = share < 0 || share > 1;
        if (name.hidden) continue;
        const top = Math.max(share * height, last + 16);
        name.style.top = `${top}px`;
        last = top;
      }
    }

    offerReset(zoomed) {
      this.root.querySelector(".unzoom")?.remove();
      if (!zoomed) return;
      const button = document.createElement("button");
      button.className = "unzoom";
      button.textContent = "show all";
      button.addEventListener("click", () => this.zoom(null));
      this.root.append(button);
    }

    clear() {
      for (const old of this.frame.querySelectorAll(".cross, .tip, .band")) old.remove();
    }

    move(event) {
      this.clear();
      const place = this.placeOf(event);
      if (this.from != null) {
        const [low, high] = [this.from, place].sort((a, b) => a - b);
        this.frame.append(span("", "band",
          { left: this.percent(low), width: `${(high - low) / this.view[2] * 100}%` }));
      }
      const found = this.series.filter((one) => !one.faint)
        .map((one) => ({ ...one, point: nearest(one.points, place) }));
      if (!found.length) return;
      const at = found.map((one) => one.point[0])
        .reduce((a, b) => Math.abs(b - place) < Math.abs(a - place) ? b : a);
      this.frame.append(span("", "cross", { left: this.percent(at) }));
      const tip = document.createElement("div");
      tip.className = "tip";
      const x = this.isLog ? 10 ** this.valueX(at) : this.valueX(at);
      tip.append(span(`${this.root.dataset.xName} ${Math.abs(x) > 50 ? Math.round(x).toLocaleString("en-US") : figure(x)}`, ""));
      for (const one of found) {
        tip.append(document.createElement("br"),
          span(`${one.name} ${figure(this.valueY(one.point[1]))}`, `key ${one.color}`));
      }
      this.frame.append(tip);
      const right = (at - this.view[0]) / this.view[2] > 0.5;
      tip.style[right ? "right" : "left"] = right
        ? `calc(100% - ${this.percent(at)} + 0.6rem)` : `calc(${this.percent(at)} + 0.6rem)`;
    }
  }

  // The point whose x is closest; points are sorted by x.
  function nearest(points, place) {
    let low = 0, high = points.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (points[middle][0] < place) low = middle; else high = middle;
    }
    return place - points[low][0] < points[high][0] - place ? points[low] : points[high];
  }

  // The two tokens under the pointer on a map of attention.
  function readMap(root) {
    const image = root.querySelector("img");
    const labels = JSON.parse(image.dataset.labels);
    image.addEventListener("pointermove", (event) => {
      const place = (share) => labels[Math.min(labels.length - 1, Math.floor(share * labels.length))];
      const box = image.getBoundingClientRect();
      const query = place((event.clientY - box.top) / box.height);
      const key = place((event.clientX - box.left) / box.width);
      root.querySelector(".tip")?.remove();
      root.append(span(`${query} looks at ${key}`, "tip"));
    });
    image.addEventListener("pointerleave", () => root.querySelector(".tip")?.remove());
  }

  for (const root of document.querySelectorAll(".chart")) new Chart(root);
  for (const root of document.querySelectorAll(".map")) readMap(root);
  window.addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });
})();
