// The panel: which layers there are, what their colours mean, and the figures behind them.
"use strict";

(() => {
  const { node, number, signed, steps, swatch, charts, tiles } = window.Landshift;

  const GAIN = "#d9601a";
  const LOSS = "#2b6cb0";
  const STABLE = "#b9bcb8";
  const SEQUENTIAL = {
    light: ["#e3f1ec", "#b5dccf", "#7cc0ad", "#3f9f8c", "#15766a", "#0a4a44"],
    dark: ["#1f2f33", "#1e4a49", "#22695f", "#2f8f7d", "#5abda4", "#b4ecd9"],
  };
  const DIVERGING = {
    light: ["#1f5a9c", "#6ea6d1", "#cfe0ee", "#fbdcc0", "#ef9350", "#b2460b"],
    dark: ["#8fc6f5", "#4b86c2", "#26425f", "#5a3a22", "#c06f2f", "#ffbb80"],
  };
  const STILL = { light: "#eceeeb", dark: "#2a3338" };

  const VIEWS = {
    cover: { title: "Land cover", icon: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 13h7v7h-7z" },
    change: { title: "Change", icon: "M4 8h13l-4-4M20 16H7l4 4" },
    districts: { title: "Zones", icon: "M4 6l6-2 5 2 5-2v14l-5 2-5-2-6 2zM10 4v14M15 6v14" },
    first_year: { title: "First seen", icon: "M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4l3 2" },
    image: { title: "Satellite", icon: "M4 5h16v14H4zM4 16l5-5 4 4 2-2 5 5M15.5 8.5v.01" },
    certainty: { title: "Certainty", icon: "M4 18a8 8 0 1 1 16 0M12 18l4-6" },
  };
  const MEASURES = { share: "Share", area: "Area", change: "Change of area", points: "Change of share" };
  const UNITS = { share: "%", area: "ha", change: "ha", points: "points" };

  const FILES = {
    area: "Area of every class by year",
    gains: "Gain, loss and net change of every class",
    transitions: "What became what",
    zonal: "Area of every class by zone and year",
    zonal_change: "Gain and loss of every class by zone",
  };

  const MOST_LISTED = 300;
  const find = (id) => document.getElementById(id);

  /** Layers of the switch: those of data.json, with districts after change. */
  function views(data) {
    const there = data.layers.map((layer) => layer.id);
    if (data.districts && data.zonal) there.splice(there.indexOf("change") + 1 || 1, 0, "districts");
    return there.filter((id) => id in VIEWS);
  }

  function switcher(data, state, choose) {
    const buttons = views(data).map((id) => node("label", { class: "view" },
      node("input", { type: "radio", name: "view", value: id, checked: state.view === id, onchange: () => choose(id) }),
      icon(VIEWS[id].icon), node("span", {}, viewTitle(data, id))));
    find("views").replaceChildren(...buttons);
    find("views").style.setProperty("--columns", buttons.length < 5 ? buttons.length : 3);
  }

  /** Districts are called so where their file does; all others are zones. */
  const noun = (data, many) => `${data.districts?.noun || "zone"}${many ? "s" : ""}`;
  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

  function viewTitle(data, id) {
    return id === "districts" ? capital(noun(data, true)) : VIEWS[id].title;
  }

  function icon(path) {
    const made = window.Landshift.shape("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" });
    made.append(window.Landshift.shape("path", { d: path }));
    return made;
  }

  function choice(label, options, value, onchange) {
    const select = node("select", { onchange: (event) => onchange(event.target.value) });
    for (const [key, text] of options) select.append(node("option", { value: key, selected: String(key) === String(value) }, text));
    return node("label", { class: "select" }, node("span", {}, label), select);
  }

  /** Settings that only the chosen layer has. */
  function controls(data, state, set) {
    const classes = data.classes.map((one) => [one.value, one.name]);
    const made = [];
    if (state.view === "change") {
      const told = new Set(layer(data, "change").slots);
      const options = [[0, "All changes"], ...classes.filter(([value]) => told.has(value))];
      made.push(choice("Show", options, state.klass, (value) => set({ klass: Number(value) })));
    }
    if (state.view === "districts") {
      made.push(choice("Class", classes, state.zoneClass, (value) => set({ zoneClass: Number(value) })));
      const kinds = Object.entries(MEASURES).filter(([key]) => data.years.length > 1 || !["change", "points"].includes(key));
      made.push(choice("Measure", kinds, state.measure, (measure) => set({ measure })));
    }
    if (state.view === "first_year") {
      const there = layer(data, "first_year").frames.map((frame) => frame.class);
      made.push(choice("First seen as", classes.filter(([value]) => there.includes(value)), state.firstClass, (value) => set({ firstClass: Number(value) })));
    }
    find("controls").replaceChildren(...made);
    find("controls").hidden = !made.length;
  }

  const layer = (data, id) => data.layers.find((one) => one.id === id);

  // --- legends --------------------------------------------------------------------------------------------

  function legend(data, state, act) {
    const host = find("legend");
    const title = { districts: () => `${className(data, state.zoneClass)}: ${MEASURES[state.measure].toLowerCase()}`, change: () => "What changed", first_year: () => "First seen in" }[state.view];
    find("legend-title").textContent = title ? title() : VIEWS[state.view].title;
    find("all-classes").hidden = !(state.view === "cover" && state.hidden.size);
    const draw = { cover, change, districts, first_year: firstYear, image, certainty }[state.view];
    host.className = `legend of-${state.view}`;
    host.replaceChildren(...draw(data, state, act));
  }

  function cover(data, state, act) {
    const at = data.years.indexOf(state.year);
    const areas = data.classes.map((one) => data.area?.[one.name]?.[at] ?? null);
    const total = areas.reduce((sum, area) => sum + (area || 0), 0);
    const since = data.years[0];
    const rows = data.classes.map((one, i) => {
      const first = data.area?.[one.name]?.[0];
      const shown = !state.hidden.has(one.value);
      const moved = areas[i] === null ? null : areas[i] - first;
      return node("button", {
        type: "button", class: "entry", "aria-pressed": String(shown), title: `${shown ? "Hide" : "Show"} ${one.name}`,
        onclick: () => act.toggle(one.value), ondblclick: () => act.only(one.value),
        onpointerenter: () => act.stress(one.name), onpointerleave: () => act.stress(null),
      }, swatch(one.colour), node("span", { class: "name" }, one.name),
      ...(data.area ? [node("b", {}, number(areas[i])), node("span", { class: "share" }, total ? `${number((100 * (areas[i] || 0)) / total, 1)} %` : ""),
      node("span", { class: `moved ${moved > 0 ? "up" : moved < 0 ? "down" : ""}` }, at > 0 ? signed(moved) : "")] : []));
    });
    if (!data.area) return rows;
    const head = node("p", { class: "entry heads" }, node("i"), node("span", { class: "name" }, String(state.year)), node("b", {}, "ha"), node("span", { class: "share" }, "share"), node("span", { class: "moved" }, at > 0 ? `since ${since}` : ""));
    const parts = data.classes.map((one, i) => node("i", { style: `flex:${areas[i] || 0};background:${one.colour}`, class: state.hidden.has(one.value) ? "off" : null, title: one.name }));
    return [node("div", { class: "stack", "aria-hidden": "true" }, ...parts), head, ...rows];
  }

  function change(data, state) {
    const rows = data.gains.filter(([from, to]) => from === state.from && to === state.to);
    const area = (name, part) => { const row = rows.find((one) => one[2] === name); return row ? row[part] : null; };
    const line = (colour, name, value, note) => node("p", { class: "entry" }, swatch(colour), node("span", { class: "name" }, name),
      note ? node("span", { class: "note" }, note) : null, node("b", {}, value === null ? "" : `${number(value)} ha`));
    if (!state.klass) {
      const told = new Set(layer(data, "change").slots);
      const became = data.classes.filter((one) => told.has(one.value)).map((one) => ({ one, area: area(one.name, 3) }));
      became.sort((a, b) => (b.area || 0) - (a.area || 0));
      return [node("p", { class: "hint" }, `Each pixel that changed from ${state.from} to ${state.to} has the colour of what it became.`),
        ...became.map((row) => line(row.one.colour, `to ${row.one.name}`, row.area)), line("var(--unchanged)", "unchanged", null)];
    }
    const one = data.classes.find((item) => item.value === state.klass);
    const [gain, loss] = [area(one.name, 3), area(one.name, 4)];
    const net = gain === null ? null : node("p", { class: "entry net" }, node("i"), node("span", { class: "name" }, "net"), node("b", {}, `${signed(gain - loss)} ha`));
    const flows = (data.transitions || []).filter(([first, last, was, now]) => first === state.from && last === state.to && was !== now);
    const parts = (at, other, word) => flows.filter((row) => row[at] === one.name && row[4] > 0).sort((a, b) => b[4] - a[4]).slice(0, 4)
      .map((row) => node("p", { class: "entry part" }, swatch(colourOf(data, row[other])), node("span", { class: "name" }, `${word} ${row[other]}`), node("b", {}, `${number(row[4])} ha`)));
    return [line(GAIN, `gained: became ${one.name}`, gain), ...parts(3, 2, "from"), line(LOSS, `lost: was ${one.name}`, loss), ...parts(2, 3, "to"), line(STABLE, `${one.name} in both years`, null), net].filter(Boolean);
  }

  /** Colours of first years: the newest stands out from the ground, on paper as on the dark. */
  function yearColours(data, state) {
    const years = layer(data, "first_year").legend;
    if (state.theme !== "dark") return years;
    const [start, ...later] = years;
    const turned = later.map((one, i) => ({ ...one, colour: later[later.length - 1 - i].colour }));
    return [{ ...start, colour: "#4a545a" }, ...turned];
  }

  function firstYear(data, state) {
    return yearColours(data, state).map((one) => node("p", { class: "entry" }, swatch(one.colour), node("span", { class: "name" }, one.name)));
  }

  function image(data, state) {
    const frame = layer(data, "image").frames.find((one) => one.year === state.year);
    const text = frame ? `True colour, ${day(frame.date)}. One stretch serves all years: a change of colour is a change of the ground or of the season.` : `No picture of ${state.year}.`;
    return [node("p", { class: "hint" }, text)];
  }

  function day(text) {
    return new Date(`${text}T00:00:00Z`).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric", timeZone: "UTC" });
  }

  function certainty(data) {
    const { ramp, from } = layer(data, "certainty");
    return [node("p", { class: "hint" }, "The model's probability of the class it chose. It is the model's own view, not a measured accuracy."),
      node("div", { class: "ramp", style: `background:linear-gradient(90deg,${ramp.join(",")})`, "aria-hidden": "true" }),
      node("p", { class: "ramp-ends" }, node("span", {}, `${from} % or less`), node("span", {}, `${(from + 100) / 2} %`), node("span", {}, "100 %"))];
  }

  // --- districts ------------------------------------------------------------------------------------------

  /** The measure of one district in one year; null where it has none. */
  function measured(data, state, zone, at) {
    const areas = data.zonal[zone]?.area;
    const name = data.classes.find((one) => one.value === state.zoneClass).name;
    if (!areas || areas[name][at] === null) return null;
    const share = (i) => {
      const total = data.classes.reduce((sum, one) => sum + (areas[one.name][i] || 0), 0);
      return total ? (100 * areas[name][i]) / total : null;
    };
    const value = { area: () => areas[name][at], share: () => share(at), change: () => areas[name][at] - areas[name][0], points: () => share(at) - share(0) };
    return value[state.measure]();
  }

  /** A colour between stops; where is 0 to 1. */
  function blend(stops, where) {
    const at = where * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    const part = (colour, i) => parseInt(colour.slice(1 + 2 * i, 3 + 2 * i), 16);
    const mixed = [0, 1, 2].map((i) => Math.round(part(stops[low], i) + (at - low) * (part(stops[low + 1], i) - part(stops[low], i))));
    return `#${mixed.map((value) => value.toString(16).padStart(2, "0")).join("")}`;
  }

  /** Breaks and colours that hold for all years, so that a play through time can be compared. */
  function scale(data, state) {
    const values = Object.keys(data.zonal).flatMap((zone) => data.years.map((_, at) => measured(data, state, zone, at))).filter((value) => value !== null);
    const two = ["change", "points"].includes(state.measure);
    let breaks;
    if (two) {
      const most = Math.max(...values.map(Math.abs), 1e-6);
      const half = steps(0, most, 4).slice(1);
      breaks = [...half.map((value) => -value).reverse(), 0, ...half];
    } else {
      breaks = steps(0, Math.max(...values, 1e-6), 7);
    }
    const count = breaks.length - 1;
    const run = (stops, length) => Array.from({ length }, (_, i) => blend(stops, length > 1 ? i / (length - 1) : 0.5));
    const ramp = two ? [...run(DIVERGING[state.theme].slice(0, 3), count / 2), ...run(DIVERGING[state.theme].slice(3), count / 2)] : run(SEQUENTIAL[state.theme], count);
    const colour = (value) => {
      if (value === null) return null;
      if (two && Math.abs(value) < 1e-9) return STILL[state.theme];
      const i = breaks.findIndex((edge, at) => at > 0 && value < edge);
      return ramp[i < 0 ? count - 1 : Math.max(i - 1, 0)];
    };
    return { breaks, ramp, colour, two };
  }

  function districts(data, state, act) {
    const { breaks, ramp, colour, two } = scale(data, state);
    const unit = UNITS[state.measure];
    const wide = breaks.at(-1) - breaks[0];
    const say = (value) => (two ? signed : number)(value, wide < 3 ? 2 : wide < 12 ? 1 : 0);
    const boxes = node("div", { class: "bins" }, ...ramp.map((fill) => node("i", { style: `background:${fill}` })));
    const ends = node("div", { class: "bin-ends" }, ...breaks.map((edge) => node("span", {}, say(edge))));
    const at = data.years.indexOf(state.year);
    const rows = Object.keys(data.zonal).map((zone) => ({ zone, value: measured(data, state, zone, at) }));
    rows.sort((a, b) => (b.value ?? -Infinity) - (a.value ?? -Infinity));
    const most = Math.max(...rows.map((row) => Math.abs(row.value ?? 0)), 1e-9);
    const more = rows.length - MOST_LISTED;
    const list = rows.slice(0, MOST_LISTED).map((row) => node("button", {
      type: "button", class: "entry", "aria-pressed": String(state.zone === row.zone), onclick: () => act.pick(state.zone === row.zone ? null : row.zone, true),
      onpointerenter: () => act.near(row.zone), onpointerleave: () => act.near(null),
    }, swatch(colour(row.value) || "transparent"), node("span", { class: "name" }, row.zone),
    node("span", { class: "meter", "aria-hidden": "true" }, node("i", { style: `width:${(100 * Math.abs(row.value ?? 0)) / most}%` })),
    node("b", {}, `${(two ? signed : number)(row.value)} ${unit}`)));
    const per = { share: `per cent of the mapped ${noun(data)}`, area: "hectares", change: `hectares since ${data.years[0]}`, points: `percentage points since ${data.years[0]}` };
    return [node("p", { class: "hint" }, `${state.year}, ${per[state.measure]}`), boxes, ends, node("div", { class: "list" }, ...list), more > 0 ? node("p", { class: "hint" }, `and ${more} more, on the map and in the tables`) : null].filter(Boolean);
  }

  const colourOf = (data, name) => data.classes.find((one) => one.name === name)?.colour ?? "transparent";
  const className = (data, value) => data.classes.find((one) => one.value === value)?.name ?? "";

  // --- figures --------------------------------------------------------------------------------------------

  function figures(data, state, act) {
    const zone = state.zone && data.zonal?.[state.zone] ? state.zone : null;
    const source = zone ? data.zonal[zone] : { area: data.area, gains: data.gains };
    find("figures-title").textContent = zone || "Whole area";
    find("unpick").hidden = !zone;
    const host = find("charts");
    if (!source.area) {
      host.replaceChildren(node("p", { class: "hint" }, "This output folder has no table of areas."));
      return;
    }
    const at = state.view === "change" ? data.years.indexOf(state.to) : data.years.indexOf(state.year);
    const series = data.classes.map((one) => {
      const values = source.area[one.name];
      return { name: one.name, colour: one.colour, values: state.relative ? values.map((v) => (v === null || values[0] === null ? null : v - values[0])) : values };
    }).filter((one) => one.values.some((value) => value));
    const plot = node("div", { class: "plot" });
    const tabs = data.years.length > 1 ? node("div", { class: "tabs", role: "group", "aria-label": "What the lines show" },
      ...[[false, "Area"], [true, `Since ${data.years[0]}`]].map(([key, text]) => node("button", { type: "button", "aria-pressed": String(state.relative === key), onclick: () => act.relative(key) }, text))) : null;
    if (data.years.length === 1) {
      const rows = series.map((one) => ({ ...one, value: one.values[0] })).sort((a, b) => b.value - a.value);
      charts.ranks(plot, rows, "ha");
      host.replaceChildren(node("h3", {}, `Area in ${data.years[0]}, hectares`), plot, table(data, source, zone, act));
      return;
    }
    const parts = [node("div", { class: "row" }, node("h3", {}, state.relative ? "Change of area, hectares" : "Area by year, hectares"), tabs), plot];
    const pairs = [...new Map(source.gains.map((row) => [`${row[0]}_${row[1]}`, [row[0], row[1]]])).values()];
    const [from, to] = figurePair(state, pairs);
    const moved = source.gains.filter((row) => row[0] === from && row[1] === to);
    if (moved.length) {
      const rows = data.classes.map((one) => {
        const row = moved.find((item) => item[2] === one.name);
        return row && { name: one.name, colour: one.colour, gain: row[3], loss: row[4] };
      }).filter(Boolean);
      const bars = node("div");
      charts.bars(bars, rows, "ha");
      parts.push(node("div", { class: "row" }, node("h3", {}, `Lost and gained, ${from} to ${to}`), node("span", { class: "heads-net" }, "net, ha")), bars);
    }
    parts.push(table(data, source, zone, act));
    host.replaceChildren(...parts);
    if (series.length) charts.lines(plot, { years: data.years, series, unit: "ha", at, change: state.relative });
    else plot.append(node("p", { class: "hint" }, "Nothing is mapped here."));
  }

  /** The pair of years of the bars: that of the change layer where it is shown, else the longest. */
  function figurePair(state, pairs) {
    if (state.view === "change" && pairs.some(([from, to]) => from === state.from && to === state.to)) return [state.from, state.to];
    return pairs.reduce((best, pair) => (!best || pair[1] - pair[0] > best[1] - best[0] ? pair : best), null) || [null, null];
  }

  function table(data, source, zone, act) {
    const head = node("tr", {}, node("th", { scope: "col" }, "ha"), ...data.years.map((year) => node("th", { scope: "col" }, String(year))));
    const rows = data.classes.map((one) => node("tr", {}, node("th", { scope: "row" }, one.name), ...source.area[one.name].map((value) => node("td", {}, number(value)))));
    return node("details", { class: "numbers" }, node("summary", {}, "Numbers"),
      node("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Areas by year" }, node("table", {}, node("caption", { class: "hide" }, `Area by year, ${zone || "whole area"}`), node("thead", {}, head), node("tbody", {}, ...rows))),
      node("button", { type: "button", class: "link", onclick: () => act.save(csv(data, source, zone), `${slug(zone || "whole area")}.csv`) }, "Save as CSV"));
  }

  function csv(data, source, zone) {
    const cell = (value) => (/[",\n]/.test(String(value)) ? `"${String(value).replace(/"/g, '""')}"` : String(value ?? ""));
    const rows = [["zone", "class", "year", "area_ha"]];
    for (const one of data.classes) data.years.forEach((year, at) => rows.push([zone || "whole area", one.name, year, source.area[one.name][at]]));
    return `${rows.map((row) => row.map(cell).join(",")).join("\n")}\n`;
  }

  const slug = (text) => text.toLowerCase().replace(/[^\w]+/g, "_");

  function downloads(data) {
    const links = data.tables.filter((name) => name in FILES).map((name) => node("a", { href: `tables/${name}.csv`, download: `${name}.csv` }, node("span", {}, FILES[name]), node("em", {}, "CSV")));
    if (data.report) links.unshift(node("a", { href: "report.html" }, node("span", {}, "Report: what was done, and how good it is"), node("em", {}, "HTML")));
    links.push(node("a", { href: "data.json", download: "data.json" }, node("span", {}, "All that this page shows"), node("em", {}, "JSON")));
    find("files").replaceChildren(...links);
  }

  function about(data) {
    const parts = [node("p", {}, "Areas are counted from the pixels of the maps: they are areas of mapped classes and carry the maps' errors. How good they are is said in the ", data.report ? node("a", { href: "report.html" }, "report") : "report of the run", ".")];
    if (data.simulated) parts.push(node("p", {}, "Simulated: the scenes were computed, not taken by a satellite. No figure here describes a real place."));
    if (data.attribution) parts.push(node("p", {}, data.attribution));
    const made = [data.provenance.landshift && `Made with landshift ${data.provenance.landshift}`, data.provenance.recipe && `recipe ${data.provenance.recipe}`].filter(Boolean).join(", ");
    parts.push(node("p", {}, `${made || "Made with landshift"}. Map library: `, node("a", { href: "vendor/maplibre-gl-LICENSE.txt" }, "MapLibre GL JS"), "."));
    find("about").replaceChildren(...parts);
  }

  // --- what stood at one point ----------------------------------------------------------------------------

  /** Runs of years with one class: [{from, to, klass}]. */
  function history(data, values) {
    const runs = [];
    data.years.forEach((year, i) => {
      const last = runs.at(-1);
      if (last && last.value === values[i]) last.to = year;
      else runs.push({ from: year, to: year, value: values[i] });
    });
    return runs;
  }

  async function probe(data, state, lng, lat) {
    const frames = layer(data, "cover").frames;
    const values = await Promise.all(frames.map((frame) => tiles.valueAt(frame.tiles, lng, lat)));
    if (!values.some(Boolean)) return null;
    const by = (value) => data.classes.find((one) => one.value === value);
    const strip = node("div", { class: "strip", "aria-hidden": "true" }, ...values.map((value, i) => node("i", { class: data.years[i] === state.year ? "now" : null, style: `background:${by(value)?.colour || "transparent"}`, title: `${data.years[i]}: ${by(value)?.name || "no data"}` })));
    const runs = history(data, values).map((run) => node("li", {}, swatch(by(run.value)?.colour || "transparent"), node("span", {}, by(run.value)?.name || "no data"), node("em", {}, run.from === run.to ? `${run.from}` : `${run.from}–${run.to}`)));
    const sure = layer(data, "certainty")?.frames.find((frame) => frame.year === state.year);
    const percent = sure ? await tiles.valueAt(sure.tiles, lng, lat) : 0;
    const place = `${Math.abs(lat).toFixed(4)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lng).toFixed(4)}° ${lng < 0 ? "W" : "E"}`;
    return node("div", { class: "probe" }, state.zone ? node("h3", {}, state.zone) : null, strip, node("ul", {}, ...runs),
      node("p", {}, node("span", {}, place), percent ? node("span", { title: `The model's probability of its class in ${state.year}` }, `${percent} % sure`) : null));
  }

  Object.assign(window.Landshift, {
    panel: { VIEWS, viewTitle, noun, capital, GAIN, LOSS, STABLE, views, switcher, controls, legend, figures, downloads, about, measured, scale, probe, yearColours, layer, className, UNITS, choice, find },
  });
})();
