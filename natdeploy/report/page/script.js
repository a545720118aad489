"use strict";
(() => {
  const report = JSON.parse(document.getElementById("report-data").textContent);
  const touch = matchMedia("(pointer: coarse)").matches;
  const narrow = matchMedia("(max-width: 40rem)");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const panel = document.getElementById("model");

  const many = 500; /* points from which a trace is drawn as a picture */

  const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;
  const ms = (value) => (value >= 0.001 ? value.toPrecision(3) : value.toFixed(6));
  const millions = (count) => `${(count / 1e6).toFixed(2)} M`;

  /* Colours are written @name in the figures and come from the style sheet, so that they follow the theme. */
  const themed = (value, style) => {
    if (typeof value === "string" && value.startsWith("@")) {
      return style.getPropertyValue(`--${value.slice(1)}`).trim();
    }
    if (Array.isArray(value)) return value.map((item) => themed(item, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, themed(item, style)]));
    }
    return value;
  };

  const blockText = (stages) =>
    stages.map((stage, index) => `stage ${index + 1}: ` + stage.map(([k, e]) => `${k}×${k} e${e}`).join(", "));

  const top1 = (model) =>
    model.predicted
      ? `top-1 ${percent(model.top1)}, predicted, not measured`
      : `top-1 ${percent(model.top1)} on ${model.images} validation images`;

  const told = (id) => {
    const model = report.models[id];
    return [
      model.name,
      top1(model),
      `${ms(model.ms[0])} ms predicted (${ms(model.ms[1])} to ${ms(model.ms[2])})`,
      `${millions(model.macs)} MACs, ${millions(model.params)} parameters, ${model.r} px`,
      ...blockText(model.stages),
    ];
  };
  const hoverText = (id) => {
    if (id === null) return ""; /* a gap between two lines */
    const [name, ...lines] = told(id);
    return [`<b>${name}</b>`, ...lines].join("<br>");
  };

  const element = (tag, kind, text) => {
    const made = document.createElement(tag);
    if (kind) made.className = kind;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  /* Blocks as boxes: as wide as their expand ratio, as high and strong as their kernel. */
  const show = (id) => {
    const model = report.models[id];
    if (!model) return;
    const figures =
      `${top1(model)} · predicted ${ms(model.ms[0])} ms ` +
      `(${ms(model.ms[1])} to ${ms(model.ms[2])}), budget ${ms(model.budget)} ms · ${millions(model.macs)} MACs · ` +
      `${millions(model.params)} parameters · ${Math.round(model.peak / 1024)} KiB of activations · ` +
      `input ${model.r} × ${model.r}`;
    const stages = element("div", "stages");
    model.stages.forEach((blocks, index) => {
      const stage = element("div", "stage");
      stage.append(element("span", "", `stage ${index + 1}`));
      const row = element("div", "blocks");
      for (const [kernel, expand] of blocks) {
        const block = element("div", "block", `${kernel}·e${expand}`);
        block.title = `kernel ${kernel} × ${kernel}, expand ratio ${expand}`;
        block.style.width = `${1.4 + 0.32 * expand}rem`;
        block.style.height = `${0.9 + 0.28 * kernel}rem`;
        block.style.opacity = String(Math.min(1, 0.82 + 0.026 * kernel));
        row.append(block);
      }
      stage.append(row);
      stages.append(stage);
    });
    const note = element("p", "note", "Each box is a block: kernel size · expand ratio.");
    const heading = element("h3", "", report.chosen.includes(id) ? `${model.name} (chosen)` : model.name);
    panel.replaceChildren(heading, element("p", "figures", figures), stages, note);
  };

  const ofModels = (trace) => Boolean(trace.customdata && report.models[trace.customdata[0]]);
  const isCloud = (trace) => ofModels(trace) && trace.mode === "markers" && trace.customdata.length > many;

  const complete = (figure) => {
    const style = getComputedStyle(document.documentElement);
    const ink = style.getPropertyValue("--ink").trim();
    const muted = style.getPropertyValue("--muted").trim();
    const grid = style.getPropertyValue("--grid").trim();
    const paper = style.getPropertyValue("--paper").trim();
    const layout = themed(figure.layout, style);
    const more = Object.keys(layout).filter((name) => /^[xy]axis\d+$/.test(name));
    for (const name of ["xaxis", "yaxis", ...more]) {
      layout[name] = { gridcolor: grid, linecolor: grid, fixedrange: touch, ...layout[name] };
    }
    const all = themed(figure.data, style);
    const clouds = all.filter(isCloud);
    const data = all.map((whole) => {
      const trace = isCloud(whole) ? cloudOf.reduced(whole) : whole;
      if (!ofModels(trace)) return trace;
      return { ...trace, text: trace.customdata.map(hoverText), hovertemplate: "%{text}<extra>%{fullData.name}</extra>" };
    });
    return {
      data,
      clouds,
      layout: {
        ...layout,
        font: { color: ink, family: getComputedStyle(document.body).fontFamily, size: narrow.matches ? 11 : 13 },
        paper_bgcolor: "rgba(0,0,0,0)",
        plot_bgcolor: "rgba(0,0,0,0)",
        margin: { t: 48, r: 12, b: narrow.matches ? 132 : 92, l: 48 },
        legend: {
          orientation: "h", x: 0, yref: "container", y: 0, yanchor: "bottom", traceorder: "normal",
          ...(narrow.matches ? { entrywidthmode: "fraction", entrywidth: 0.48, font: { size: 10 } } : {}),
        },
        modebar: { bgcolor: "rgba(0,0,0,0)", color: muted, activecolor: ink },
        hoverlabel: { bgcolor: paper, bordercolor: grid, font: { color: ink, size: 12 }, align: "left" },
        hovermode: "closest",
        dragmode: touch ? false : "zoom",
      },
    };
  };

  const config = {
    responsive: true,
    displaylogo: false,
    displayModeBar: touch ? false : "hover",
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    plotlyServerURL: "",
  };

  const clouds = new Map();
  const draw = async (figure) => {
    const plot = document.getElementById(`figure-${figure.id}`);
    const { data, clouds: traces, layout } = complete(figure);
    await Plotly.react(plot, data, layout, config);
    if (traces.length && !clouds.has(plot)) clouds.set(plot, cloudOf.attach(plot, { point: show, text: told }));
    clouds.get(plot)?.(traces);
  };
  const drawn = (what) => {
    document.documentElement.dataset[what] = String(Math.round(performance.now()));
  };
  const idle = () => new Promise((resolve) => setTimeout(resolve));

  /* The figure in view first; the page answers between one and the next. */
  const drawAll = async () => {
    for (const figure of report.figures) {
      await draw(figure);
      if (figure.id === "front") drawn("frontMs");
      await idle();
    }
  };

  show(report.shown);
  drawAll().then(() => drawn("drawnMs"));
  dark.addEventListener("change", drawAll);
  narrow.addEventListener("change", drawAll);
  const front = document.getElementById("figure-front");
  const point = (event) => show(event.points[0].customdata);
  front.on("plotly_hover", point);
  front.on("plotly_click", point);

  /* While a run goes on, the file is written anew; nothing is reloaded under a reader's finger or pointer. */
  if (report.refresh_s) {
    setInterval(() => {
      if (!document.hidden && !document.querySelector("figure:hover, figure:active")) location.reload();
    }, 1000 * report.refresh_s);
  }
})();
