// Asking the server: answers are kept, asked anew when their run has grown, and shown as they were until the new one is there.

import { ofTraining } from './columns.js';
import { NOT_RECORDED } from './format.js';

/**
 * @template T
 * @typedef {import('./types.js').Resource<T>} Resource
 */

/** Answers kept: enough for the layers that one looks at, few enough not to fill the memory. */
const KEPT = 300;

/**
 * @typedef {object} Answers
 * @property {(run: string, stamp: string) => Resource<import('./types.js').FindingsAnswer>} findings
 * @property {(run: string, stamp: string) => Resource<import('./types.js').NetworkDescription>} network
 * @property {(run: string, stamp: string, statistic: string) => Resource<import('./types.js').Matrix>} matrix
 * @property {(run: string, stamp: string, layer: string) => Resource<import('./types.js').Curves>} curves
 * @property {(run: string, stamp: string) => Resource<import('./types.js').StepCurves>} steps
 * @property {(run: string, stamp: string) => Resource<import('./types.js').Epochs>} epochs
 * @property {(run: string, stamp: string, site: string) => Resource<import('./types.js').Histograms>} histograms
 * @property {(run: string, stamp: string, site: string) => Resource<import('./types.js').Units>} units
 * @property {() => void} retry Ask anew for all that failed.
 * @property {() => boolean} busy Whether an answer is awaited.
 */

/**
 * Return the answers of the server as resources; `changed` is called whenever one has come.
 * @param {() => void} changed
 * @returns {Answers}
 */
export function createAnswers(changed) {
  /** @type {Map<string, {stamp: string, used: number} & Resource<any>>} */
  const kept = new Map();
  let clock = 0;

  /**
   * @template T
   * @param {(route: string, query: Record<string, string>) => Promise<T>} ask
   * @param {string} route
   * @param {string} stamp
   * @param {Record<string, string>} query
   * @returns {Resource<T>}
   */
  function resource(ask, route, stamp, query) {
    const key = `${route}?${new URLSearchParams(query)}`;
    let entry = kept.get(key);
    if (entry === undefined) {
      entry = { value: null, error: null, loading: false, stamp: '', used: 0 };
      kept.set(key, entry);
      forgetOldest();
    }
    entry.used = clock += 1;
    if (!entry.loading && entry.stamp !== stamp) void refresh(entry, () => ask(route, query), stamp);
    return entry;
  }

  /**
   * @param {{stamp: string} & Resource<any>} entry
   * @param {() => Promise<unknown>} ask
   * @param {string} stamp
   */
  async function refresh(entry, ask, stamp) {
    entry.loading = true;
    entry.stamp = stamp;
    try {
      entry.value = await ask();
      entry.error = null;
    } catch (error) {
      entry.error = error instanceof Error ? error.message : String(error);
    }
    entry.loading = false;
    changed();
  }

  function forgetOldest() {
    if (kept.size <= KEPT) return;
    const [oldest] = [...kept].filter(([, entry]) => !entry.loading).sort(([, a], [, b]) => a.used - b.used);
    if (oldest) kept.delete(oldest[0]);
  }

  return {
    findings: (run, stamp) => resource(json, 'findings', stamp, { run }),
    network: (run, stamp) => resource(description, 'network', stamp, { run }),
    matrix: (run, stamp, statistic) => resource(binary, 'matrix', stamp, { run, statistic }),
    curves: (run, stamp, layer) => resource(binary, 'curves', stamp, { run, layer }),
    steps: (run, stamp) => resource(stepCurves, 'steps', stamp, { run }),
    epochs: (run, stamp) => resource(json, 'epochs', stamp, { run }),
    histograms: (run, stamp, site) => resource(binary, 'histograms', stamp, { run, site }),
    units: (run, stamp, site) => resource(json, 'units', stamp, { run, site }),
    retry: () => {
      for (const entry of kept.values()) if (entry.error !== null) entry.stamp = '';
      changed();
    },
    busy: () => [...kept.values()].some((entry) => entry.loading),
  };
}

/** @returns {Promise<import('./types.js').Statistic[]>} */
export async function statistics() {
  return (await json('statistics', {})).statistics;
}

/** @returns {Promise<import('./types.js').RunInfo[]>} */
export async function runs() {
  return (await json('runs', {})).runs;
}

/**
 * @param {string} route
 * @param {Record<string, string>} query
 * @returns {Promise<Response>}
 */
async function answer(route, query) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(Object.keys(query).length ? `${route}?${new URLSearchParams(query)}` : route);
  } catch {
    throw new Error('TensorBoard does not answer. Is it still running?');
  }
  if (response.ok) return response;
  const text = response.headers.get('content-type')?.startsWith('text/plain') ? await response.text() : '';
  throw new Error(text || `The server answered ${response.status} to ${route}.`);
}

/**
 * @param {string} route
 * @param {Record<string, string>} query
 * @returns {Promise<any>}
 */
async function json(route, query) {
  return (await answer(route, query)).json();
}

/**
 * @param {string} route
 * @param {Record<string, string>} query
 * @returns {Promise<import('./types.js').NetworkDescription>}
 */
async function description(route, query) {
  return (await json(route, query)).network;
}

/**
 * @param {string} route
 * @param {Record<string, string>} query
 * @returns {Promise<any>}
 */
async function binary(route, query) {
  return decoded(await (await answer(route, query)).arrayBuffer());
}

/**
 * @param {string} route
 * @param {Record<string, string>} query
 * @returns {Promise<import('./types.js').StepCurves>}
 */
async function stepCurves(route, query) {
  return ofTraining(await binary(route, query));
}

/**
 * Return the header of a binary answer with its `values`.
 * @param {ArrayBuffer} buffer uint32 length of the header, the header as JSON, then float32 values, little-endian.
 * @returns {any}
 */
export function decoded(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  return { ...header, values: new Float32Array(buffer, 4 + length) };
}

/**
 * Return one sentence about a resource that has nothing to show.
 * @param {Resource<unknown>} resource
 * @returns {string}
 */
export function absence(resource) {
  return resource.error ?? (resource.value === null ? 'Loading …' : NOT_RECORDED);
}
