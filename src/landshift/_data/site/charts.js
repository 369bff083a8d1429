// Charts as plain SVG: lines by year with labels at their ends, and bars of what was gained and lost.
"use strict";

(() => {
  const SVG = "http://www.w3.org/2000/svg";

  /** Make an element: node("p", {class: "x"}, "text", child, ...). */
  function node(name, attrs = {}, ...children) {
    return filled(document.createElement(name), attrs, children);
  }

  function shape(name, attrs = {}, ...children) {
    return filled(document.createElementNS(SVG, name), attrs, children);
  }

  function filled(made, attrs, children) {
    for (const [key, value] of Object.entries(attrs)) {
      if (value === null || value === undefined || value === false) continue;
      if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
      else if (key === "style") made.style.cssText = value;
      else made.setAttribute(key, value === true ? "" : value);
    }
    made.append(...children.filter((child) => child !== null && child !== undefined));
    return made;
  }

  // --- numbers --------------------------------------------------------------------------------------------

  function number(value, digits) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    const size = Math.abs(value);
    const places = digits ?? (size === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2);
    const text = value.toLocaleString("en-GB", { minimumFractionDigits: places, maximumFractionDigits: places });
    return text.replace(/,/g, "\u202f").replace("-", "\u2212");
  }

  function signed(value, digits) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    const text = number(value, digits);
    return value > 0 && /[1-9]/.test(text) ? `+${text}` : /[1-9]/.test(text) ? text : text.replace("\u2212", "");
  }

  /** Round steps that cover a range: about `count` of them. */
  function steps(low, high, count) {
    if (!(high > low)) return [low, low + (Math.abs(low) || 1)];
    const rough = (high - low) / count;
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 2.5, 5, 10].map((part) => part * power).find((part) => part >= rough * 0.999);
    const first = Math.floor(low / step + 1e-9);
    const last = Math.ceil(high / step - 1e-9);
    return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
  }

  // --- lines ----------------------------------------------------------------------------------------------

  /**
   * @param data {years, series: [{name, colour, values}], unit, at, change}
   */
  function lines(host, data) {
    const width = Math.max(host.clientWidth || 320, 240);
    const height = 208;
    const labels = Math.min(104, width * 0.3);
    const area = { left: 40, right: width - labels, top: 12, bottom: height - 22 };
    const all = data.series.flatMap((one) => one.values).filter((value) => value !== null);
    const ticks = steps(Math.min(0, ...all), Math.max(0, ...all), 4);
    const [low, high] = [ticks[0], ticks.at(-1)];
    const gap = data.years.length > 1 ? (area.right - area.left) / (data.years.length - 1) : 0;
    const x = (i) => (gap ? area.left + i * gap : (area.left + area.right) / 2);
    const y = (value) => area.bottom - ((value - low) / (high - low || 1)) * (area.bottom - area.top);

    const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": said(data) });
    for (const tick of ticks) {
      svg.append(shape("line", { x1: area.left, x2: area.right, y1: y(tick), y2: y(tick), class: tick === 0 ? "axis" : "grid" }));
      const digits = high - low < 3 ? 2 : high - low < 15 ? 1 : 0;
      svg.append(shape("text", { x: area.left - 7, y: y(tick) + 3.5, class: "tick end" }, data.change ? signed(tick, digits) : number(tick, digits)));
    }
    const every = Math.ceil(data.years.length / Math.max(Math.floor((area.right - area.left) / 42), 1));
    data.years.forEach((year, i) => {
      if ((data.years.length - 1 - i) % every === 0) {
        svg.append(shape("text", { x: x(i), y: height - 5, class: `tick middle${i === data.at ? " now" : ""}` }, String(year)));
      }
    });
    if (data.at >= 0) svg.append(shape("line", { x1: x(data.at), x2: x(data.at), y1: area.top, y2: area.bottom, class: "now" }));
    for (const one of data.series) {
      const group = shape("g", { class: "series", "data-name": one.name });
      const points = one.values.map((value, i) => (value === null ? null : [x(i), y(value)]));
      const path = points.map((at, i) => (at ? `${i && points[i - 1] ? "L" : "M"}${at[0].toFixed(1)} ${at[1].toFixed(1)}` : "")).join("");
      group.append(shape("path", { d: path, class: "halo" }), shape("path", { d: path, class: "stroke", stroke: one.colour }));
      points.forEach((at, i) => {
        if (at) group.append(shape("circle", { cx: at[0], cy: at[1], r: i === data.at ? 3.6 : 1.7, fill: one.colour, class: "dot" }));
      });
      svg.append(group);
    }
    ends(svg, data, { x: area.right, y, bottom: area.bottom, top: area.top });
    hover(host, svg, data, { x, y, area, gap });
    host.replaceChildren(svg, ...host.querySelectorAll(":scope > .tip"));
  }

  /** Names at the ends of lines, moved apart where they would touch. */
  function ends(svg, data, place) {
    const wanted = data.series
      .map((one) => ({ one, value: one.values.at(-1) }))
      .filter(({ value }) => value !== null && value !== undefined)
      .map(({ one, value }) => ({ one, from: place.y(value), at: place.y(value) }))
      .sort((a, b) => a.at - b.at);
    const apart = Math.min(13.5, (place.bottom - place.top + 12) / Math.max(wanted.length - 1, 1));
    for (let round = 0; round < 60; round += 1) {
      for (let i = 1; i < wanted.length; i += 1) {
        const short = apart - (wanted[i].at - wanted[i - 1].at);
        if (short > 0) { wanted[i].at += short / 2; wanted[i - 1].at -= short / 2; }
      }
      for (const label of wanted) label.at = Math.min(Math.max(label.at, place.top - 2), place.bottom + 2);
    }
    for (const { one, from, at } of wanted) {
      const text = one.name.length > 14 ? `${one.name.slice(0, 13)}…` : one.name;
      svg.append(
        shape("path", { d: `M${place.x + 4} ${from} L${place.x + 11} ${at}`, class: "lead", stroke: one.colour }),
        shape("text", { x: place.x + 15, y: at + 3.6, class: "label", "data-name": one.name }, text),
      );
    }
  }

  function hover(host, svg, data, place) {
    let tip = host.querySelector(":scope > .tip");
    if (!tip) { tip = node("div", { class: "tip", hidden: true }); host.append(tip); }
    tip.hidden = true;
    const rule = shape("line", { class: "rule", y1: place.area.top, y2: place.area.bottom, visibility: "hidden" });
    svg.append(rule);
    svg.onpointermove = (event) => {
      const box = svg.getBoundingClientRect();
      const scale = place.area.right / (box.width * (place.area.right / svg.viewBox.baseVal.width));
      const at = (event.clientX - box.left) * scale;
      const i = Math.min(Math.max(Math.round(place.gap ? (at - place.area.left) / place.gap : 0), 0), data.years.length - 1);
      rule.setAttribute("x1", place.x(i));
      rule.setAttribute("x2", place.x(i));
      rule.setAttribute("visibility", "visible");
      const rows = data.series
        .filter((one) => one.values[i] !== null)
        .sort((a, b) => b.values[i] - a.values[i])
        .map((one) => node("span", {}, swatch(one.colour), one.name, node("b", {}, (data.change ? signed : number)(one.values[i]))));
      tip.replaceChildren(node("strong", {}, `${data.years[i]}`, node("em", {}, data.unit)), ...rows);
      tip.hidden = false;
      const middle = place.x(i) / scale;
      tip.style.left = `${Math.max(0, middle > box.width / 2 ? middle - tip.offsetWidth - 12 : middle + 12)}px`;
    };
    svg.onpointerleave = () => { tip.hidden = true; rule.setAttribute("visibility", "hidden"); };
  }

  function said(data) {
    const parts = data.series.map((one) => {
      const sure = one.values.filter((value) => value !== null);
      return `${one.name} ${number(sure[0])} to ${number(sure.at(-1))}`;
    });
    return `${data.change ? "Change" : "Area"} by year in ${data.unit}, ${data.years[0]} to ${data.years.at(-1)}: ${parts.join("; ")}`;
  }

  // --- bars -----------------------------------------------------------------------------------------------

  /** @param rows [{name, colour, gain, loss}] in hectares */
  function bars(host, rows, unit) {
    const most = Math.max(...rows.flatMap((row) => [row.gain, row.loss]), 1e-9);
    const made = rows.map((row) => {
      const net = row.gain - row.loss;
      const line = `${row.name}: gained ${number(row.gain)}, lost ${number(row.loss)}, net ${signed(net)} ${unit}`;
      return node("li", { title: line },
        node("span", { class: "name" }, swatch(row.colour), node("span", {}, row.name)),
        node("span", { class: "pair", "aria-hidden": "true" },
          node("span", { class: "lost" }, node("i", { style: `width:${(100 * row.loss) / most}%` })),
          node("span", { class: "got" }, node("i", { style: `width:${(100 * row.gain) / most}%` })),
          node("u", { style: `left:${50 + (50 * net) / most}%` })),
        node("b", {}, signed(net)),
        node("span", { class: "hide" }, line));
    });
    host.replaceChildren(node("ul", { class: "bars" }, ...made));
  }

  /** @param rows [{name, colour, value}], the largest first */
  function ranks(host, rows, unit) {
    const most = Math.max(...rows.map((row) => row.value), 1e-9);
    const made = rows.map((row) => node("li", { title: `${row.name}: ${number(row.value)} ${unit}` },
      node("span", { class: "name" }, swatch(row.colour), node("span", {}, row.name)),
      node("span", { class: "rank", "aria-hidden": "true" }, node("i", { style: `width:${(100 * row.value) / most}%;background:${row.colour}` })),
      node("b", {}, number(row.value))));
    host.replaceChildren(node("ul", { class: "bars" }, ...made));
  }

  function swatch(colour) {
    return node("i", { class: "swatch", style: `background:${colour}`, "aria-hidden": "true" });
  }

  Object.assign(window.Landshift, { node, shape, number, signed, steps, swatch, charts: { lines, bars, ranks } });
})();
