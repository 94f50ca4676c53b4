// Draws the figures of the page when they come into view, in the colours of the page, and keeps the controls working.
"use strict";
(() => {
  const root = document.documentElement;
  const plots = [...document.querySelectorAll(".plot")];
  const announcement = document.querySelector(".announcement");
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const isCoarse = matchMedia("(pointer: coarse)").matches;
  const PRINT_WIDTH = 660;
  const CONFIG = {displayModeBar: false, responsive: false, displaylogo: false, showTips: false};

  const say = (text) => { announcement.textContent = ""; requestAnimationFrame(() => { announcement.textContent = text; }); };

  // --- plotly.js, unpacked once and only if there is a figure to draw ---

  let unpacking = null;

  function unpack() {
    unpacking ??= (async () => {
      const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (c) => c.charCodeAt(0));
      const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
      const script = document.createElement("script");
      script.textContent = await new Response(stream).text();
      document.head.append(script);
    })();
    return unpacking;
  }

  // --- colours ---

  function colours() {
    const style = getComputedStyle(root);
    const named = (name) => style.getPropertyValue(name).trim();
    return {text: named("--text"), quiet: named("--quiet"), grid: named("--grid"), back: named("--back"), line: named("--line")};
  }

  function themed(layout) {
    const {text, quiet, grid, back, line} = colours();
    const axis = {gridcolor: grid, linecolor: line, zerolinecolor: line, tickcolor: line};
    const template = structuredClone(layout.template ?? {});
    const base = template.layout ??= {};
    base.font = {...base.font, color: text};
    base.xaxis = {...base.xaxis, ...axis};
    base.yaxis = {...base.yaxis, ...axis};
    base.hoverlabel = {...base.hoverlabel, bgcolor: back, bordercolor: quiet, font: {color: text}};
    return {...layout, template};
  }

  // --- drawing ---

  const holderOf = (key) => document.querySelector(`script[data-key="${key}"]`);
  const specOf = (key) => JSON.parse(holderOf(key).textContent);

  const NARROW = 560;

  // On a phone the legend and the colour bar stand below the figure, and axes show fewer ticks and shorter titles.
  function narrowed(data, layout) {
    const legendRows = data.filter((trace) => trace.showlegend ?? (data.length > 1 && trace.name)).length;
    const hasBar = data.some((trace) => trace.colorbar && trace.showscale !== false);
    const below = (hasBar ? 45 : 0) + 20 * legendRows;
    const changed = {
      ...layout,
      margin: {...layout.margin, l: 40, r: 12, t: 16, b: (layout.margin.b ?? 55) + below},
      height: layout.height + below,
      legend: {...layout.legend, orientation: "h", x: 0, xanchor: "left", y: 0, yref: "container", yanchor: "bottom"},
    };
    for (const name of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key))) {
      const axis = changed[name] = {...layout[name]};
      if (axis.title?.text) axis.title = {...axis.title, text: axis.title.text.replace(/ \([^()]*\)$/, "")};
      if (name.startsWith("x")) {
        axis.tickangle = 0;
        if (Array.isArray(axis.tickvals)) {
          const apart = Math.ceil(axis.tickvals.length / 5);
          axis.tickvals = axis.tickvals.filter((_, index) => index % apart === 0);
          axis.ticktext = axis.ticktext.filter((_, index) => index % apart === 0);
        } else {
          delete axis.dtick;
          axis.nticks = 4;
        }
      }
    }
    const bars = data.map((trace) => trace.colorbar
      ? {...trace, colorbar: {...trace.colorbar, orientation: "h", x: 0.5, xanchor: "center", y: (20 * legendRows + 4) / changed.height, yref: "container", yanchor: "bottom", len: 1, title: {text: ""}}}
      : trace);
    return {data: bars, layout: changed};
  }

  function draw(plot) {
    const key = plot.dataset.figure;
    const spec = specOf(key);
    const isPair = Boolean(spec.layout.xaxis2);  // two figures side by side, which scroll where they have no room
    const room = root.classList.contains("printing") ? PRINT_WIDTH : plot.clientWidth;
    const width = isPair ? Math.max(room, NARROW) : room;
    const layout = {...themed(spec.layout), width, height: heightOf(key)};
    const shown = width < NARROW ? narrowed(spec.data, layout) : {data: spec.data, layout};
    if (isCoarse) shown.layout.dragmode = false;
    plot.classList.add("drawn");
    plot.dataset.drawn = key;
    Plotly.react(plot, shown.data, shown.layout, CONFIG);
    plot.closest(".figure").querySelector(".tools").hidden = false;
  }

  const heightOf = (key) => Number(holderOf(key).dataset.height);

  async function show(plot) {
    try {
      await unpack();
      draw(plot);
    } catch (error) {
      plot.querySelector(".waiting")?.replaceChildren("This browser cannot draw the figure. The words below say what it shows.");
      console.error(error);
    }
  }

  const seen = new IntersectionObserver((entries) => {
    for (const {target, isIntersecting} of entries) {
      if (isIntersecting && target.dataset.drawn !== target.dataset.figure) show(target);
    }
  }, {rootMargin: "400px 0px"});
  for (const plot of plots) {
    plot.style.minHeight = `${heightOf(plot.dataset.figure)}px`;
    seen.observe(plot);
  }

  const drawnPlots = () => plots.filter((plot) => plot.dataset.drawn && plot.clientWidth);
  const redraw = () => drawnPlots().forEach(draw);

  let resizing = 0;
  let lastWidth = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === lastWidth) return;
    lastWidth = innerWidth;
    clearTimeout(resizing);
    resizing = setTimeout(redraw, 150);
  });
  scheme.addEventListener("change", redraw);

  // --- one figure of several ---

  function choose(slot, key) {
    const plot = slot.querySelector(".plot");
    const select = slot.querySelector("select");
    if (select) select.value = key;
    for (const caption of slot.querySelectorAll("[data-caption]")) {
      caption.hidden = caption.dataset.caption !== key;
      if (caption.hidden) caption.removeAttribute("id");
      else caption.id = `${slot.id}-${caption.matches(".figure-title") ? "title" : "words"}`;
    }
    plot.dataset.figure = key;
    plot.style.minHeight = `${heightOf(key)}px`;
    if (plot.dataset.drawn) show(plot);
  }

  for (const select of document.querySelectorAll(".figure .switch select")) {
    select.addEventListener("change", () => {
      choose(select.closest(".figure"), select.value);
      say(`${select.selectedOptions[0].textContent} is shown.`);
    });
  }

  for (const link of document.querySelectorAll("a[data-choice]")) {
    link.addEventListener("click", () => choose(document.querySelector(link.hash), link.dataset.choice));
  }

  // --- figures of two runs side by side: the statistic is chosen for both, the run for the right one ---

  for (const pair of document.querySelectorAll(".pair")) {
    const [left, right] = pair.querySelectorAll(".figure");
    const [statistic, run] = pair.querySelectorAll("select");
    const missing = pair.querySelector(".no-room");
    const showPair = () => {
      const {left: first, right: others} = statistic.selectedOptions[0].dataset;
      const second = others.split(" ")[run ? run.selectedIndex : 0];
      choose(left, first);
      right.hidden = second === "none";
      missing.hidden = !right.hidden;
      if (!right.hidden) choose(right, second);
    };
    for (const select of [statistic, run]) {
      select?.addEventListener("change", () => {
        showPair();
        say(`${select.selectedOptions[0].textContent} is shown.`);
      });
    }
    for (const link of document.querySelectorAll(`a[href="#${pair.id}"][data-statistic]`)) {
      link.addEventListener("click", () => {
        statistic.value = link.dataset.statistic;
        if (run) run.selectedIndex = Number(link.dataset.run);
        showPair();
      });
    }
    if (statistic) showPair();  // a browser may keep what was chosen before the page was loaded anew
  }

  // A link into something folded away opens it.
  function unfold() {
    const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let part = target; part; part = part.parentElement) if (part.matches("details")) part.open = true;
    if (target) target.focus({preventScroll: true});
  }
  addEventListener("hashchange", unfold);
  unfold();

  for (const tools of document.querySelectorAll(".tools")) {
    const plot = tools.closest(".figure").querySelector(".plot");
    tools.addEventListener("click", ({target}) => {
      if (target.dataset.does === "save") {
        const title = tools.closest(".figure").querySelector(".figure-title:not([hidden])").textContent;
        const name = title.replace(/[^\p{L}\p{N}_-]+/gu, "-").slice(0, 80);
        Plotly.downloadImage({data: plot.data, layout: {...plot.layout, paper_bgcolor: colours().back}},
          {format: "png", filename: name, width: plot.layout.width, height: plot.layout.height, scale: 2})
          .then(() => say("The figure was saved."));
      } else if (target.dataset.does === "reset") {
        draw(plot);
      }
    });
  }

  // --- code ---

  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = button.parentElement.querySelector("code");
      try {
        await navigator.clipboard.writeText(code.textContent);
      } catch {
        const range = document.createRange();
        range.selectNodeContents(code);
        getSelection().removeAllRanges();
        getSelection().addRange(range);
        if (!document.execCommand("copy")) return say("Copying is not allowed here; the code is selected.");
      }
      button.textContent = "Copied";
      say("The code was copied.");
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  // --- where one is ---

  const places = new Map([...document.querySelectorAll(".contents a")].map((a) => [a.hash.slice(1), a]));
  const sections = new IntersectionObserver((entries) => {
    for (const {target, isIntersecting} of entries) {
      const link = places.get(target.id);
      if (isIntersecting) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }, {rootMargin: "-20% 0px -75% 0px"});
  for (const id of places.keys()) sections.observe(document.getElementById(id));

  // --- print: everything open and drawn, in dark ink ---

  let folded = [];

  addEventListener("beforeprint", () => {
    root.classList.add("printing");
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const part of folded) part.open = true;
    if (window.Plotly) plots.forEach(draw);
  });
  addEventListener("afterprint", () => {
    root.classList.remove("printing");
    for (const part of folded) part.open = false;
    redraw();
  });
  if (document.getElementById("plotly")) unpack().catch(console.error);
})();
