"use strict";
/* Thousands of points as one picture below a Plotly figure, instead of an SVG element each. Plotly draws axes, legend and
   the outermost points, which set the axes' ranges; the others follow its axes through zooming, panning and resizing. */
const cloudOf = (() => {
  const near = 12; /* pixels from which a point counts as pointed at */

  const outermost = (trace) => {
    const kept = new Set();
    for (const values of [trace.x, trace.y]) {
      let low = 0, high = 0;
      values.forEach((value, index) => {
        if (value < values[low]) low = index;
        if (value > values[high]) high = index;
      });
      kept.add(low).add(high);
    }
    return [...kept];
  };

  /* The trace as Plotly gets it. */
  const reduced = (trace) => {
    const kept = outermost(trace);
    const of = (values) => kept.map((index) => values[index]);
    return { ...trace, x: of(trace.x), y: of(trace.y), customdata: of(trace.customdata) };
  };

  const mark = (context, symbol, x, y, radius) => {
    if (symbol.startsWith("x-thin")) {
      context.moveTo(x - radius, y - radius);
      context.lineTo(x + radius, y + radius);
      context.moveTo(x + radius, y - radius);
      context.lineTo(x - radius, y + radius);
    } else {
      context.moveTo(x + radius, y);
      context.arc(x, y, radius, 0, 2 * Math.PI);
    }
  };

  /* Draw traces below the figure in `plot`; `point` is called with what is pointed at, `text` says it in lines. */
  return { reduced, attach: (plot, { point, text }) => {
    const canvas = document.createElement("canvas");
    const tip = document.createElement("div");
    canvas.className = "cloud";
    tip.className = "tip";
    tip.hidden = true;
    plot.before(canvas);
    plot.after(tip);
    let traces = [], places = [];

    const draw = () => {
      const { xaxis, yaxis, width, height } = plot._fullLayout;
      const scale = window.devicePixelRatio || 1;
      canvas.width = Math.round(scale * width);
      canvas.height = Math.round(scale * height);
      canvas.style.width = `${width}px`;
      canvas.style.height = `${height}px`;
      const context = canvas.getContext("2d");
      context.scale(scale, scale);
      context.beginPath();
      context.rect(xaxis._offset, yaxis._offset, xaxis._length, yaxis._length);
      context.clip();
      places = [];
      traces.forEach((trace) => {
        if (plot._fullData.find((one) => one.name === trace.name)?.visible !== true) return;
        const { color, size, symbol } = trace.marker;
        context.beginPath();
        trace.x.forEach((value, index) => {
          const x = xaxis._offset + xaxis.d2p(value), y = yaxis._offset + yaxis.d2p(trace.y[index]);
          mark(context, symbol, x, y, size / 2);
          places.push([x, y, trace.customdata[index]]);
        });
        context.fillStyle = context.strokeStyle = color;
        if (symbol.startsWith("x-thin")) context.stroke();
        else context.fill();
      });
      canvas.dataset.points = String(places.length);
    };

    const at = (event) => {
      const frame = plot.getBoundingClientRect();
      const x = event.clientX - frame.left, y = event.clientY - frame.top;
      let found = null, least = near * near;
      for (const place of places) {
        const apart = (place[0] - x) ** 2 + (place[1] - y) ** 2;
        if (apart < least) [found, least] = [place, apart];
      }
      return found;
    };
    const told = (event) => {
      const found = plot.querySelector(".hoverlayer > .hovertext") ? null : at(event);
      tip.hidden = !found;
      if (!found) return;
      tip.replaceChildren(...text(found[2]).map((line) => {
        const row = document.createElement("div");
        row.textContent = line;
        return row;
      }));
      tip.style.left = `${Math.min(found[0] + near, plot.clientWidth - tip.offsetWidth)}px`;
      tip.style.top = `${found[1] + near}px`;
      point(found[2]);
    };
    plot.addEventListener("mousemove", told);
    plot.addEventListener("click", told);
    plot.addEventListener("mouseleave", () => { tip.hidden = true; });
    for (const event of ["plotly_afterplot", "plotly_relayouting"]) plot.on(event, draw);
    return (wanted) => { traces = wanted; draw(); };
  } };
})();
