// The page's state and its address: a link shows the reader what its writer saw.
"use strict";

(() => {
  const { panel } = window.Landshift;
  const { layer } = panel;

  /** The state that the address asks for; what it does not say, or says wrongly, is as at first sight. */
  function read(data) {
    const said = new URLSearchParams(location.hash.slice(1));
    const views = panel.views(data);
    const years = data.years;
    const pick = (key, allowed, otherwise) => {
      const value = allowed.find((one) => String(one) === said.get(key));
      return value ?? otherwise;
    };
    const values = data.classes.map((one) => one.value);
    const pairs = (layer(data, "change")?.frames || []).map((frame) => [frame.from, frame.to]);
    const longest = pairs.reduce((best, pair) => (!best || pair[1] - pair[0] > best[1] - best[0] ? pair : best), null);
    const [from, to] = pairs.find((pair) => pair.join("-") === said.get("span")) || longest || [years[0], years.at(-1)];
    const growing = mostChanged(data);
    const firsts = (layer(data, "first_year")?.frames || []).map((frame) => frame.class);
    const where = (said.get("map") || "").split("/").map(Number);
    return {
      view: pick("view", views, "cover"),
      year: pick("year", years, years.at(-1)),
      from, to, pairs,
      klass: pick("class", [0, ...values], 0),
      zoneClass: pick("district-class", values, growing),
      measure: pick("measure", Object.keys(panel.UNITS), "share"),
      firstClass: pick("first", firsts, firsts.includes(growing) ? growing : firsts[0]),
      zone: data.zonal && Object.keys(data.zonal).includes(said.get("zone")) ? said.get("zone") : null,
      hidden: new Set((said.get("hide") || "").split(".").map(Number).filter((value) => values.includes(value))),
      opacity: Math.min(Math.max(Number(said.get("opacity") ?? 100) || 0, 0), 100),
      borders: said.get("borders") !== "0",
      compare: said.has("before"),
      beforeView: pick("left", leftViews(data), "cover"),
      beforeYear: pick("before", years, years[0]),
      relative: said.get("chart") === "since",
      theme: theme(),
      camera: where.length === 3 && where.every(Number.isFinite) ? { zoom: where[0], center: [where[2], where[1]] } : null,
    };
  }

  /** The class whose area grew most: what a visitor most likely wants to see first. */
  function mostChanged(data) {
    const grown = (one) => { const values = data.area?.[one.name] || [0]; return values.at(-1) - values[0]; };
    return data.classes.reduce((best, one) => (grown(one) > grown(best) ? one : best), data.classes[0]).value;
  }

  const leftViews = (data) => ["cover", "image", "certainty"].filter((id) => layer(data, id));

  /** Put the state into the address, without a step in the browser's history. */
  function write(state, map) {
    const said = new URLSearchParams();
    const camera = map.getCenter();
    said.set("map", `${map.getZoom().toFixed(2)}/${camera.lat.toFixed(5)}/${camera.lng.toFixed(5)}`);
    said.set("view", state.view);
    said.set("year", state.year);
    if (state.view === "change") { said.set("span", `${state.from}-${state.to}`); said.set("class", state.klass); }
    if (state.view === "districts") { said.set("district-class", state.zoneClass); said.set("measure", state.measure); }
    if (state.view === "first_year") said.set("first", state.firstClass);
    if (state.zone) said.set("zone", state.zone);
    if (state.hidden.size) said.set("hide", [...state.hidden].join("."));
    if (state.opacity !== 100) said.set("opacity", state.opacity);
    if (!state.borders) said.set("borders", "0");
    if (state.compare) { said.set("left", state.beforeView); said.set("before", state.beforeYear); }
    if (state.relative) said.set("chart", "since");
    const hash = `#${said.toString().replace(/%2F/g, "/")}`;
    if (hash !== location.hash) history.replaceState(null, "", hash);
  }

  function theme() {
    let kept = null;
    try { kept = localStorage.getItem("landshift-theme"); } catch { /* no storage here: follow the system */ }
    if (kept === "light" || kept === "dark") return kept;
    return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }

  window.Landshift.address = { read, write, leftViews };
})();
