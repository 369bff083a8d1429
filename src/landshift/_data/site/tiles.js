// Tiles: where their bytes come from, how their palette is changed, and what stands in one pixel.
//
// Tiles that do not exist are never asked for: data.json lists those that do. From a web host they are plain
// files; where the page was opened from disk, browsers read no files but scripts, so they come in packs.
"use strict";

(() => {
  const EMPTY = bytesOf("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAAC0lEQVR42mNgAAIAAAUAAen63NgAAAAASUVORK5CYII=");
  const KEPT = 600;
  const packs = new Map();   // path of a script -> promise of its being there
  const packed = new Map();  // "cover/2018/14/1/2" -> base64
  const kept = new Map();    // the bytes last used, oldest first
  const styles = new Map();  // name of a style -> {index: [r, g, b, a]}
  let index = new Map();     // "cover/2018" -> {suffix, rows: zoom -> y -> [[first, last]]}
  let grid = null;
  let offline = false;

  window.landshiftPack = (name, tiles) => {
    for (const [at, text] of Object.entries(tiles)) packed.set(`${name}/${at}`, text);
  };

  function bytesOf(text) {
    const letters = atob(text);
    const bytes = new Uint8Array(letters.length);
    for (let i = 0; i < letters.length; i += 1) bytes[i] = letters.charCodeAt(i);
    return bytes;
  }

  /** Learn from data.json which tiles there are. */
  function register(data, fromDisk) {
    grid = data.grid;
    offline = fromDisk;
    const coverage = data.coverage.map((zooms) => {
      const found = new Map();
      for (const [zoom, runs] of Object.entries(zooms)) {
        const rows = new Map();
        for (const [y, first, last] of runs) {
          if (!rows.has(y)) rows.set(y, []);
          rows.get(y).push([first, last]);
        }
        found.set(Number(zoom), rows);
      }
      return found;
    });
    index = new Map();
    for (const layer of data.layers) {
      for (const frame of layer.frames) {
        index.set(frame.tiles, { suffix: frame.suffix, rows: coverage[frame.coverage] });
      }
    }
    maplibregl.addProtocol("landshift", async ({ url }) => {
      const [path, query] = url.slice("landshift://".length).split("?");
      const parts = path.split("/");
      const [z, x, y] = parts.splice(-3).map(Number);
      const bytes = await load(parts.join("/"), z, x, y);
      if (!bytes) return { data: EMPTY.slice().buffer };
      const style = query && styles.get(query);
      return { data: (style ? recolour(bytes, style) : bytes.slice()).buffer };
    });
  }

  function exists(name, z, x, y) {
    const runs = index.get(name)?.rows.get(z)?.get(y);
    return Boolean(runs && runs.some(([first, last]) => first <= x && x <= last));
  }

  /** The bytes of a tile, or null where there is none. Tiles are small: one that is asked for is kept, wanted or not. */
  async function load(name, z, x, y) {
    if (!exists(name, z, x, y)) return null;
    const key = `${name}/${z}/${x}/${y}`;
    const had = kept.get(key);
    if (had) {
      kept.delete(key);
      kept.set(key, had);
      return had;
    }
    const bytes = offline ? await fromPack(name, z, x, y) : await fromHost(key, index.get(name).suffix);
    kept.set(key, bytes);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    return bytes;
  }

  async function fromHost(key, suffix) {
    const answer = await fetch(`tiles/${key}.${suffix}`);
    if (!answer.ok) throw new Error(`tile ${key}: ${answer.status}`);
    return new Uint8Array(await answer.arrayBuffer());
  }

  async function fromPack(name, z, x, y) {
    const cut = Math.max(grid.max_zoom - 3, grid.min_zoom);
    const up = z - cut;
    const file = up >= 0 ? `${cut}_${x >> up}_${y >> up}` : "top";
    const path = `packs/${name}/${file}.js`;
    if (!packs.has(path)) packs.set(path, script(path));
    await packs.get(path);
    return bytesOf(packed.get(`${name}/${z}/${x}/${y}`));
  }

  function script(path) {
    return new Promise((resolve, reject) => {
      const node = document.createElement("script");
      node.src = path;
      node.onload = resolve;
      node.onerror = () => reject(new Error(`${path} is missing`));
      document.head.append(node);
    });
  }

  // --- palettes -------------------------------------------------------------------------------------------

  const CRC = new Uint32Array(256).map((_, n) => {
    let c = n;
    for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    return c;
  });

  function crc(bytes, from, to) {
    let c = 0xffffffff;
    for (let i = from; i < to; i += 1) c = CRC[(c ^ bytes[i]) & 255] ^ (c >>> 8);
    return (c ^ 0xffffffff) >>> 0;
  }

  /** The chunks of a PNG: name -> {from, to} of their data. */
  function chunks(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const found = {};
    for (let at = 8; at < bytes.length; ) {
      const length = view.getUint32(at);
      const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
      found[name] = { from: at + 8, to: at + 8 + length };
      at += 12 + length;
    }
    return found;
  }

  /** The same picture with other colours; indices without one become transparent. */
  function recolour(bytes, style) {
    const made = bytes.slice();
    const view = new DataView(made.buffer);
    const { PLTE, tRNS } = chunks(made);
    for (let i = 0; i < tRNS.to - tRNS.from; i += 1) {
      const colour = style[i] || [0, 0, 0, 0];
      made.set(colour.slice(0, 3), PLTE.from + 3 * i);
      made[tRNS.from + i] = colour[3];
    }
    for (const { from, to } of [PLTE, tRNS]) view.setUint32(to, crc(made, from - 4, to));
    return made;
  }

  /** Name a style; tiles asked for with this name are drawn in it. */
  function style(colours) {
    const name = JSON.stringify(colours).replace(/[^\w]+/g, "_");
    let hash = 0;
    for (let i = 0; i < name.length; i += 1) hash = (Math.imul(hash, 31) + name.charCodeAt(i)) | 0;
    const key = `s${(hash >>> 0).toString(36)}`;
    styles.set(key, colours);
    return key;
  }

  // --- one pixel ------------------------------------------------------------------------------------------

  /** The value under a point at the finest zoom; 0 where nothing is. */
  async function valueAt(name, lng, lat) {
    const z = grid.max_zoom;
    const side = 2 ** z;
    const across = ((lng + 180) / 360) * side;
    const sine = Math.sin((lat * Math.PI) / 180);
    const down = (0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI)) * side;
    const bytes = await load(name, z, Math.floor(across), Math.floor(down));
    if (!bytes) return 0;
    return pixel(bytes, Math.floor((across % 1) * grid.tile_px), Math.floor((down % 1) * grid.tile_px));
  }

  async function pixel(bytes, col, row) {
    const { IHDR, IDAT } = chunks(bytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const width = view.getUint32(IHDR.from);
    const bits = bytes[IHDR.from + 8];
    const stream = new Blob([bytes.subarray(IDAT.from, IDAT.to)]).stream();
    const inflated = stream.pipeThrough(new DecompressionStream("deflate"));
    const rows = new Uint8Array(await new Response(inflated).arrayBuffer());
    const per = 8 / bits;  // rows are stored as they are, each behind one filter byte of 0
    const byte = rows[row * (1 + width / per) + 1 + Math.floor(col / per)];
    return (byte >> (8 - bits * ((col % per) + 1))) & ((1 << bits) - 1);
  }

  window.Landshift = { tiles: { register, style, valueAt, exists } };
})();
