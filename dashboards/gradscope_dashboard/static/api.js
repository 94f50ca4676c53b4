// Asking the server: answers are kept, asked anew when their run has grown, and shown as they were until then.

import { NOT_RECORDED } from './format.js';

/**
 * @template T
 * @typedef {import('./types.js').Resource<T>} Resource
 */

/** Answers kept beside those on the screen: enough for the layers that one looks at, few enough for the memory. */
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
 * @property {() => void} polled Say that the runs were looked at anew: what is older than they are may be asked for.
 * @property {() => void} forget Drop the oldest answers, but none that was asked for since the last call.
 * @property {() => void} retry Ask anew for all that failed.
 * @property {() => boolean} busy Whether an answer is awaited.
 */

/**
 * An answer that is kept.
 * @typedef {object} Kept
 * @property {string | null} stamp Of the data that it was made of, as the answer itself says; null before the first.
 * @property {string | null} wanted Stamp of the run when it was last asked for.
 * @property {number} poll The poll in which it was last asked for.
 * @property {number} used When it was last used, by the clock of uses.
 */

/**
 * Return the answers of the server as resources; `changed` is called whenever one has come.
 * @param {() => void} changed
 * @returns {Answers}
 */
export function createAnswers(changed) {
  /** @type {Map<string, Kept & Resource<any>>} */
  const kept = new Map();
  let clock = 0;
  let tidied = 0;
  let poll = 0;

  /**
   * @param {(route: string, query: Record<string, string>) => Promise<any>} ask
   * @param {string} route
   * @param {string} stamp Of the run, as it was last listed.
   * @param {Record<string, string>} query
   * @param {(answer: any) => unknown} [shaped] What is kept of the answer.
   * @returns {Resource<any>}
   */
  function resource(ask, route, stamp, query, shaped = (answer) => answer) {
    const key = `${route}?${new URLSearchParams(query)}`;
    let entry = kept.get(key);
    if (entry === undefined) {
      entry = { value: null, error: null, loading: false, stamp: null, wanted: null, poll, used: 0 };
      kept.set(key, entry);
    }
    entry.used = clock += 1;
    // The server may answer with data of an earlier stamp: whether it has newer ones is asked once a poll.
    const asked = entry.wanted === stamp && entry.poll === poll;
    if (!entry.loading && entry.stamp !== stamp && !asked) void refresh(entry, () => ask(route, query), stamp, shaped);
    return entry;
  }

  /**
   * @param {Kept & Resource<any>} entry
   * @param {() => Promise<any>} ask
   * @param {string} stamp
   * @param {(answer: any) => unknown} shaped
   */
  async function refresh(entry, ask, stamp, shaped) {
    entry.loading = true;
    entry.wanted = stamp;
    entry.poll = poll;
    try {
      const answer = await ask();
      entry.value = shaped(answer);
      entry.stamp = answer.stamp;
      entry.error = null;
    } catch (error) {
      entry.error = error instanceof Error ? error.message : String(error);
      // What failed is asked for again when its run has grown, or when the person says so.
      entry.stamp = stamp;
    }
    entry.loading = false;
    changed();
  }

  return {
    findings: (run, stamp) => resource(json, 'findings', stamp, { run }),
    network: (run, stamp) => resource(json, 'network', stamp, { run }, (answer) => answer.network),
    matrix: (run, stamp, statistic) => resource(binary, 'matrix', stamp, { run, statistic }),
    curves: (run, stamp, layer) => resource(binary, 'curves', stamp, { run, layer }),
    steps: (run, stamp) => resource(binary, 'steps', stamp, { run }),
    epochs: (run, stamp) => resource(json, 'epochs', stamp, { run }),
    histograms: (run, stamp, site) => resource(binary, 'histograms', stamp, { run, site }),
    units: (run, stamp, site) => resource(json, 'units', stamp, { run, site }),
    polled: () => {
      poll += 1;
    },
    forget: () => {
      const idle = [...kept].filter(([, entry]) => !entry.loading && entry.used <= tidied);
      idle.sort(([, a], [, b]) => a.used - b.used);
      for (const [key] of idle.slice(0, Math.max(0, kept.size - KEPT))) kept.delete(key);
      tidied = clock;
    },
    retry: () => {
      for (const entry of kept.values()) {
        if (entry.error === null) continue;
        entry.stamp = null;
        entry.wanted = null;
      }
      changed();
    },
    busy: () => [...kept.values()].some((entry) => entry.loading),
  };
}

/**
 * Return what can be shown, and which version of plotly draws it.
 * @returns {Promise<{statistics: import('./types.js').Statistic[], plotly: string}>}
 */
export function menu() {
  return json('statistics', {});
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
  return parsed(await (await answer(route, query)).text());
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
 * Return what a JSON answer holds, with null for a number that is not finite: it is not drawn.
 * @param {string} text
 * @returns {any}
 */
export function parsed(text) {
  return JSON.parse(text, (_, value) => {
    if (typeof value !== 'string' || !/^\\*(NaN|-?Infinity)$/.test(value)) return value;
    return value.startsWith('\\') ? value.slice(1) : null;
  });
}

/**
 * Return the header of a binary answer with its `values`.
 * @param {ArrayBuffer} buffer uint32 length of the header, the header as JSON, then float32 values, little-endian.
 * @returns {any}
 */
export function decoded(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = parsed(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
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
