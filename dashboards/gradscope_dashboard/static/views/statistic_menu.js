// Which statistic the network is coloured by: six buttons for the main ones, a menu for all, and what it means.

import { h, replaceChildren, whenChanged } from '../dom.js';
import { layered } from '../state.js';

/** @typedef {import('../types.js').Scene} Scene */

/**
 * @returns {{element: HTMLElement, update: (scene: Scene) => void}}
 */
export function createStatisticMenu() {
  /** @type {Scene | null} */
  let scene = null;
  const buttons = h('div', { class: 'segments', role: 'group', 'aria-label': 'Statistic' });
  const more = h('select', { id: 'statistic', onchange: () => more.value && choose(more.value) });
  const meaning = h('p', { class: 'meaning' });

  /** @param {string} id */
  function choose(id) {
    scene?.actions.change((state) => ({ ...state, statistic: id }));
  }

  const build = whenChanged((/** @type {string[]} */ _ids) => {
    const all = scene ? layered(scene.state) : [];
    const groups = new Set(all.map((statistic) => statistic.group));
    replaceChildren(
      buttons,
      ...all
        .filter((statistic) => statistic.main)
        .map((statistic) => {
          const button = h(
            'button',
            { type: 'button', title: statistic.meaning, onclick: () => choose(statistic.id) },
            statistic.short,
          );
          button.dataset.key = statistic.id;
          return button;
        }),
    );
    replaceChildren(
      more,
      h('option', { value: '' }, 'More statistics …'),
      ...Array.from(groups, (group) =>
        h(
          'optgroup',
          { label: group },
          ...all
            .filter((statistic) => statistic.group === group)
            .map((statistic) => h('option', { value: statistic.id, title: statistic.meaning }, statistic.title)),
        ),
      ),
    );
  });

  return {
    element: h(
      'div',
      { class: 'statistic' },
      h(
        'div',
        { class: 'row' },
        buttons,
        h('label', { class: 'hidden-label', for: 'statistic' }, 'All statistics'),
        more,
      ),
      meaning,
    ),
    update(now) {
      scene = now;
      build(now.state.statistics.map((statistic) => statistic.id));
      const shown = now.statistic;
      for (const button of buttons.querySelectorAll('button'))
        button.setAttribute('aria-pressed', String(button.dataset.key === shown?.id));
      more.value = shown && !shown.main ? shown.id : '';
      more.classList.toggle('pressed', shown !== null && !shown.main);
      meaning.textContent = shown
        ? [
            shown.meaning,
            shown.source && shown.source !== 'ours' && `(${shown.source})`,
            shown.table === 'gradients' && 'A row is the main weight of a layer.',
          ]
            .filter(Boolean)
            .join(' ')
        : '';
    },
  };
}
