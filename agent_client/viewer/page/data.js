"use strict";
// Where the page's data comes from: blocks of compressed data in the file itself, or a server.
// Needs nothing. Defines: loadIndex, loadEpisode, forgetEpisodes, followChanges.

/** Opened episodes that stay in memory, the latest ones; a long one can be megabytes. */
const KEPT_EPISODES = 40;
/** Parsed blocks that stay in memory. */
const KEPT_BLOCKS = 6;

/** @type {Map<string, Promise<any>>} */
const episodesInMemory = new Map();
/** @type {Map<string, Promise<EpisodeView[]>>} */
const blocksInMemory = new Map();

/** @returns {Promise<ViewIndex>} */
async function loadIndex() {
  const block = document.getElementById("index");
  return block ? readBlock(block.textContent ?? "") : fetchJson("index");
}

/**
 * @param {ViewIndex} index
 * @param {number} run
 * @param {number} row
 * @returns {Promise<EpisodeView>}
 */
function loadEpisode(index, run, row) {
  return remembered(episodesInMemory, KEPT_EPISODES, `${run}/${row}`, async () => {
    const shardRows = index.shard_rows ?? 0;
    if (!shardRows) return fetchJson(`episodes/${run}/${row}`);
    const episodes = await loadBlock(`data-${run}-${Math.floor(row / shardRows)}`);
    const episode = episodes[row % shardRows];
    if (!episode) throw new Error("This file holds no record of the question.");
    return episode;
  });
}

/** Lets the server be asked anew, after a change. */
function forgetEpisodes() {
  episodesInMemory.clear();
}

/**
 * @param {string} id
 * @returns {Promise<EpisodeView[]>}
 */
function loadBlock(id) {
  return remembered(blocksInMemory, KEPT_BLOCKS, id, async () => {
    const element = await arrived(id);
    if (!element) throw new Error("This file is cut off: the block of the question is missing.");
    return readBlock(element.textContent ?? "");
  });
}

/**
 * @template Value
 * @param {Map<string, Promise<Value>>} memory its first entry was used longest ago
 * @param {number} size
 * @param {string} key
 * @param {() => Promise<Value>} load
 * @returns {Promise<Value>}
 */
function remembered(memory, size, key, load) {
  const value = memory.get(key) ?? load();
  memory.delete(key);
  memory.set(key, value);
  value.catch(() => memory.delete(key));
  for (const oldest of memory.keys()) {
    if (memory.size <= size) break;
    memory.delete(oldest);
  }
  return value;
}

/**
 * A block of the file, once the parser is behind it; null where the file ends without it.
 * @param {string} id
 * @returns {Promise<HTMLElement | null>}
 */
function arrived(id) {
  const isWhole = () => {
    const element = document.getElementById(id);
    return document.readyState !== "loading" || element?.nextSibling;
  };
  return new Promise((resolve) => {
    const look = () => {
      if (!isWhole()) return;
      watcher.disconnect();
      document.removeEventListener("DOMContentLoaded", look);
      resolve(document.getElementById(id));
    };
    const watcher = new MutationObserver(look);
    watcher.observe(document.body, { childList: true });
    document.addEventListener("DOMContentLoaded", look);
    look();
  });
}

/**
 * @param {string} base64 of JSON, compressed with gzip
 */
async function readBlock(base64) {
  const packed = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const unpacked = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(unpacked).json();
}

/** @param {string} address below the page's */
async function fetchJson(address) {
  const response = await fetch(address, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`The viewer's server answered ${response.status}.`);
  return response.json();
}

/**
 * Follows a run that is being written.
 * @param {(index: ViewIndex) => void} onIndex
 * @param {(isConnected: boolean) => void} onConnection
 */
function followChanges(onIndex, onConnection) {
  const changes = new EventSource("changes");
  let isAsking = false;
  let isStale = false;
  const refresh = async () => {
    isStale = true;
    if (isAsking) return;
    isAsking = true;
    try {
      while (isStale) {
        isStale = false;
        onIndex(await fetchJson("index"));
      }
    } catch {
      onConnection(false);
    } finally {
      isAsking = false;
    }
  };
  changes.addEventListener("index", refresh);
  changes.addEventListener("open", () => onConnection(true));
  changes.addEventListener("error", () => onConnection(false));
}
