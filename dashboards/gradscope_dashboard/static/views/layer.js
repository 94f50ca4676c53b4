// The page of one layer: its findings, histogram and units over time, all of its curves, and its configuration.

import { absence } from '../api.js';
import { h, replaceChildren, whenChanged, whenReplaced } from '../dom.js';
import { name, shortened, whole } from '../format.js';
import { MOST_COLUMNS } from '../state.js';
import { configuration } from './configuration.js';
import { card } from './findings.js';
import { createHistograms } from './histograms.js';
import { createLayerCurves } from './layer_curves.js';
import { runTitle } from './run_title.js';
import { createUnits } from './units.js';

/** @typedef {import('../types.js').Scene} Scene */
/** @typedef {import('../types.js').NetworkDescription} NetworkDescription */

/**
 * @param {HTMLElement} root
 * @returns {import('../types.js').Update}
 */
export function createLayer(root) {
  /** @type {Scene} */
  let now;
  /** @type {string[]} */
  let order = [];
  const back = h('button', { type: 'button', class: 'back', onclick: () => now.actions.open(null) }, '← Network');
  const before = h('button', { type: 'button', class: 'quiet', onclick: () => turn(-1) }, '◀ Layer before');
  const after = h('button', { type: 'button', class: 'quiet', onclick: () => turn(1) }, 'Next layer ▶');
  const title = h('h2', { id: 'layer-title' });
  const about = h('p', { class: 'meaning' });
  const status = h('p', { class: 'note', 'aria-live': 'polite' });
  const findings = h('div', { class: 'columns' });
  const config = h('section', { 'aria-label': 'Configuration' });
  const histograms = createHistograms();
  const units = createUnits();
  const curves = createLayerCurves();
  root.append(
    h('nav', { class: 'row spread', 'aria-label': 'Layers' }, back, h('span', { class: 'row' }, before, after)),
    title,
    about,
    status,
    findings,
    histograms.element,
    units.element,
    curves.element,
    config,
  );

  /** @param {number} by */
  function turn(by) {
    const next = order[order.indexOf(now.state.layer ?? '') + by];
    if (next !== undefined) now.actions.open(next);
  }

  const showFindings = whenReplaced((/** @type {unknown[]} */ ..._inputs) => {
    replaceChildren(
      findings,
      ...now.chosen.slice(0, MOST_COLUMNS).flatMap((run) => {
        const all = now.answers.findings(run.run, run.stamp).value?.findings ?? [];
        const here = all.filter(
          (finding) => finding.layer === now.state.layer || finding.layers.includes(now.state.layer ?? ''),
        );
        return here.length
          ? [
              h(
                'div',
                { class: 'column card' },
                runTitle(now, run),
                h('ul', { class: 'findings' }, ...here.map((finding) => card(finding, all, run.run, now.actions))),
              ),
            ]
          : [];
      }),
    );
  });
  const showConfig = whenChanged((/** @type {{run: string, network: NetworkDescription}[]} */ networks) => {
    replaceChildren(config, ...configuration(networks, now.state.layer ?? ''));
  });

  return (scene) => {
    now = scene;
    const layer = scene.state.layer ?? '';
    const answers = scene.chosen.map((run) => ({ run: run.run, answer: scene.answers.network(run.run, run.stamp) }));
    const networks = answers.flatMap(({ run, answer }) => (answer.value ? [{ run, network: answer.value }] : []));
    const described = networks.flatMap(({ network }) => network.layers.filter((known) => known.key === layer));
    order = networks[0]?.network.layers.map((known) => known.key) ?? [];
    title.textContent = shortened(name(layer), 120);
    title.title = name(layer);
    const place = order.indexOf(layer);
    before.disabled = place <= 0;
    after.disabled = place < 0 || place === order.length - 1;
    about.textContent =
      [...new Set(described.map((known) => known.class_name))].join(' / ') +
      (place >= 0 ? `, layer ${whole(place + 1)} of ${whole(order.length)}` : '');
    const waits = answers.find(({ answer }) => answer.value === null);
    status.textContent = waits
      ? absence(waits.answer)
      : described.length === 0
        ? `No selected run has a layer of this name.`
        : '';
    status.hidden = status.textContent === '';
    const known = scene.chosen.map((run) => scene.answers.findings(run.run, run.stamp).value);
    showFindings(scene.theme, layer, ...scene.chosen.map((run) => run.run), ...known);
    const sites = networks.map(({ run, network }) => ({
      run,
      sites: network.sites.filter((site) => site.layer === layer),
    }));
    histograms.update(scene, sites);
    units.update(scene, sites);
    // A run without the layer is not asked for it.
    const having = new Set(
      networks.filter(({ network }) => network.layers.some((known) => known.key === layer)).map(({ run }) => run),
    );
    curves.update(
      scene,
      scene.chosen.filter((run) => having.has(run.run)),
    );
    showConfig(networks.map(({ run, network }) => ({ run, network: ofLayer(network, layer) })));
  };
}

/**
 * @param {NetworkDescription} network
 * @param {string} layer
 * @returns {NetworkDescription}
 */
function ofLayer(network, layer) {
  return {
    ...network,
    layers: network.layers.filter((known) => known.key === layer),
    sites: network.sites.filter((site) => site.layer === layer),
    variables: network.variables.filter((variable) => variable.layer === layer),
    not_measured: [],
  };
}
