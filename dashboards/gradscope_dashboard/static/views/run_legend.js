// Which line is which run: its colour and dash beside its name, and a button a run that saves what is shown of it.

import { h, replaceChildren, whenChanged } from '../dom.js';
import { name } from '../format.js';
import { colourOf, DASHES, shapeOf } from '../theme.js';

const STYLES = /** @type {Record<string, string>} */ ({
  solid: 'solid',
  dash: 'dashed',
  dot: 'dotted',
  dashdot: 'dashed',
  longdash: 'dashed',
});

/**
 * @param {import('../types.js').Scene} scene
 * @param {string} run
 * @returns {HTMLElement}
 */
export function legendLine({ state, theme }, run) {
  const line = h('span', { class: 'key', 'aria-hidden': 'true' });
  line.style.borderTop = `3px ${STYLES[shapeOf(DASHES, state, run)] ?? 'solid'} ${colourOf(theme, state, run)}`;
  return h('span', { class: 'legend-run' }, line, name(run));
}

/**
 * Return the legend of some runs' curves, with a button for each that saves them.
 * @param {(run: import('../types.js').RunInfo) => string} saved What a button saves, in words.
 * @param {(run: import('../types.js').RunInfo) => void} save
 * @returns {{element: HTMLElement,
 *   update: (scene: import('../types.js').Scene, runs: import('../types.js').RunInfo[], note?: string) => void}}
 */
export function createRunLegend(saved, save) {
  const legend = h('div', { class: 'legend' });
  const savers = h('span', { class: 'savers' });
  /** @type {{scene: import('../types.js').Scene, runs: import('../types.js').RunInfo[]}} */
  let now;
  const show = whenChanged((/** @type {{note: string, looks: unknown[]}} */ { note }) => {
    const { scene, runs } = now;
    replaceChildren(
      legend,
      ...runs.map((run) => legendLine(scene, run.run)),
      note && h('span', { class: 'note' }, note),
    );
    replaceChildren(savers, ...runs.map(({ run }, index) => saver(run, index, runs.length)));
  });

  /**
   * @param {string} run
   * @param {number} index
   * @param {number} count
   * @returns {HTMLElement}
   */
  function saver(run, index, count) {
    const info = () => /** @type {import('../types.js').RunInfo} */ (now.runs[index]);
    return h(
      'button',
      { type: 'button', class: 'quiet', title: saved(info()), onclick: () => save(info()) },
      count === 1 ? 'CSV' : `CSV of ${name(run)}`,
    );
  }

  return {
    element: h('div', { class: 'row spread' }, legend, savers),
    update(scene, runs, note = '') {
      now = { scene, runs };
      show({ note, looks: [scene.theme.dark, scene.state.colours, runs.map((run) => run.run)] });
    },
  };
}
