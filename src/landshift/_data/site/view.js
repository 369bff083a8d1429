// One map on the page: a plain ground, pictures that follow each other without a flash, districts on top.
"use strict";

(() => {
  const SHEET = { light: "#f7f7f4", dark: "#1b2226" };
  const FLAT = { light: "#e9ecea", dark: "#0c1114" };
  const LINE = { light: "#26332e", dark: "#e9f0ee" };
  const HALO = { light: "#ffffff", dark: "#0c1114" };

  class View {
    /**
     * @param container the element
     * @param data data.json
     * @param theme "light" or "dark"
     * @param camera {center, zoom} or null for the whole area
     */
    constructor(container, data, theme, camera) {
      this.data = data;
      this.theme = theme;
      this.current = null;
      this.drawn = new Map();  // picture -> address of its tiles
      const [west, south, east, north] = data.grid.bounds;
      const place = camera || { bounds: [[west, south], [east, north]], fitBoundsOptions: { padding: View.padding() } };
      this.map = new maplibregl.Map({
        container,
        style: this.ground(),
        ...place,
        minZoom: Math.max(data.grid.min_zoom - 1, 0),
        maxZoom: Math.min(data.grid.max_zoom + 3, 22),
        attributionControl: false,
        dragRotate: false,
        pitchWithRotate: false,
        touchPitch: false,
        renderWorldCopies: false,
        fadeDuration: 0,
      });
      this.map.touchZoomRotate.disableRotation();
      this.map.keyboard.disableRotation();
      this.ready = new Promise((resolve) => this.map.once("load", resolve)).then(() => this.addDistricts());
    }

    static padding() {
      const narrow = window.innerWidth < 900;
      return narrow ? { top: 26, bottom: 110, left: 22, right: 22 } : { top: 44, bottom: 122, left: 64, right: 84 };
    }

    ground() {
      const style = {
        version: 8,
        sources: {},
        layers: [{ id: "ground", type: "background", paint: { "background-color": FLAT[this.theme] } }],
      };
      style.sources.sheet = { type: "geojson", data: this.data.grid.footprint };
      const base = this.data.basemap;
      if (base) {
        style.sources.basemap = { type: "raster", tileSize: 256, maxzoom: 19, ...base };
        style.layers.push({ id: "basemap", type: "raster", source: "basemap" });
      } else {
        style.layers.push({ id: "sheet", type: "fill", source: "sheet", paint: { "fill-color": SHEET[this.theme] } });
      }
      return style;
    }

    addDistricts() {
      const shapes = this.data.districts;
      if (!shapes) return;
      this.map.addSource("districts", { type: "geojson", data: shapes });
      const on = (state, yes, no) => ["case", ["boolean", ["feature-state", state], false], yes, no];
      this.map.addLayer({
        id: "district-fill", type: "fill", source: "districts",
        paint: { "fill-color": ["to-color", ["feature-state", "colour"], "rgba(0,0,0,0)"], "fill-opacity": 0 },
      });
      this.map.addLayer({
        id: "district-halo", type: "line", source: "districts", layout: { "line-join": "round" },
        paint: {
          "line-color": HALO[this.theme],
          "line-opacity": on("picked", 0.95, 0.5),
          "line-width": on("picked", 6, 2.6),
        },
      });
      this.map.addLayer({
        id: "district-line", type: "line", source: "districts", layout: { "line-join": "round" },
        paint: {
          "line-color": LINE[this.theme],
          "line-opacity": on("picked", 1, on("near", 0.95, 0.6)),
          "line-width": on("picked", 2.6, on("near", 1.8, 0.9)),
        },
      });
      const names = shapes.features.map((one) => ({ type: "Feature", properties: { zone: one.properties.zone }, geometry: { type: "Point", coordinates: one.properties.label } }));
      this.map.addSource("district-names", { type: "geojson", data: { type: "FeatureCollection", features: names } });
      this.map.addLayer({
        id: "district-name", type: "symbol", source: "district-names",
        layout: { "text-field": ["get", "zone"], "text-font": ["sans-serif"], "text-size": 12.5, "text-max-width": 8, "text-padding": 6 },
        paint: { "text-color": LINE[this.theme], "text-halo-color": HALO[this.theme], "text-halo-width": 1.6 },
      });
    }

    setTheme(theme) {
      this.theme = theme;
      this.map.setPaintProperty("ground", "background-color", FLAT[theme]);
      if (this.map.getLayer("sheet")) this.map.setPaintProperty("sheet", "fill-color", SHEET[theme]);
      if (this.map.getLayer("district-line")) {
        this.map.setPaintProperty("district-line", "line-color", LINE[theme]);
        this.map.setPaintProperty("district-halo", "line-color", HALO[theme]);
        this.map.setPaintProperty("district-name", "text-color", LINE[theme]);
        this.map.setPaintProperty("district-name", "text-halo-color", HALO[theme]);
      }
    }

    setBorders(visible) {
      for (const id of ["district-halo", "district-line", "district-name"]) {
        if (this.map.getLayer(id)) this.map.setLayoutProperty(id, "visibility", visible ? "visible" : "none");
      }
    }

    /** Fill districts with colours, by feature id; null empties them. */
    fill(colours, opacity) {
      if (!this.map.getLayer("district-fill")) return;
      if (colours) {
        for (const [id, colour] of colours) {
          this.map.setFeatureState({ source: "districts", id }, { colour: colour || "rgba(0,0,0,0)" });
        }
      }
      this.map.setPaintProperty("district-fill", "fill-opacity", colours ? opacity : 0);
    }

    state(id, state) {
      if (this.map.getSource("districts")) this.map.setFeatureState({ source: "districts", id }, state);
    }

    /**
     * Show one picture above all others, and hide them once it is there.
     * @param frame a frame of data.json, or null for none
     * @param style name of a palette, or "" for the tiles' own
     * @returns a promise that settles when the picture is drawn
     */
    show(frame, style, { opacity, smooth, pale }) {
      const next = frame ? frame.tiles : null;
      if (next && !this.map.getSource(next)) this.add(frame, style, smooth);
      if (next) {
        const wanted = url(frame, style);
        if (this.drawn.get(next) !== wanted) this.map.getSource(next).setTiles([wanted]);
        this.drawn.set(next, wanted);
        const before = this.map.getLayer("district-fill") ? "district-fill" : undefined;
        this.map.moveLayer(next, before);
        this.map.setLayoutProperty(next, "visibility", "visible");
        this.map.setPaintProperty(next, "raster-opacity", opacity);
        this.map.setPaintProperty(next, "raster-saturation", pale ? -1 : 0);
      }
      this.current = next;
      return this.loaded(next).then(() => {
        if (this.current === next) this.hideOthers(next);
      });
    }

    add(frame, style, smooth) {
      this.drawn.set(frame.tiles, url(frame, style));
      const [west, south, east, north] = this.data.grid.bounds;
      this.map.addSource(frame.tiles, {
        type: "raster",
        tiles: [url(frame, style)],
        tileSize: this.data.grid.tile_px,
        minzoom: this.data.grid.min_zoom,
        maxzoom: this.data.grid.max_zoom,
        bounds: [west, south, east, north],
      });
      this.map.addLayer({
        id: frame.tiles, type: "raster", source: frame.tiles,
        paint: { "raster-fade-duration": 0, "raster-resampling": smooth ? "linear" : "nearest" },
      });
    }

    hideOthers(next) {
      for (const layer of this.map.getStyle().layers) {
        if (layer.type === "raster" && layer.id !== next && layer.id !== "basemap") {
          if (this.map.getLayoutProperty(layer.id, "visibility") !== "none") {
            this.map.setLayoutProperty(layer.id, "visibility", "none");
          }
        }
      }
    }

    loaded(id) {
      if (!id) return Promise.resolve();
      return new Promise((resolve) => {
        const settle = () => {
          if (this.current !== id || (this.map.getSource(id) && this.map.isSourceLoaded(id))) {
            this.map.off("render", settle);
            clearTimeout(late);
            resolve();
          }
        };
        const late = setTimeout(() => { this.map.off("render", settle); resolve(); }, 4000);
        this.map.on("render", settle);
        this.map.triggerRepaint();
      });
    }

    home(animate) {
      const [west, south, east, north] = this.data.grid.bounds;
      this.map.fitBounds([[west, south], [east, north]], { padding: View.padding(), animate });
    }
  }

  function url(frame, style) {
    return `landshift://${frame.tiles}/{z}/{x}/{y}${style ? `?${style}` : ""}`;
  }

  /** Let two maps move as one. */
  function tie(one, other) {
    let busy = false;
    const follow = (from, to) => () => {
      if (busy) return;
      busy = true;
      to.jumpTo({ center: from.getCenter(), zoom: from.getZoom() });
      busy = false;
    };
    const pair = [follow(one, other), follow(other, one)];
    one.on("move", pair[0]);
    other.on("move", pair[1]);
    return () => { one.off("move", pair[0]); other.off("move", pair[1]); };
  }

  Object.assign(window.Landshift, { View, tie });
})();
