// The page: what follows from its state, and the wiring between map, panel and time.
"use strict";

(() => {
  const { View, tie, tiles, panel, address, picture, number, node } = window.Landshift;
  const { find } = panel;
  const SLOWEST_MS = 950;  // how long a year stays while playing

  let data;
  let state;
  let main;             // the map
  let before = null;    // the map on the left of the swipe, once it was wanted
  let untie = null;
  let popup = null;
  let playing = false;
  let near = null;

  // --- start ----------------------------------------------------------------------------------------------

  async function start() {
    const fromDisk = location.protocol === "file:";
    data = fromDisk ? await scriptData() : await hostData();
    if (fromDisk && !data.offline) {
      throw new Error("This site has too many tiles to be opened from disk. Serve it: landshift serve <output folder>, or put it on any web host.");
    }
    tiles.register(data, fromDisk);
    state = address.read(data);
    paintTheme();
    dress();
    drawPanel();
    drawTime();
    main = new View("map", data, state.theme, state.camera);
    main.map.addControl(new maplibregl.ScaleControl({ maxWidth: 110 }), "bottom-right");
    const credit = [escaped(data.attribution), '<a href="vendor/maplibre-gl-LICENSE.txt">MapLibre</a>'].filter(Boolean);
    main.map.addControl(new maplibregl.AttributionControl({ compact: false, customAttribution: credit }), "bottom-right");
    main.map.on("error", (event) => note(`A part of the map could not be drawn: ${event.error?.message || "unknown"}`));
    wire();
    await main.ready;
    await refresh();
    if (state.compare) await openCompare();
    document.documentElement.dataset.ready = "yes";
  }

  function escaped(text) {
    return text.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]);
  }

  async function hostData() {
    const answer = await fetch("data.json", { cache: "no-cache" });
    if (!answer.ok) throw new Error(`data.json could not be read (${answer.status}).`);
    return answer.json();
  }

  function scriptData() {
    return new Promise((resolve, reject) => {
      const script = node("script", { src: "data.js" });
      script.onload = () => resolve(window.LANDSHIFT);
      script.onerror = () => reject(new Error("data.js is missing beside this page."));
      document.head.append(script);
    });
  }

  function fail(error) {
    const webgl = /webgl/i.test(error.message);
    const why = webgl ? "This browser has no WebGL, or it is switched off. The figures beside are complete without it." : error.message;
    if (!main) find("stage").replaceChildren(node("p", { class: "fatal card", role: "alert" }, node("strong", {}, "The map cannot be shown."), ` ${why}`));
    if (main) note(`The map cannot be shown: ${why}`);
    find("title").textContent ||= "landshift";
    document.documentElement.dataset.ready = "failed";
  }

  // --- state ----------------------------------------------------------------------------------------------

  function remember() {
    address.write(state, main.map);
  }

  function paintTheme() {
    document.documentElement.dataset.theme = state.theme;
  }

  // --- what is shown --------------------------------------------------------------------------------------

  /** Change the state, and everything that follows from it. */
  function set(changes) {
    Object.assign(state, changes);
    return refresh();
  }

  async function refresh() {
    const isDistricts = state.view === "districts";
    const { frame, style, smooth } = picture(data, state, state.view, state.year);
    drawPanel();
    if (!main) return;
    drawTime();
    main.setBorders(state.borders || isDistricts);
    for (const view of [main, before].filter(Boolean)) paintZones(view, isDistricts && view === main);
    const absent = !frame ? `No picture of ${state.year}.` : "";
    note(isDistricts ? "" : absent);
    remember();
    // below districts the land cover stays as a pale ground, for orientation
    await main.show(frame || null, style, { opacity: isDistricts ? 0.2 : state.opacity / 100, smooth, pale: isDistricts });
    if (state.compare && before) await showBefore();
  }

  function paintZones(view, filled) {
    if (!data.districts) return;
    const at = data.years.indexOf(state.year);
    const scale = filled ? panel.scale(data, state) : null;
    const colours = filled ? data.districts.features.map((one) => [one.id, scale.colour(panel.measured(data, state, one.properties.zone, at))]) : null;
    view.fill(colours, state.opacity / 100);
    for (const one of data.districts.features) view.state(one.id, { picked: one.properties.zone === state.zone });
  }

  const actions = {
    toggle: (value) => { const hidden = new Set(state.hidden); if (!hidden.delete(value)) hidden.add(value); set({ hidden }); },
    only: (value) => set({ hidden: new Set(data.classes.map((one) => one.value).filter((one) => one !== value)) }),
    stress: (name) => { const plot = document.querySelector(".plot"); if (plot) { plot.classList.toggle("stressed", Boolean(name)); for (const one of plot.querySelectorAll("[data-name]")) one.classList.toggle("is", one.dataset.name === name); } },
    pick: (zone, fly) => { set({ zone }); if (fly && zone && main) flyTo(zone); },
    near: (zone) => hoverZone(zone),
    relative: (relative) => set({ relative }),
    save: (text, name) => {
      const link = node("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 5000);
    },
  };

  function drawPanel() {
    const focus = focused();
    panel.switcher(data, state, (view) => { closePopup(); set({ view }); });
    panel.controls(data, state, set);
    panel.legend(data, state, actions);
    panel.figures(data, state, actions);
    find("opacity").value = state.opacity;
    find("opacity-said").textContent = `${state.opacity} %`;
    focus();
  }

  /** Remember what has the focus in redrawn parts of the panel; gives a function that puts it back. */
  function focused() {
    const held = document.activeElement;
    const host = held && held.closest("#views, #controls, #legend, #charts");
    if (!host) return () => {};
    const all = () => [...host.querySelectorAll("button, input, select, summary")];
    const at = all().indexOf(held);
    const open = [...host.querySelectorAll("details")].map((one) => one.open);
    return () => {
      [...host.querySelectorAll("details")].forEach((one, i) => { one.open = open[i] ?? false; });
      all()[host.id === "views" ? all().findIndex((one) => one.checked) : at]?.focus({ preventScroll: true });
    };
  }

  function dress() {
    document.title = `${data.title} · landshift`;
    find("title").textContent = data.title;
    find("simulated").hidden = !data.simulated;
    const total = data.area ? data.classes.reduce((sum, one) => sum + (data.area[one.name].at(-1) || 0), 0) : 0;
    const size = total >= 10000 ? `${number(total / 100, 0)} km²` : total ? `${number(total, 0)} ha` : "";
    const zones = data.districts?.features.length;
    const years = data.years.length > 1 ? `${data.years[0]}–${data.years.at(-1)}` : `${data.years[0]}`;
    const pixel = data.grid.pixel_m ? `${Number(data.grid.pixel_m.toPrecision(3))} m pixels` : "";
    const facts = [years, size, zones ? `${zones} ${panel.noun(data, zones > 1)}` : "", pixel].filter(Boolean);
    find("facts").replaceChildren(...facts.map((text) => node("span", {}, text)));
    const year = find("year");
    year.max = data.years.length - 1;
    const every = Math.ceil(data.years.length / 12);
    find("ticks").replaceChildren(...data.years.map((one, i) => node("li", { "data-at": i }, (data.years.length - 1 - i) % every ? "" : String(one).slice(-2).padStart(3, "’"))));
    find("time").classList.toggle("single", data.years.length < 2);
    find("borders").hidden = !data.districts;
    find("borders").setAttribute("aria-pressed", String(state.borders));
    find("borders").title = `${panel.capital(panel.noun(data))} borders`;
    find("borders").setAttribute("aria-label", find("borders").title);
    panel.downloads(data);
    panel.about(data);
    for (const [id, list, value] of [["before-view", address.leftViews(data).map((one) => [one, panel.VIEWS[one].title]), state.beforeView], ["before-year", data.years.map((one) => [one, one]), state.beforeYear]]) {
      find(id).replaceChildren(...list.map(([key, text]) => node("option", { value: key, selected: key === value }, String(text))));
    }
  }

  function drawTime() {
    const still = state.view === "first_year";
    const pairwise = state.view === "change";
    const longest = pairwise && isWhole();
    find("year").value = data.years.indexOf(pairwise ? state.to : state.year);
    find("year").disabled = still || longest;
    find("play").disabled = still || (pairwise && steps().length < 2) || data.years.length < 2;
    const text = pairwise ? `${state.from}\u2009–\u2009${state.to}` : still ? `${data.years[0]}\u2009–\u2009${data.years.at(-1)}` : String(state.year);
    find("when").textContent = text;
    find("when").classList.toggle("long", pairwise || still);
    find("time").classList.toggle("is-whole", still || longest);
    find("time").classList.toggle("is-steps", pairwise && !longest);
    find("year").setAttribute("aria-valuetext", text);
    for (const tick of find("ticks").children) {
      const year = data.years[tick.dataset.at];
      tick.classList.toggle("is", pairwise ? year >= state.from && year <= state.to : still || year === state.year);
    }
    const places = data.years.length - 1 || 1;
    const [low, high] = pairwise ? [state.from, state.to] : still ? [data.years[0], data.years.at(-1)] : [data.years[0], state.year];
    find("time").style.setProperty("--low", data.years.indexOf(low) / places);
    find("time").style.setProperty("--high", data.years.indexOf(high) / places);
    const host = find("span");
    host.hidden = !pairwise || steps().length < 2 || !state.pairs.some(whole);
    host.replaceChildren(...[[true, "Whole period"], [false, "Year by year"]].map(([key, label]) => node("button", { type: "button", "aria-pressed": String(longest === key), onclick: () => spanMode(key) }, label)));
    find("compare").hidden = pairwise || still || state.view === "districts" || !address.leftViews(data).length;
    find("compare").setAttribute("aria-pressed", String(state.compare));
    find("said").textContent = `${panel.viewTitle(data, state.view)}, ${text}`;
    find("after-tag").textContent = `${panel.viewTitle(data, state.view)} ${text}`;
    if (find("compare").hidden && state.compare) closeCompare();
  }

  const whole = ([from, to]) => from === data.years[0] && to === data.years.at(-1) && data.years.length > 2;
  const isWhole = () => whole([state.from, state.to]);
  const steps = () => state.pairs.filter((pair) => !whole(pair) && data.years.indexOf(pair[1]) - data.years.indexOf(pair[0]) === 1);

  function spanMode(wholePeriod) {
    stop();
    const pair = wholePeriod ? state.pairs.find(whole) : steps().at(-1);
    if (pair) set({ from: pair[0], to: pair[1] });
  }

  function goTo(index) {
    if (state.view === "change") {
      const pair = steps().find(([, to]) => to === data.years[index]) || steps()[0];
      return pair ? set({ from: pair[0], to: pair[1] }) : Promise.resolve();
    }
    return set({ year: data.years[index] });
  }

  // --- playing --------------------------------------------------------------------------------------------

  async function play() {
    if (playing) return stop();
    playing = true;
    find("play").setAttribute("aria-label", "Stop");
    find("play").classList.add("going");
    if (state.view === "change" && isWhole()) spanMode(false);
    playing = true;
    find("play").classList.add("going");
    const first = state.view === "change" ? data.years.indexOf(steps()[0][1]) : 0;
    const now = () => data.years.indexOf(state.view === "change" ? state.to : state.year);
    if (now() === data.years.length - 1) { await goTo(first); await pause(SLOWEST_MS); }
    while (playing && now() < data.years.length - 1) {
      await goTo(now() + 1);
      await pause(SLOWEST_MS);
    }
    return stop();
  }

  function stop() {
    playing = false;
    find("play").classList.remove("going");
    find("play").setAttribute("aria-label", "Play the years");
  }

  const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

  // --- comparing ------------------------------------------------------------------------------------------

  async function openCompare() {
    state.compare = true;
    stop();
    find("map-before").hidden = find("swipe").hidden = find("before-bar").hidden = find("after-tag").hidden = false;
    find("compare").setAttribute("aria-pressed", "true");
    const camera = { center: main.map.getCenter(), zoom: main.map.getZoom() };
    if (!before) {
      before = new View("map-before", data, state.theme, camera);
      before.map.on("click", clicked);
      await before.ready;
    } else {
      before.map.resize();
      before.map.jumpTo(camera);
    }
    untie ||= tie(main.map, before.map);
    before.setBorders(state.borders);
    swipe();
    remember();
    await showBefore();
  }

  function showBefore() {
    paintZones(before, false);
    before.setBorders(state.borders);
    const { frame, style, smooth } = picture(data, state, state.beforeView, state.beforeYear);
    return before.show(frame || null, style, { opacity: state.opacity / 100, smooth });
  }

  function closeCompare() {
    state.compare = false;
    if (untie) { untie(); untie = null; }
    find("map-before").hidden = find("swipe").hidden = find("before-bar").hidden = find("after-tag").hidden = true;
    find("compare").setAttribute("aria-pressed", "false");
    remember();
  }

  function swipe() {
    const at = Number(find("swipe-at").value);
    find("stage").style.setProperty("--at", `${at}%`);
  }

  // --- districts and points -------------------------------------------------------------------------------

  function zoneAt(point) {
    if (!data.districts || !data.zonal) return null;
    const found = main.map.queryRenderedFeatures(point, { layers: ["district-fill"] })[0];
    return found ? found.properties.zone : null;
  }

  async function clicked(event) {
    const zone = zoneAt(event.point);
    const again = zone !== null && zone === state.zone && state.view === "districts";
    await set({ zone: again ? null : zone });
    const card = await panel.probe(data, state, event.lngLat.lng, event.lngLat.lat);
    closePopup();
    if (!card || again) return;
    popup = new maplibregl.Popup({ closeButton: true, closeOnClick: false, maxWidth: "300px", offset: 10 }).setLngLat(event.lngLat).setDOMContent(card).addTo(main.map);
    popup.on("close", () => { popup = null; });
  }

  function closePopup() {
    if (popup) popup.remove();
    popup = null;
  }

  function hoverZone(zone) {
    if (!data.districts || !main || near === zone) return;
    const id = (name) => data.districts.features.find((one) => one.properties.zone === name)?.id;
    if (near !== null) main.state(id(near), { near: false });
    near = zone;
    if (near !== null) main.state(id(near), { near: true });
  }

  function flyTo(zone) {
    const found = data.districts?.features.find((one) => one.properties.zone === zone);
    if (!found) return;
    const [west, south, east, north] = found.properties.bounds;
    main.map.fitBounds([[west, south], [east, north]], { padding: View.padding(), maxZoom: data.grid.max_zoom, animate: !matchMedia("(prefers-reduced-motion: reduce)").matches });
  }

  function note(text) {
    find("map-note").textContent = text;
    find("map-note").hidden = !text;
  }

  // --- wiring ---------------------------------------------------------------------------------------------

  function wire() {
    const on = (id, kind, work) => find(id).addEventListener(kind, work);
    const calm = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    on("zoom-in", "click", () => main.map.zoomIn({ animate: calm }));
    on("zoom-out", "click", () => main.map.zoomOut({ animate: calm }));
    on("home", "click", () => main.home(calm));
    on("borders", "click", () => { state.borders = !state.borders; find("borders").setAttribute("aria-pressed", String(state.borders)); refresh(); });
    on("theme", "click", () => {
      state.theme = state.theme === "dark" ? "light" : "dark";
      try { localStorage.setItem("landshift-theme", state.theme); } catch { /* not kept: no storage here */ }
      paintTheme();
      main.setTheme(state.theme);
      if (before) before.setTheme(state.theme);
      refresh();
    });
    on("year", "input", (event) => { stop(); goTo(Number(event.target.value)); });
    on("play", "click", play);
    on("compare", "click", () => (state.compare ? closeCompare() : openCompare()));
    on("before-view", "change", (event) => { state.beforeView = event.target.value; remember(); showBefore(); });
    on("before-year", "change", (event) => { state.beforeYear = Number(event.target.value); remember(); showBefore(); });
    on("swipe-at", "input", swipe);
    on("opacity", "input", (event) => set({ opacity: Number(event.target.value) }));
    on("all-classes", "click", () => set({ hidden: new Set() }));
    on("unpick", "click", () => { closePopup(); set({ zone: null }); });
    on("sheet", "click", () => {
      const open = document.body.classList.toggle("sheet-low");
      find("sheet").setAttribute("aria-expanded", String(!open));
      setTimeout(() => main.map.resize(), 260);
    });
    main.map.on("click", clicked);
    main.map.on("moveend", remember);
    main.map.on("mousemove", (event) => {
      const zone = zoneAt(event.point);
      hoverZone(zone);
      main.map.getCanvas().style.cursor = zone ? "pointer" : "";
    });
    main.map.on("mouseout", () => hoverZone(null));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { stop(); closePopup(); if (state.zone) set({ zone: null }); }
    });
    let redraw;
    addEventListener("resize", () => { clearTimeout(redraw); redraw = setTimeout(() => panel.figures(data, state, actions), 150); });
    addEventListener("hashchange", async () => {
      const compared = state.compare;
      state = address.read(data);
      if (state.camera) main.map.jumpTo(state.camera);
      if (compared && !state.compare) closeCompare();
      await refresh();
      if (state.compare && !compared) await openCompare();
    });
  }

  start().catch(fail);
})();
