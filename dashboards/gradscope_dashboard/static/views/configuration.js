// The configuration of a layer as Keras keeps it, its activation functions and its weights; runs that agree share a column.

import { h } from '../dom.js';
import { name, number, whole, withinLayer } from '../format.js';

/** @typedef {import('../types.js').NetworkDescription} NetworkDescription */

/** Entries of a configuration that say nothing: they stand in the title, or are Keras' own marks. */
const LEFT_OUT = new Set(['name', 'module', 'registered_name', 'build_config']);

/**
 * @param {{run: string, network: NetworkDescription}[]} networks Each with this layer alone.
 * @param {string} layer
 * @returns {HTMLElement[]}
 */
export function configuration(networks, layer) {
  const columns = networks
    .filter(({ network }) => network.layers.some((known) => known.key === layer))
    .map(({ run, network }) => ({ run, entries: new Map(entries(network)) }));
  if (columns.length === 0) return [];
  const keys = [...new Set(columns.flatMap(({ entries }) => [...entries.keys()]))];
  const rows = keys.map((key) => {
    const values = columns.map(({ entries }) => entries.get(key) ?? '–');
    const differ = new Set(values).size > 1;
    return h(
      'tr',
      { class: differ ? 'differs' : null },
      h('th', { scope: 'row' }, name(key)),
      ...(differ || columns.length === 1
        ? values.map((value) => h('td', null, name(value)))
        : [h('td', { colSpan: columns.length }, name(values[0] ?? ''))]),
    );
  });
  return [
    h('h3', null, 'Configuration'),
    h(
      'div',
      { class: 'card scrolled', tabIndex: 0, role: 'region', 'aria-label': 'Configuration of the layer' },
      h(
        'table',
        { class: 'words' },
        columns.length > 1 &&
          h(
            'thead',
            null,
            h('tr', null, h('th', null, ''), ...columns.map(({ run }) => h('th', { scope: 'col' }, name(run)))),
          ),
        h('tbody', null, ...rows),
      ),
    ),
  ];
}

/**
 * @param {NetworkDescription} network
 * @returns {[string, string][]}
 */
function entries({ layers, sites, variables }) {
  const within = withinLayer(variables.map((variable) => variable.path));
  return layers.flatMap((layer) => [
    /** @type {[string, string]} */ (['class', layer.class_name]),
    ...sites.map(
      (site) =>
        /** @type {[string, string]} */ ([
          site.key === layer.key ? 'activation function' : `activation function of ${site.key}`,
          `${site.activation}, ${whole(site.units)} units${site.is_output ? ', output of the model' : ''}${tails(site.profile)}`,
        ]),
    ),
    ...variables.map(
      (variable) =>
        /** @type {[string, string]} */ ([
          `weight ${within.get(variable.path) ?? variable.path}`,
          variable.shape.map(whole).join(' × '),
        ]),
    ),
    /** @type {[string, string]} */ (['trainable', layer.trainable ? 'yes' : 'no']),
    /** @type {[string, string]} */ (['dtype', layer.dtype]),
    ...Object.entries(layer.config)
      .filter(([key]) => !LEFT_OUT.has(key) && key !== 'dtype' && key !== 'trainable')
      .map(([key, value]) => /** @type {[string, string]} */ ([key, words(value)])),
  ]);
}

/**
 * @param {Record<string, unknown> | null} profile
 * @returns {string}
 */
function tails(profile) {
  if (!profile || profile.elementwise === false) return '';
  const low = Number(String(profile.z_low).replace('inf', 'Infinity'));
  const high = Number(String(profile.z_high).replace('inf', 'Infinity'));
  const parts = [Number.isFinite(low) && `z ≤ ${number(low)}`, Number.isFinite(high) && `z ≥ ${number(high)}`].filter(
    Boolean,
  );
  return parts.length ? `, saturated at ${parts.join(' and ')}` : '';
}

/**
 * Return a value of a configuration in words: an object that Keras would build again as a call.
 * @param {unknown} value
 * @returns {string}
 */
function words(value) {
  if (value === null || value === undefined) return 'none';
  if (typeof value === 'boolean') return value ? 'yes' : 'no';
  if (Array.isArray(value)) return `(${value.map(words).join(', ')})`;
  if (typeof value !== 'object') return String(value);
  const { class_name: kind, config } = /** @type {{class_name?: unknown, config?: Record<string, unknown>}} */ (value);
  const fields = Object.entries(kind === undefined ? value : config && typeof config === 'object' ? config : {});
  const shown = fields
    .filter(([, field]) => field !== null)
    .map(([key, field]) => `${key}=${words(field)}`)
    .join(', ');
  return kind === undefined ? shown : `${String(kind)}(${shown})`;
}
