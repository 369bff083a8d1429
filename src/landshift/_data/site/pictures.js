// Which picture belongs to the state, and in which colours its tiles are drawn.
"use strict";

(() => {
  const { panel, tiles } = window.Landshift;
  const { layer } = panel;

  /** The picture of a layer that belongs to the state, with its palette. */
  function picture(data, state, view, year) {
    const frames = layer(data, view === "districts" ? "cover" : view)?.frames || [];
    if (view === "change") return { frame: frames.find((one) => one.from === state.from && one.to === state.to), style: changeStyle(data, state) };
    if (view === "first_year") return { frame: frames.find((one) => one.class === state.firstClass), style: firstStyle(data, state) };
    const frame = frames.find((one) => one.year === year);
    if (view === "cover") return { frame, style: coverStyle(data, state) };
    return { frame, style: "", smooth: view === "image" };
  }

  const rgba = (colour, alpha = 255) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)).concat(alpha);

  function coverStyle(data, state) {
    if (!state.hidden.size) return "";
    const colours = {};
    for (const one of data.classes) if (!state.hidden.has(one.value)) colours[one.value] = rgba(one.colour);
    return tiles.style(colours);
  }

  function changeStyle(data, state) {
    const { slots } = layer(data, "change");
    const side = slots.length + 1;
    const slot = slots.indexOf(state.klass) + 1;
    const quiet = rgba(state.theme === "dark" ? "#1b2226" : "#f7f7f4");
    const colours = {};
    for (let was = 0; was < side; was += 1) {
      for (let now = 0; now < side; now += 1) {
        const code = 1 + was * side + now;
        if (slot) {
          const kind = was === slot ? (now === slot ? panel.STABLE : panel.LOSS) : now === slot ? panel.GAIN : null;
          colours[code] = kind ? rgba(kind, 255) : quiet;
        } else {
          const became = data.classes.find((one) => one.value === slots[now - 1]);
          colours[code] = was === now ? quiet : rgba(became ? became.colour : "#8d8d8d");
        }
      }
    }
    return tiles.style(colours);
  }

  function firstStyle(data, state) {
    const colours = panel.yearColours(data, state).map((one) => [one.value, rgba(one.colour)]);
    return tiles.style(Object.fromEntries(colours));
  }

  window.Landshift.picture = picture;
})();
